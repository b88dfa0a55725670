//! An HTTP/1.1 server on loopback for the fakes: persistent connections, one thread each, and on demand a fault
//! on the wire. Which fault is decided elsewhere. The faults are real: a refused connection is refused by the
//! kernel, a reset is a TCP reset.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "opens sockets and asks the clock")]

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8PathBuf;
use http::Method;
use http::header::CONNECTION;
use http1::{Incoming, ResettableSocket, write_response};

use crate::message::{Delivery, Service};

pub use faults::{Action, Faults, NoFaults};

mod faults;
mod http1;

/// A client that sends nothing for this long is considered gone.
const IO_TIMEOUT: Duration = Duration::from_secs(30);
/// The ports of servers: below those that Linux and macOS assign by themselves. A server that refuses connections
/// has no socket to hold its port, and a port that the system assigned could go to another server meanwhile,
/// which would then get the requests of this one's client.
const PORTS: Range<u16> = 20_000..32_000;
const REOPEN_LIMIT: Duration = Duration::from_secs(10);
const REOPEN_PAUSE: Duration = Duration::from_millis(20);

/// A running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
}

/// The state that the threads of a server share.
struct Shared {
    service: Arc<Mutex<dyn Service>>,
    faults: Arc<dyn Faults>,
    spool_directory: Utf8PathBuf,
    port: u16,
    acceptor: Mutex<Option<Acceptor>>,
    requests: AtomicU64,
    accepted: AtomicU64,
    /// The open connections, by number; `closed` is notified when one closes.
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    closed: Condvar,
}

/// The thread that accepts connections; it owns the listening socket.
struct Acceptor {
    is_closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts a server for `service`, which handles one request at a time. Bodies too large for memory
    /// are spooled to files in `spool_directory`, which the caller removes.
    pub fn start(
        service: Arc<Mutex<dyn Service>>,
        spool_directory: Utf8PathBuf,
        faults: Arc<dyn Faults>,
    ) -> Result<Self> {
        let listener = listen()?;
        let port = listener.local_addr().context("the listening socket has no address")?.port();
        let (acceptor, requests, accepted) = (Mutex::new(None), AtomicU64::new(0), AtomicU64::new(0));
        let (connections, closed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared {
            service,
            faults,
            spool_directory,
            port,
            acceptor,
            requests,
            accepted,
            connections,
            closed,
        });
        *locked(&shared.acceptor) = Some(Shared::open(&shared, listener));
        Ok(Self { shared })
    }

    /// The base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.shared.port)
    }

    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits until no request is in progress, so that whatever a killed client left behind has taken
    /// effect.
    pub fn wait_until_idle(&self) -> Result<()> {
        let connections = locked(&self.shared.connections);
        let waited =
            self.shared.closed.wait_timeout_while(connections, IO_TIMEOUT, |connections| !connections.is_empty());
        let (connections, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(
            connections.is_empty(),
            "{} connections to 127.0.0.1:{} do not close",
            connections.len(),
            self.shared.port
        );
        Ok(())
    }

    /// Listens again on the same port, after [`Action::RefuseNext`].
    pub fn reopen(&self) -> Result<()> {
        let mut acceptor = locked(&self.shared.acceptor);
        if acceptor.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.shared.port)) {
                Ok(listener) => break listener,
                Err(_) if started.elapsed() < REOPEN_LIMIT => thread::sleep(REOPEN_PAUSE),
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot listen on port {} again", self.shared.port));
                }
            }
        };
        *acceptor = Some(Shared::open(&self.shared, listener));
        Ok(())
    }

    /// Stops listening.
    pub fn stop(&self) {
        self.shared.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn open(shared: &Arc<Self>, listener: TcpListener) -> Acceptor {
        let is_closing = Arc::new(AtomicBool::new(false));
        let (shared, closing) = (Arc::clone(shared), Arc::clone(&is_closing));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closing.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(handle) = stream.try_clone() else { continue };
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                locked(&shared.connections).insert(number, handle);
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // A client that disconnects in the middle is what is rehearsed, not an error. A panic is a
                    // failed assertion in the service of a test, and was printed.
                    let _ = catch_unwind(AssertUnwindSafe(|| shared.serve(stream)));
                    locked(&shared.connections).remove(&number);
                    shared.closed.notify_all();
                });
            }
        });
        Acceptor { is_closing, thread }
    }

    /// Closes the listening socket and idle connections: when this returns, connections are refused. A request that
    /// is in progress gets its response.
    fn close(&self) {
        let Some(acceptor) = locked(&self.acceptor).take() else { return };
        acceptor.is_closing.store(true, Ordering::SeqCst);
        // Wakes the thread, which blocks in accept().
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = acceptor.thread.join();
        for connection in locked(&self.connections).values() {
            // One that has been closed meanwhile needs no more.
            let _ = connection.shutdown(Shutdown::Read);
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(IO_TIMEOUT))?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut socket = ResettableSocket::new(stream);
        while self.serve_request(&mut socket)? {}
        Ok(())
    }

    /// Serves the next request of a connection. Returns whether another one may follow.
    fn serve_request(&self, socket: &mut ResettableSocket) -> io::Result<bool> {
        let Some(mut incoming) = Incoming::read(socket)? else { return Ok(false) };
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let action = self.faults.action(number, &incoming.head);
        if let Action::ResetBefore | Action::KillBefore = action {
            if let Action::KillBefore = action {
                self.faults.kill();
            }
            return Ok(false);
        }
        let most_bytes = if let Action::ResetWithin(size_bytes) = action { size_bytes } else { u64::MAX };
        let body = incoming.body(&self.spool_directory.join(format!("{}-{number}", self.port)), most_bytes)?;
        let is_head = incoming.head.method() == Method::HEAD;
        let closes = incoming.head.headers().get(CONNECTION).is_some_and(|value| value == "close");
        let request = incoming.head.map(|()| body);
        let effect = || locked(&self.service).handle(&request);
        let (response, delivery) = match action {
            Action::Instead(response) => (response, Delivery::Whole),
            Action::InsteadAfter(response) => {
                effect();
                (response, Delivery::Whole)
            }
            Action::ResetAfter | Action::ResetWithin(_) => {
                effect();
                return Ok(false);
            }
            Action::CloseAfter => (effect(), Delivery::Nothing),
            Action::KillAfter => {
                effect();
                self.faults.kill();
                return Ok(false);
            }
            Action::RefuseNext => {
                let response = effect();
                self.close();
                (response, Delivery::Whole)
            }
            Action::Truncate => (effect(), Delivery::Half),
            Action::Pass | Action::ResetBefore | Action::KillBefore => {
                let response = effect();
                let delivery = response.extensions().get().copied().unwrap_or_default();
                (response, delivery)
            }
        };
        socket.read_held_byte()?;
        let is_last = closes || delivery != Delivery::Whole || locked(&self.acceptor).is_none();
        write_response(&socket.stream, &response, is_head, delivery, is_last)?;
        Ok(!is_last)
    }
}

/// Listens on a port that no other server of this process has had lately.
fn listen() -> Result<TcpListener> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Processes with close ids begin far from each other: the range times the golden ratio.
    let first = std::process::id().wrapping_mul(7_417);
    for _ in PORTS {
        let number = first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from(number % u32::from(PORTS.end - PORTS.start))?;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound.with_context(|| format!("cannot listen on 127.0.0.1:{port}")),
        }
    }
    bail!("cannot listen on 127.0.0.1: every port from {} to {} is in use", PORTS.start, PORTS.end - 1)
}

/// Locks a mutex, even a poisoned one.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked while holding the lock has already failed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
