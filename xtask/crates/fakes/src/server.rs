//! An HTTP/1.1 server on loopback for the fakes of the rehearsal: one request a connection, one
//! thread each, and on demand a fault on the wire. Which fault is decided elsewhere; this carries it
//! out, and for real: a refused connection is refused by the kernel, a reset is a TCP reset.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "opens sockets and asks the clock")]

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use http::Method;
use http1::{Incoming, write_response};

use crate::message::{Delivery, Response, Service};

mod http1;

/// A client that says nothing for so long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
const REOPEN_LIMIT: Duration = Duration::from_secs(10);
const REOPEN_PAUSE: Duration = Duration::from_millis(20);

/// What is done with one request.
#[derive(Debug)]
pub enum Action {
    /// It is answered.
    Pass,
    /// The connection is reset; nothing took effect.
    ResetBefore,
    /// It takes effect, and the connection is reset without an answer.
    ResetAfter,
    /// It takes effect, and the connection is closed without an answer.
    CloseAfter,
    /// So many bytes of its body arrive and take effect, and the connection is reset without an answer.
    ResetWithin(u64),
    /// It takes effect, and half of the answer is sent.
    Truncate,
    /// Nothing takes effect, and this is the answer.
    Instead(Response),
    /// It takes effect, and this is the answer all the same.
    InsteadAfter(Response),
    /// It is answered, and from before that answer on connections are refused, until
    /// [`Server::reopen`].
    RefuseNext,
    /// The client is killed; nothing took effect.
    KillBefore,
    /// It takes effect, and the client is killed before an answer.
    KillAfter,
}

/// Decides on faults.
pub trait Faults: Send + Sync {
    /// What is to be done with the request of that number, counted from 1. Nothing of its body has
    /// been read yet, and the service is not locked.
    fn action(&self, number: u64, head: &http::Request<()>) -> Action;

    /// Kills the client and waits for its end.
    fn kill(&self) {}
}

/// A running server. Dropped, it is stopped.
pub struct Server {
    shared: Arc<Shared>,
}

/// What the threads of a server share.
struct Shared {
    service: Arc<Mutex<dyn Service>>,
    faults: Arc<dyn Faults>,
    folder: Utf8PathBuf,
    port: u16,
    acceptor: Mutex<Option<Acceptor>>,
    requests: AtomicU64,
    /// How many connections are being served, and word of each one's end.
    connections: Mutex<usize>,
    closed: Condvar,
}

/// The listening socket, which lives in the thread that accepts connections.
struct Acceptor {
    is_closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Starts a server for `service`, whose requests are answered one at a time. Bodies too large
    /// for memory are spooled to `folder`, which is the caller's to remove.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start(service: Arc<Mutex<dyn Service>>, folder: Utf8PathBuf, faults: Arc<dyn Faults>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr().context("a listening socket has no address")?.port();
        let (acceptor, requests) = (Mutex::new(None), AtomicU64::new(0));
        let (connections, closed) = (Mutex::new(0), Condvar::new());
        let shared = Arc::new(Shared { service, faults, folder, port, acceptor, requests, connections, closed });
        *locked(&shared.acceptor) = Some(Shared::open(&shared, listener));
        Ok(Self { shared })
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.shared.port)
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits until no request is being answered, so that what a killed client left takes no effect
    /// any more.
    ///
    /// # Errors
    /// Where one is not done within the time that silence is borne.
    pub fn settle(&self) -> Result<()> {
        let connections = locked(&self.shared.connections);
        let waited = self.shared.closed.wait_timeout_while(connections, SILENCE_LIMIT, |connections| *connections > 0);
        let (connections, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(*connections == 0, "{} connections to 127.0.0.1:{} do not end", *connections, self.shared.port);
        Ok(())
    }

    /// Listens again, on the same port, after [`Action::RefuseNext`].
    ///
    /// # Errors
    /// Where the port stays taken.
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

    /// Listens no more.
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
                *locked(&shared.connections) += 1;
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // A client that goes away in the middle is what is rehearsed, and no error here.
                    let _ = shared.serve(stream);
                    *locked(&shared.connections) -= 1;
                    shared.closed.notify_all();
                });
            }
        });
        Acceptor { is_closing, thread }
    }

    /// Closes the listening socket; when this returns, connections are refused.
    fn close(&self) {
        let Some(acceptor) = locked(&self.acceptor).take() else { return };
        acceptor.is_closing.store(true, Ordering::SeqCst);
        // The thread waits for a connection; this is the one to wake it.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = acceptor.thread.join();
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        stream.set_write_timeout(Some(SILENCE_LIMIT))?;
        let Some(mut incoming) = Incoming::read(stream)? else { return Ok(()) };
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let action = self.faults.action(number, &incoming.head);
        if let Action::ResetBefore | Action::KillBefore = action {
            if let Action::KillBefore = action {
                self.faults.kill();
            }
            return Ok(());
        }
        let most_bytes = if let Action::ResetWithin(size_bytes) = action { size_bytes } else { u64::MAX };
        let body = incoming.body(&self.folder.join(format!("{}-{number}", self.port)), most_bytes)?;
        let is_head = incoming.head.method() == Method::HEAD;
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
                return Ok(());
            }
            Action::CloseAfter => (effect(), Delivery::Nothing),
            Action::KillAfter => {
                effect();
                self.faults.kill();
                return Ok(());
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
        incoming.socket.catch_up()?;
        write_response(&incoming.socket.stream, &response, is_head, delivery)
    }
}

/// The content of a lock, whoever panicked with it in hand.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked with the lock in hand has failed already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
