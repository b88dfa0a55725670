//! A scripted server for tests: it responds from a list in order, or with a function of the request.
//! It keeps the requests, so that a test can check what was sent.
#![allow(clippy::disallowed_methods, reason = "reads the environment")]

use std::sync::{Arc, Mutex};

use camino::Utf8PathBuf;

use crate::message::{Content, Delivery, Request, Response, Service};
use crate::server::{Faults, NoFaults, Server, locked};

/// A running server. Dropping it stops it.
pub struct Script {
    server: Server,
    service: Arc<Mutex<Scripted>>,
}

struct Scripted {
    respond: Box<dyn FnMut(&Request) -> Response + Send>,
    requests: Vec<Request>,
}

impl Service for Scripted {
    fn handle(&mut self, request: &Request) -> Response {
        self.requests.push(request.clone());
        (self.respond)(request)
    }
}

impl Script {
    /// Starts a server that responds to each request with what `respond` returns.
    pub fn start(respond: impl FnMut(&Request) -> Response + Send + 'static) -> Self {
        Self::with_faults(Arc::new(NoFaults), respond)
    }

    /// Starts a server that sends these responses in order, and 501 after the last one.
    pub fn in_order(responses: impl IntoIterator<Item = Response>) -> Self {
        let mut responses = responses.into_iter().collect::<Vec<_>>().into_iter();
        Self::start(move |_| responses.next().unwrap_or_else(|| response(501, &[], "the script has ended")))
    }

    /// Like [`Script::start`], with faults.
    pub fn with_faults(faults: Arc<dyn Faults>, respond: impl FnMut(&Request) -> Response + Send + 'static) -> Self {
        let service = Arc::new(Mutex::new(Scripted { respond: Box::new(respond), requests: Vec::new() }));
        let directory = Utf8PathBuf::try_from(std::env::temp_dir()).expect("the temporary directory's path is UTF-8");
        let server = Server::start(service.clone(), directory, faults).expect("a port on 127.0.0.1 is free");
        Self { server, service }
    }

    /// The base URL, without a trailing slash.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        self.url().trim_start_matches("http://").to_owned()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.service).requests.clone()
    }
}

pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
    let builder = headers
        .iter()
        .fold(http::Response::builder().status(status), |builder, header| builder.header(header.0, header.1));
    builder.body(Content::Memory(body.into())).expect("a test's status and headers are valid")
}

/// The response, of which only half is sent.
pub fn cut(mut response: Response) -> Response {
    response.extensions_mut().insert(Delivery::Half);
    response
}

/// No response: closes the connection.
pub fn silence() -> Response {
    let mut response = response(500, &[], "");
    response.extensions_mut().insert(Delivery::Nothing);
    response
}

/// A header of a request, if it is there and is text.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The body of a request, which must be small.
pub fn body(request: &Request) -> &[u8] {
    match request.body() {
        Content::Memory(bytes) => bytes,
        Content::File { size_bytes, .. } => panic!("a body of {size_bytes} bytes is too large for a scripted server"),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "opens sockets")]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::server::Action;

    fn exchange(script: &Script, request: &str) -> String {
        let mut stream = TcpStream::connect(script.address()).expect("connects");
        stream.write_all(request.as_bytes()).expect("is sent");
        let mut response = String::new();
        // A reset is an empty answer here.
        let _ = stream.read_to_string(&mut response);
        response
    }

    #[test]
    fn responses_are_in_order_and_requests_are_kept() {
        let responses = [response(200, &[("X-A", "b")], "abcd"), cut(response(200, &[], "abcd")), silence()];
        let script = Script::in_order(responses);
        let whole =
            exchange(&script, "POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
        assert_eq!(whole, "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 4\r\nconnection: close\r\n\r\nabcd");
        let half = exchange(&script, "GET /2 HTTP/1.1\r\n\r\n");
        assert!(half.contains("content-length: 4\r\n") && half.ends_with("\r\n\r\nab"), "{half}");
        assert_eq!(exchange(&script, "GET /3 HTTP/1.1\r\n\r\n"), "");
        assert!(exchange(&script, "GET /4 HTTP/1.1\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 501 "));
        let requests = script.requests();
        let paths: Vec<String> = requests.iter().map(|request| request.uri().to_string()).collect();
        assert_eq!(paths, ["/a?b", "/2", "/3", "/4"]);
        assert_eq!((header(&requests[0], "host"), body(&requests[0])), (Some("x"), &b"{}"[..]));
    }

    struct ResetWithin(u64);

    impl Faults for ResetWithin {
        fn action(&self, _number: u64, _head: &http::Request<()>) -> Action {
            Action::ResetWithin(self.0)
        }
    }

    #[test]
    fn a_request_can_be_reset_within_its_body() {
        let script = Script::with_faults(Arc::new(ResetWithin(3)), |_| response(200, &[], ""));
        assert_eq!(exchange(&script, "PUT / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabcdef"), "");
        assert_eq!(body(&script.requests()[0]), b"abc");
    }
}
