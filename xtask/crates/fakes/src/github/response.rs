//! Responses and error responses.

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::github::Call;
use crate::message::{self, Content};

/// The result of a handler. Both are responses; `Err` is an error response.
pub type Outcome = Result<Response, Response>;

/// A response under construction.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub content: Content,
    pub headers: Vec<(&'static str, String)>,
    /// What the client should not have sent.
    pub violation: Option<String>,
}

impl Response {
    pub fn new(status: StatusCode, document: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, content: Content::json(document), headers, violation: None }
    }

    pub fn ok(document: &Value) -> Self {
        Self::new(StatusCode::OK, document)
    }

    /// 201, with the new object's URL in `Location`.
    pub fn created(document: &Value) -> Self {
        let address = document["url"].as_str().unwrap_or_default().to_owned();
        Self::new(StatusCode::CREATED, document).with("location", address)
    }

    /// A response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, content: Content::Memory(Vec::new()), headers: Vec::new(), violation: None }
    }

    /// An error with a message. Source: GitHub REST API, "Troubleshooting the REST API".
    pub fn message(status: StatusCode, message: &str) -> Self {
        let status_text = status.as_u16().to_string();
        let document =
            json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status_text});
        Self::new(status, &document)
    }

    /// 404, also for what the client may not see.
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

    /// 422 with the code `custom` and an explanation. Source: as of [`Response::invalid`].
    pub fn custom(resource: &str, message: &str) -> Self {
        let document = json!({
            "message": "Validation Failed",
            "errors": [{"resource": resource, "code": "custom", "message": message}],
            "documentation_url": "https://docs.github.com/rest",
            "status": "422",
        });
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, &document)
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Records a violation by the client.
    #[must_use]
    pub fn violating(mut self, violation: String) -> Self {
        self.violation = Some(violation);
        self
    }

    /// Adds the ETag, or turns the response into a 304 if the client has this version. Source: GitHub
    /// REST API, "Best practices for using the REST API", "Use conditional requests if appropriate".
    pub fn with_etag(self, headers: &HeaderMap) -> Self {
        let tag = format!("W/\"{}\"", self.content.sha256());
        let is_known = headers.get("if-none-match").is_some_and(|known| known.as_bytes() == tag.as_bytes());
        if is_known { Self::empty(StatusCode::NOT_MODIFIED).with("etag", tag) } else { self.with("etag", tag) }
    }

    pub fn into_http(self) -> message::Response {
        let mut response = message::Response::new(self.content);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            let value = value.parse().expect("header values are text");
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl Call<'_> {
    /// The body, parsed. Source: "Troubleshooting the REST API", "Problems parsing JSON" and "Invalid
    /// request". Most endpoints of GitHub ignore unknown fields; here they are refused, because sending
    /// one is a mistake of ours.
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
            Response::message(status, message).violating(format!("GitHub does not accept a body: {error}"))
        })
    }
}
