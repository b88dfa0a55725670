//! Answers on their way out: what GitHub says, and how it refuses.

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::github::Call;
use crate::message::{self, Content};

/// What a handler gives: an answer, or a refusal, which is an answer as well.
pub type Outcome = Result<Response, Response>;

/// An answer in the making.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub content: Content,
    pub headers: Vec<(&'static str, String)>,
    /// What the client should not have sent.
    pub violation: Option<String>,
}

impl Response {
    /// A status and a document.
    pub fn new(status: StatusCode, document: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, content: Content::json(document), headers, violation: None }
    }

    /// 200.
    pub fn ok(document: &Value) -> Self {
        Self::new(StatusCode::OK, document)
    }

    /// 201, with where it is.
    pub fn created(document: &Value) -> Self {
        let address = document["url"].as_str().unwrap_or_default().to_owned();
        Self::new(StatusCode::CREATED, document).with("location", address)
    }

    /// A status without a document.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, content: Content::Memory(Vec::new()), headers: Vec::new(), violation: None }
    }

    /// A status and a message. Source: GitHub REST API, "Troubleshooting the REST API".
    pub fn message(status: StatusCode, message: &str) -> Self {
        let status_text = status.as_u16().to_string();
        let document =
            json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status_text});
        Self::new(status, &document)
    }

    /// 404, which also stands for what the client may not see.
    pub fn not_found() -> Self {
        Self::message(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 422 with an error code: `already_exists`, `missing_field`, `invalid`, `custom`. Source:
    /// "Troubleshooting the REST API", "Validation Failed".
    pub fn invalid(resource: &str, field: &str, code: &str) -> Self {
        let document = json!({
            "message": "Validation Failed",
            "errors": [{"resource": resource, "field": field, "code": code}],
            "documentation_url": "https://docs.github.com/rest",
            "status": "422",
        });
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, &document)
    }

    /// The same with a further header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, held against the client.
    #[must_use]
    pub fn violating(mut self, violation: String) -> Self {
        self.violation = Some(violation);
        self
    }

    /// The same with its ETag, or 304 where the client has it already. Source: GitHub REST API,
    /// "Best practices for using the REST API", "Use conditional requests if appropriate".
    pub fn tagged(self, headers: &HeaderMap) -> Self {
        let tag = format!("W/\"{}\"", self.content.sha256());
        let is_known = headers.get("if-none-match").is_some_and(|known| known.as_bytes() == tag.as_bytes());
        if is_known { Self::empty(StatusCode::NOT_MODIFIED).with("etag", tag) } else { self.with("etag", tag) }
    }

    /// The message as it goes out.
    pub fn into_http(self) -> message::Response {
        let mut response = message::Response::new(self.content);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            let value = value.parse().expect("the fake makes no header that is not text");
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl Call<'_> {
    /// The body as a document of that type. Source: "Troubleshooting the REST API", "Problems
    /// parsing JSON" and "Invalid request". GitHub ignores fields that it does not know; here they
    /// are refused, since they are a mistake of ours.
    pub fn document<T: DeserializeOwned>(&self) -> Result<T, Response> {
        let Content::Memory(bytes) = self.body else {
            return Err(Response::message(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"));
        };
        serde_json::from_slice(bytes).map_err(|error| {
            let (status, message) = if error.is_data() {
                (StatusCode::UNPROCESSABLE_ENTITY, "Invalid request")
            } else {
                (StatusCode::BAD_REQUEST, "Problems parsing JSON")
            };
            Response::message(status, message).violating(format!("a body is not what GitHub takes: {error}"))
        })
    }
}
