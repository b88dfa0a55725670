//! HTTP/1.1 as far as the fakes need it: reads one request and writes one response.
#![allow(clippy::disallowed_types, reason = "reads and writes files and opens sockets")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Write};
use std::net::TcpStream;

use camino::Utf8Path;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Request, StatusCode};

use crate::digest::HashingWriter;
use crate::message::{Content, Delivery, Response};

const MOST_HEADERS: usize = 64;
const LARGEST_HEAD_BYTES: usize = 64 << 10;
/// Larger bodies go to a file.
const LARGEST_IN_MEMORY_BYTES: usize = 4 << 20;

/// A socket that always leaves the last byte it returned unread in the kernel. Dropped like this, the
/// connection is reset rather than closed, because Linux resets a connection that is closed with unread
/// data (RFC 2525, section 2.17; setting `SO_LINGER` is not in stable Rust).
pub struct ResettableSocket {
    pub stream: TcpStream,
    holds_byte: bool,
}

impl ResettableSocket {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, holds_byte: false }
    }

    /// Reads that byte too: dropped from now on, the connection is closed normally.
    pub fn read_held_byte(&mut self) -> io::Result<()> {
        if self.holds_byte {
            self.stream.read_exact(&mut [0])?;
            self.holds_byte = false;
        }
        Ok(())
    }
}

impl Read for ResettableSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_held_byte()?;
        let count = self.stream.peek(buffer)?;
        if count > 0 {
            self.stream.read_exact(&mut buffer[..count - 1])?;
            self.holds_byte = true;
        }
        Ok(count)
    }
}

/// A request whose head has been read.
pub struct Incoming<'a> {
    pub head: Request<()>,
    socket: &'a mut ResettableSocket,
    /// The part of the body that arrived together with the head.
    body_start: Vec<u8>,
}

impl<'a> Incoming<'a> {
    /// Reads the head. `None` if the client closes the connection before it is complete.
    pub fn read(socket: &'a mut ResettableSocket) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 8 << 10];
        while bytes.len() < LARGEST_HEAD_BYTES {
            let count = socket.read(&mut buffer)?;
            if count == 0 {
                return Ok(None);
            }
            bytes.extend_from_slice(&buffer[..count]);
            if let Some((head, size_bytes)) = parse(&bytes).map_err(invalid_data)? {
                let body_start = bytes.split_off(size_bytes);
                return Ok(Some(Self { head, socket, body_start }));
            }
        }
        Err(invalid_data("the head is too large"))
    }

    /// Reads the body, into `path` if it is large. Fails if it is incomplete. If its length is announced,
    /// at most `most_bytes` are read.
    pub fn body(&mut self, path: &Utf8Path, most_bytes: u64) -> io::Result<Content> {
        let header = |name: HeaderName| self.head.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        if header(EXPECT).is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            (&self.socket.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let is_chunked = header(TRANSFER_ENCODING).is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let announced = header(CONTENT_LENGTH).map_or(Ok(0), str::parse).map_err(invalid_data)?;
        let body_start = std::mem::take(&mut self.body_start);
        let mut source = BufReader::new(Cursor::new(body_start).chain(&mut *self.socket));
        let mut spool = Spool { memory: Vec::new(), file: None, path, size_bytes: 0 };
        if is_chunked {
            loop {
                let mut line = String::new();
                source.read_line(&mut line)?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size_bytes = u64::from_str_radix(size, 16).map_err(invalid_data)?;
                copy_exactly(&mut source, size_bytes, &mut spool)?;
                // The line end after a chunk, or after the empty last one; our clients send no trailers.
                copy_exactly(&mut source, 2, &mut io::sink())?;
                if size_bytes == 0 {
                    break;
                }
            }
        } else {
            copy_exactly(&mut source, most_bytes.min(announced), &mut spool)?;
        }
        Ok(spool.finish())
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Request<()>, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(size_bytes) = parsed.parse(bytes)? else { return Ok(None) };
    let mut head = Request::builder().method(parsed.method.unwrap_or_default()).uri(parsed.path.unwrap_or_default());
    for header in parsed.headers {
        head = head.header(header.name, HeaderValue::from_bytes(header.value)?);
    }
    Ok(Some((head.body(())?, size_bytes)))
}

fn invalid_data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Copies exactly this many bytes.
fn copy_exactly(from: &mut impl Read, size_bytes: u64, to: &mut impl Write) -> io::Result<()> {
    let passed_bytes = io::copy(&mut from.take(size_bytes), to)?;
    if passed_bytes == size_bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Collects a body in memory, or in a file once it is too large.
struct Spool<'a> {
    memory: Vec<u8>,
    file: Option<HashingWriter<File>>,
    path: &'a Utf8Path,
    size_bytes: u64,
}

impl Write for Spool<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size_bytes += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        } else if self.memory.len() + bytes.len() <= LARGEST_IN_MEMORY_BYTES {
            self.memory.extend_from_slice(bytes);
        } else {
            let mut file = HashingWriter::new(File::create(self.path)?);
            file.write_all(&std::mem::take(&mut self.memory))?;
            file.write_all(bytes)?;
            self.file = Some(file);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spool<'_> {
    fn finish(self) -> Content {
        match self.file {
            None => Content::Memory(self.memory),
            Some(file) => {
                let (path, size_bytes, sha256) = (self.path.to_owned(), self.size_bytes, file.finish());
                Content::File { path, size_bytes, sha256 }
            }
        }
    }
}

/// Writes a response. For HEAD only its head, with the length that the body would have.
pub fn write_response(
    mut stream: &TcpStream,
    response: &Response,
    is_head: bool,
    delivery: Delivery,
    is_last: bool,
) -> io::Result<()> {
    if delivery == Delivery::Nothing {
        return Ok(());
    }
    let status = response.status();
    let size_bytes = response.body().size_bytes();
    let has_no_body = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().map_err(invalid_data)?));
    }
    if !has_no_body && !response.headers().contains_key(CONTENT_LENGTH) {
        head.push_str(&format!("content-length: {size_bytes}\r\n"));
    }
    head.push_str(if is_last { "connection: close\r\n\r\n" } else { "\r\n" });
    let sends_body = !is_head && !has_no_body && size_bytes > 0;
    if delivery == Delivery::Half && !sends_body {
        return stream.write_all(&head.as_bytes()[..head.len() / 2]);
    }
    stream.write_all(head.as_bytes())?;
    if !sends_body {
        return Ok(());
    }
    let sent_bytes = if delivery == Delivery::Whole { size_bytes } else { size_bytes / 2 };
    match response.body() {
        Content::Memory(bytes) => copy_exactly(&mut bytes.as_slice(), sent_bytes, &mut stream),
        Content::File { path, .. } => copy_exactly(&mut File::open(path)?, sent_bytes, &mut stream),
    }
}
