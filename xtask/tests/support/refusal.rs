//! A service on loopback that gives every request the same answer, and keeps what it was asked.
#![allow(clippy::disallowed_types, reason = "opens sockets")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Starts it. `answer` is a whole response, or nothing for a connection that just ends. Returns its
/// URL, and the heads of the requests so far.
pub fn serve(answer: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (answer, heads) = (answer.to_owned(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let reader = BufReader::new(stream.try_clone().expect("is cloned"));
            let head: Vec<String> = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            kept.lock().expect("no panic").push(head.join("\n"));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, heads)
}

/// A response with a JSON body.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
