//! A TLS terminator on loopback in front of the servers of the fakes: which of them a connection is for is decided by
//! the name that the client asks for (RFC 6066, section 3). It passes on bytes and knows no HTTP.
#![allow(clippy::disallowed_types, reason = "opens sockets")]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::server::locked;

/// As long as the servers behind it wait for a client.
const IO_TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 16 << 10;

/// The files, in PEM, by which the terminator shows that it is who the client asks for.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: Utf8PathBuf,
    pub key: Utf8PathBuf,
}

/// A running terminator. Dropping it stops it.
pub struct TlsTerminator {
    port: u16,
    is_closing: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl TlsTerminator {
    /// Listens on 127.0.0.1, on any port if `port` is 0. `servers` has the port of the server of each name; a client
    /// that asks for another name, or for none, is disconnected.
    pub fn start(port: u16, identity: &Identity, servers: BTreeMap<String, u16>) -> Result<Self> {
        let config = Arc::new(config(identity)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
        let port = listener.local_addr().context("the listening socket has no address")?.port();
        let is_closing = Arc::new(AtomicBool::new(false));
        let (servers, closing) = (Arc::new(servers), Arc::clone(&is_closing));
        let acceptor = thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if closing.load(Ordering::SeqCst) {
                    break;
                }
                let (config, servers) = (Arc::clone(&config), Arc::clone(&servers));
                // A client that disconnects, or trusts another authority, reports that itself.
                thread::spawn(move || drop(serve(&client, config, &servers)));
            }
        });
        Ok(Self { port, is_closing, acceptor: Some(acceptor) })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsTerminator {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::SeqCst);
        // Wakes the thread, which blocks in accept().
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

fn config(identity: &Identity) -> Result<ServerConfig> {
    let Identity { certificate, key } = identity;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.with_context(|| format!("{certificate} is not a certificate"))?;
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| format!("{key} is not a private key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    config.with_single_cert(chain, private).with_context(|| format!("{key} is not the key of {certificate}"))
}

fn serve(client: &TcpStream, config: Arc<ServerConfig>, servers: &BTreeMap<String, u16>) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    limit(client)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut &*client)?;
    }
    let port = connection.server_name().and_then(|name| servers.get(name)).ok_or(ErrorKind::AddrNotAvailable)?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
    limit(&server)?;
    let connection = Mutex::new(connection);
    thread::scope(|scope| {
        scope.spawn(|| {
            // How it ended is the client's to judge.
            let _ = pass_responses(&server, &connection, client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let outcome = pass_requests(client, &connection, &server);
        let _ = server.shutdown(Shutdown::Write);
        outcome
    })
}

fn limit(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(IO_TIMEOUT))?;
    stream.set_write_timeout(Some(IO_TIMEOUT))?;
    stream.set_nodelay(true)
}

/// Decrypts what the client sends until it closes the connection. The connection is not locked while it waits.
fn pass_requests(
    mut client: &TcpStream,
    connection: &Mutex<ServerConnection>,
    mut server: &TcpStream,
) -> io::Result<()> {
    let mut buffer = [0; BUFFER_BYTES];
    // Nothing is encrypted yet: the first round passes on what came with the handshake.
    let mut encrypted: &[u8] = &[];
    loop {
        let mut plain = Vec::new();
        let is_closed = decrypt(&mut locked(connection), encrypted, &mut plain, client)?;
        server.write_all(&plain)?;
        if is_closed {
            return Ok(());
        }
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        encrypted = &buffer[..count];
    }
}

/// Appends what `encrypted` contains to `plain`. Returns whether the client has closed the connection.
fn decrypt(
    connection: &mut ServerConnection,
    mut encrypted: &[u8],
    plain: &mut Vec<u8>,
    client: &TcpStream,
) -> io::Result<bool> {
    loop {
        if !encrypted.is_empty() {
            connection.read_tls(&mut encrypted)?;
        }
        let state = connection.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        connection.reader().take(state.plaintext_bytes_to_read() as u64).read_to_end(plain)?;
        flush(connection, client)?;
        if encrypted.is_empty() {
            return Ok(state.peer_has_closed());
        }
    }
}

/// Encrypts what the server sends. If the server closes the connection, the client is told so; if it breaks, it breaks
/// for the client as well.
fn pass_responses(mut server: &TcpStream, connection: &Mutex<ServerConnection>, client: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let count = server.read(&mut buffer)?;
        let mut connection = locked(connection);
        if count == 0 {
            connection.send_close_notify();
            return flush(&mut connection, client);
        }
        connection.writer().write_all(&buffer[..count])?;
        flush(&mut connection, client)?;
    }
}

fn flush(connection: &mut ServerConnection, mut client: &TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(&mut client)?;
    }
    Ok(())
}
