//! Go's download page on loopback: `GET /?mode=json&include=all` and the archives it lists.
//! Form of the list: <https://pkg.go.dev/golang.org/x/website/internal/dl>.
#![allow(clippy::disallowed_types, reason = "opens sockets")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use flate2::Compression;
use flate2::write::GzEncoder;

/// What the page does to an archive that it gives out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    Tampered,
    CutShort,
    /// The connection ends before the length that was announced.
    BrokenOff,
}

/// Starts a page that lists one Go, whose `go` command is this script. Returns its URL.
pub fn serve(version: &str, script: &str, delivery: Delivery) -> String {
    let archive = archive(script);
    let (os, arch) = host();
    let name = format!("go{version}.{os}-{arch}.tar.gz");
    let digest: String = ring::digest::digest(&ring::digest::SHA256, &archive)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let list = serde_json::json!([{ "version": format!("go{version}"), "stable": true, "files": [{
        "filename": name, "os": os, "arch": arch, "version": format!("go{version}"),
        "sha256": digest, "size": archive.len(), "kind": "archive",
    }]}]);
    let (mut sent, whole_bytes) = (archive.clone(), archive.len());
    match delivery {
        Delivery::Whole => {}
        Delivery::Tampered => *sent.last_mut().expect("not empty") ^= 1,
        Delivery::CutShort | Delivery::BrokenOff => sent.truncate(whole_bytes / 2),
    }
    let announced_bytes = if delivery == Delivery::BrokenOff { whole_bytes } else { sent.len() };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answers = Answers { list: list.to_string().into_bytes(), sent, announced_bytes };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &answers);
        }
    });
    url
}

struct Answers {
    list: Vec<u8>,
    sent: Vec<u8>,
    announced_bytes: usize,
}

fn answer(mut stream: TcpStream, answers: &Answers) {
    let mut lines = BufReader::new(stream.try_clone().expect("is cloned")).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    for line in lines.by_ref() {
        if line.is_empty() {
            break;
        }
    }
    let (status, body, length): (&str, &[u8], usize) = match request.split(' ').nth(1) {
        Some("/?mode=json&include=all") => ("200 OK", &answers.list, answers.list.len()),
        Some(path) if path.ends_with(".tar.gz") => ("200 OK", &answers.sent, answers.announced_bytes),
        _ => ("404 Not Found", b"", 0),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// An archive laid out as Go's own, with a script for the command.
fn archive(script: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(script.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "go/bin/go", script.as_bytes()).expect("is added");
    tar.into_inner().expect("is ended").finish().expect("is compressed")
}

/// This machine in Go's words.
fn host() -> (&'static str, &'static str) {
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    (os, arch)
}
