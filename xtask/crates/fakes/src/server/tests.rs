//! The server through raw sockets: what arrives, what is sent, and each fault as the kernel reports it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, opens sockets and reads the environment"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use camino::Utf8PathBuf;

use crate::digest::sha256;
use crate::message::{Content, Request, Response, Service};
use crate::server::{Action, Faults, PORTS, Server};

/// Responds to each request with its own body, and keeps the requests.
#[derive(Default)]
struct Echo(Vec<Request>);

impl Service for Echo {
    fn handle(&mut self, request: &Request) -> Response {
        self.0.push(request.clone());
        Response::new(request.body().clone())
    }
}

/// Applies the action to the first request; the others pass.
struct First(Mutex<Option<Action>>);

impl Faults for First {
    fn action(&self, number: u64, _head: &http::Request<()>) -> Action {
        assert!(number > 0, "requests are counted from 1");
        self.0.lock().expect("no panic").take().unwrap_or(Action::Pass)
    }
}

fn server(action: Action) -> (Server, Arc<Mutex<Echo>>) {
    let service = Arc::new(Mutex::new(Echo::default()));
    let spool_directory = Utf8PathBuf::try_from(std::env::temp_dir()).expect("has a UTF-8 name");
    let faults = Arc::new(First(Mutex::new(Some(action))));
    (Server::start(service.clone(), spool_directory, faults).expect("starts"), service)
}

fn connect(server: &Server) -> std::io::Result<TcpStream> {
    TcpStream::connect(server.url().trim_start_matches("http://"))
}

/// Sends a request and reads until the end of the response.
fn sent(server: &Server, request: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let mut stream = connect(server).map_err(|error| error.kind())?;
    stream.write_all(request).expect("is sent");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).map_err(|error| error.kind())?;
    Ok(response)
}

const POST: &[u8] = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabcdef";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const ECHOED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nabcdef";

#[test]
fn a_request_arrives_complete_and_gets_a_response() {
    let (server, service) = server(Action::Pass);
    assert_eq!(sent(&server, POST).as_deref(), Ok(ECHOED));
    let chunked = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4;x=y\r\ncdef\r\n0\r\n\r\n";
    assert_eq!(sent(&server, chunked).as_deref(), Ok(ECHOED));
    let head =
        sent(&server, b"HEAD / HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n.").expect("is answered");
    assert_eq!(String::from_utf8_lossy(&head), "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n");
    let seen = service.lock().expect("no panic");
    assert_eq!(seen.0[0].uri().to_string(), "/a?b=c");
    assert_eq!((seen.0[0].headers()["host"].as_bytes(), server.requests()), (&b"x"[..], 3));
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let (server, _) = server(Action::Pass);
    let mut stream = connect(&server).expect("connects");
    stream
        .write_all(b"PUT / HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .expect("is sent");
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("is told");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").expect("is sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("is answered");
    assert!(response.ends_with("\r\n\r\nok"), "{response}");
}

#[test]
fn a_large_body_is_spooled_to_a_file() {
    let (server, service) = server(Action::Pass);
    let body: Vec<u8> = (0..5_u32 << 20).map(|number| number.to_le_bytes()[1]).collect();
    let head = format!("PUT / HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let response = sent(&server, &[head.as_bytes(), &body].concat()).expect("is answered");
    assert!(response.ends_with(&body) && response.len() > body.len());
    let seen = service.lock().expect("no panic");
    let Content::File { path, size_bytes, sha256: digest } = seen.0[0].body() else { panic!("it is in memory") };
    assert_eq!((*size_bytes, digest), (body.len() as u64, &sha256(&body)));
    std::fs::remove_file(path).expect("is there");
}

#[test]
fn a_request_with_an_incomplete_body_has_no_effect() {
    let (server, service) = server(Action::Pass);
    let mut stream = connect(&server).expect("connects");
    stream.write_all(&POST[..POST.len() - 1]).expect("is sent");
    drop(stream);
    while server.requests() == 0 {
        std::thread::yield_now();
    }
    server.wait_until_idle().expect("ends");
    assert!(service.lock().expect("no panic").0.is_empty());
}

#[test]
fn each_fault_happens_on_the_wire() {
    let response = || http::Response::builder().status(502).body(Content::Memory(Vec::new())).expect("is one");
    let bad_gateway = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    let cases = [
        (Action::ResetBefore, 0, Err(ErrorKind::ConnectionReset)),
        (Action::KillBefore, 0, Err(ErrorKind::ConnectionReset)),
        (Action::ResetAfter, 1, Err(ErrorKind::ConnectionReset)),
        (Action::KillAfter, 1, Err(ErrorKind::ConnectionReset)),
        (Action::CloseAfter, 1, Ok(Vec::new())),
        (Action::Instead(response()), 0, Ok(bad_gateway.clone())),
        (Action::InsteadAfter(response()), 1, Ok(bad_gateway)),
        (Action::Truncate, 1, Ok(ECHOED[..ECHOED.len() - 3].to_vec())),
    ];
    for (action, effects, expected) in cases {
        let name = format!("{action:?}");
        let (server, service) = server(action);
        assert_eq!(sent(&server, POST), expected, "{name}");
        server.wait_until_idle().expect("ends");
        assert_eq!(service.lock().expect("no panic").0.len(), effects, "{name}");
        assert_eq!(sent(&server, POST).as_deref(), Ok(ECHOED), "{name}: the next one passes");
    }
}

#[test]
fn requests_without_a_body_can_be_reset_and_cut_too() {
    assert_eq!(sent(&server(Action::ResetBefore).0, GET), Err(ErrorKind::ConnectionReset));
    assert_eq!(sent(&server(Action::ResetAfter).0, GET), Err(ErrorKind::ConnectionReset));
    let cut = sent(&server(Action::Truncate).0, GET).expect("is answered in part");
    assert!(cut.starts_with(b"HTTP/1.1 200 OK\r\n") && !cut.ends_with(b"\r\n\r\n"));
}

#[test]
fn connections_are_refused_until_the_server_reopens() {
    let (server, _) = server(Action::RefuseNext);
    assert_eq!(sent(&server, POST).as_deref(), Ok(ECHOED));
    for _ in 0..3 {
        assert_eq!(sent(&server, POST), Err(ErrorKind::ConnectionRefused));
    }
    server.reopen().expect("opens");
    server.reopen().expect("is open");
    assert_eq!(sent(&server, POST).as_deref(), Ok(ECHOED));
    server.stop();
    assert_eq!(sent(&server, POST), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn a_port_is_not_reused_while_its_server_refuses_connections() {
    let port = |server: &Server| server.url().rsplit(':').next().expect("a port").parse::<u16>().expect("a port");
    let (closed, _) = server(Action::Pass);
    closed.stop();
    let others: Vec<_> = (0..20).map(|_| server(Action::Pass).0).collect();
    assert!(others.iter().all(|other| port(other) != port(&closed)));
    assert!(PORTS.contains(&port(&closed)), "the system assigns the others to anyone");
    closed.reopen().expect("opens");
}

#[test]
fn a_connection_carries_several_requests_until_the_server_closes() {
    let (server, service) = server(Action::Pass);
    let mut stream = connect(&server).expect("connects");
    for body in ["ab", "cd"] {
        let request = format!("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).expect("is sent");
        let expected = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{body}");
        let mut response = vec![0; expected.len()];
        stream.read_exact(&mut response).expect("is answered");
        assert_eq!(String::from_utf8_lossy(&response), expected);
    }
    server.stop();
    assert_eq!(stream.read(&mut [0]).expect("is closed"), 0);
    server.wait_until_idle().expect("is idle");
    assert_eq!(service.lock().expect("no panic").0.len(), 2);
}
