//! The requests and responses of the fakes: HTTP messages whose bodies may be too large for memory. A
//! fake is a state machine over these and has no sockets.

use camino::Utf8PathBuf;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::digest::sha256;

/// All characters except those that RFC 3986, section 2.3, calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub type Request = http::Request<Content>;
pub type Response = http::Response<Content>;

/// A fake service.
pub trait Service: Send {
    /// Handles one request, including its effect.
    fn handle(&mut self, request: &Request) -> Response;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Memory(Vec<u8>),
    /// A large body, spooled to a file while it arrived.
    File {
        path: Utf8PathBuf,
        size_bytes: u64,
        /// In hexadecimal.
        sha256: String,
    },
}

impl Content {
    pub fn json(document: &serde_json::Value) -> Self {
        Self::Memory(document.to_string().into_bytes())
    }

    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size_bytes, .. } => *size_bytes,
        }
    }

    /// The SHA-256, in hexadecimal.
    pub fn sha256(&self) -> String {
        match self {
            Self::Memory(bytes) => sha256(bytes),
            Self::File { sha256, .. } => sha256.clone(),
        }
    }
}

/// How much of a response is sent. A service that wants less than all of it sent puts this into the
/// extensions of its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Whole,
    /// The response is cut off in the middle of its body or, if it has none, in the middle of its head.
    Half,
    /// The connection is closed without a response.
    Nothing,
}

/// Percent-encodes a part of a path or a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes percent-encoding.
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The names and values of a URL's query, decoded. `+` is a space, as in forms.
pub fn query(uri: &http::Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect()
}
