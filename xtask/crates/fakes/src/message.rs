//! What the fakes take and give: HTTP messages whose bodies may be too large for memory. A fake
//! is a state machine over these and knows no socket.

use camino::Utf8PathBuf;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::digest::sha256;

/// All but what RFC 3986, section 2.3, calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request, whole.
pub type Request = http::Request<Content>;
/// The answer to it.
pub type Response = http::Response<Content>;

/// One side of the rehearsal.
pub trait Service: Send {
    /// Answers one request, and takes its effect.
    fn handle(&mut self, request: &Request) -> Response;
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A small one.
    Memory(Vec<u8>),
    /// A large one, spooled to a file while it arrived.
    File {
        /// Where it lies, in the rehearsal's own folder.
        path: Utf8PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
        /// Its SHA-256 in hexadecimal digits.
        sha256: String,
    },
}

impl Content {
    /// A JSON document.
    pub fn json(document: &serde_json::Value) -> Self {
        Self::Memory(document.to_string().into_bytes())
    }

    /// Its size in bytes.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size_bytes, .. } => *size_bytes,
        }
    }

    /// Its SHA-256 in hexadecimal digits.
    pub fn sha256(&self) -> String {
        match self {
            Self::Memory(bytes) => sha256(bytes),
            Self::File { sha256, .. } => sha256.clone(),
        }
    }
}

/// How much of an answer is sent. A service that wants less than the whole puts this into the
/// extensions of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Whole,
    /// It breaks off in the middle of its body or, without a body, in the middle of its head.
    Half,
    /// The connection is closed without an answer.
    Nothing,
}

/// Percent-encodes a part of a path or of a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Undoes percent-encoding.
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The names and values of a URL's query, decoded; `+` is a space, as in forms.
pub fn query(uri: &http::Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect()
}
