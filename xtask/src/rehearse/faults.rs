//! Faults, the requests to which each applies, and schedules: the faults of one pipeline, printed so that
//! they can be given on the command line again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fakes::message::{Content, Response};
use fakes::registry::error;
use http::{Method, StatusCode};
use serde_json::json;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection is refused, and so is every following one until the task has given up.
    Refused,
    /// The connection is reset before the request takes effect.
    ResetBefore,
    /// The request takes effect, then the connection is reset.
    ResetAfter,
    /// The request takes effect, then the connection is closed without a response.
    ReplyLost,
    /// 500, without effect.
    ServerError,
    /// 502, with effect, except that an upload leaves an asset in the state `starter`.
    BadGateway,
    /// 403, as for a secondary rate limit, without effect.
    Forbidden,
    /// The same with `Retry-After`.
    ForbiddenRetryAfter,
    /// 429, without effect.
    TooMany,
    /// The same with `Retry-After`.
    TooManyRetryAfter,
    /// The request takes effect, and the response is cut off.
    Truncated,
    /// The first list after this write is stale.
    Stale,
    /// The request takes effect, then the connection is closed without a response, and from then on lists show each
    /// write only after a time.
    LostInLag(Lag),
    /// All tokens have expired.
    Expired,
    /// The task is killed before the request takes effect.
    KilledBefore,
    /// The request takes effect, then the task is killed.
    KilledAfter,
}

/// How long lists lag behind writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lag {
    name: &'static str,
    milliseconds: u64,
}

impl Lag {
    /// From less than the client's first pause to more than all its pauses.
    const ALL: [Self; 5] = [
        Self { name: "lost-lag-0.5s", milliseconds: 500 },
        Self { name: "lost-lag-2.5s", milliseconds: 2_500 },
        Self { name: "lost-lag-6s", milliseconds: 6_000 },
        Self { name: "lost-lag-12s", milliseconds: 12_000 },
        Self { name: "lost-lag-40s", milliseconds: 40_000 },
    ];

    pub fn duration(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

/// The service that a request is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Github,
    Registry,
}

/// A request of the fault-free pipeline: what decides which faults apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    pub method: Method,
    /// The host that it was sent to, with the port unless it is that of HTTPS.
    pub host: String,
    /// Without the query.
    pub path: String,
    /// Whether it has a bearer token.
    pub has_token: bool,
}

/// One fault at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedFault {
    pub side: Side,
    /// The number of the request to that service, counted from 1 over the whole pipeline.
    pub number: u64,
    pub fault: Fault,
}

/// The faults of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<PlannedFault>);

impl Fault {
    /// All faults, in the order of the table.
    pub const ALL: [Self; 20] = [
        Self::Refused,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::ReplyLost,
        Self::ServerError,
        Self::BadGateway,
        Self::Forbidden,
        Self::ForbiddenRetryAfter,
        Self::TooMany,
        Self::TooManyRetryAfter,
        Self::Truncated,
        Self::Stale,
        Self::LostInLag(Lag::ALL[0]),
        Self::LostInLag(Lag::ALL[1]),
        Self::LostInLag(Lag::ALL[2]),
        Self::LostInLag(Lag::ALL[3]),
        Self::LostInLag(Lag::ALL[4]),
        Self::Expired,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    /// The name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::ReplyLost => "reply-lost",
            Self::ServerError => "500",
            Self::BadGateway => "502",
            Self::Forbidden => "403",
            Self::ForbiddenRetryAfter => "403-retry-after",
            Self::TooMany => "429",
            Self::TooManyRetryAfter => "429-retry-after",
            Self::Truncated => "truncated",
            Self::Stale => "stale",
            Self::LostInLag(lag) => lag.name,
            Self::Expired => "expired",
            Self::KilledBefore => "killed-before",
            Self::KilledAfter => "killed-after",
        }
    }

    /// Whether this fault at this request tests anything.
    pub fn applies(self, side: Side, request: &RecordedRequest) -> bool {
        let is_write = ![Method::GET, Method::HEAD].contains(&request.method);
        match (self, side) {
            (Self::BadGateway, _) | (Self::Stale, Side::Github) => is_write,
            (Self::Stale, Side::Registry) => {
                let is_tag = |path: &str| path.rsplit_once("/manifests/").is_some_and(|(_, tag)| !tag.contains(':'));
                is_write && is_tag(&request.path)
            }
            // At GitHub, POST creates. What a registry is sent has a name by which it is read, not a list.
            (Self::LostInLag(_), _) => side == Side::Github && request.method == Method::POST,
            (Self::Expired, Side::Github) => false,
            (Self::Expired, Side::Registry) => request.has_token,
            _ => true,
        }
    }

    /// Every fault at every request to which it applies, one at a time.
    pub fn each(side: Side, requests: &[RecordedRequest]) -> impl Iterator<Item = Schedule> + '_ {
        requests.iter().zip(1..).flat_map(move |(request, number)| {
            let applicable = Self::ALL.into_iter().filter(move |fault| fault.applies(side, request));
            applicable.map(move |fault| Schedule(vec![PlannedFault { side, number, fault }]))
        })
    }

    /// The response that replaces the real one, if this fault has one.
    pub fn response(self, side: Side) -> Option<Response> {
        let status = match self {
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Forbidden | Self::ForbiddenRetryAfter => StatusCode::FORBIDDEN,
            Self::TooMany | Self::TooManyRetryAfter => StatusCode::TOO_MANY_REQUESTS,
            _ => return None,
        };
        let mut response = match side {
            Side::Registry => error(status, "TOOMANYREQUESTS", "too many requests"),
            Side::Github => rate_limited(status),
        };
        if let Self::ForbiddenRetryAfter | Self::TooManyRetryAfter = self {
            response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
        Some(response)
    }
}

/// Source: GitHub REST API, "Rate limits for the REST API", exceeding the rate limit: 403 or 429, with a
/// message about which limit. No document specifies the body of a 5xx.
fn rate_limited(status: StatusCode) -> Response {
    let document = json!({
        "message": if status.is_server_error() { "Server Error" } else { "You have exceeded a secondary rate limit." },
        "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
    });
    let builder = http::Response::builder().status(status).header("Content-Type", "application/json; charset=utf-8");
    builder.body(Content::json(&document)).expect("the response is valid")
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Github => "github",
            Self::Registry => "registry",
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, PlannedFault { side, number, fault }) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(out, "{comma}{side}:{number}:{}", fault.name())?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |part: &str| {
            let mut fields = part.split(':');
            let side = match fields.next()? {
                "github" => Side::Github,
                "registry" => Side::Registry,
                _ => return None,
            };
            let number = fields.next()?.parse().ok().filter(|number| *number > 0)?;
            let name = fields.next()?;
            let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name)?;
            fields.next().is_none().then_some(PlannedFault { side, number, fault })
        };
        let faults = text.split(',').map(|part| parse(part).ok_or_else(|| invalid(part)));
        faults.collect::<Result<_, _>>().map(Self)
    }
}

fn invalid(part: &str) -> String {
    let names: Vec<&str> = Fault::ALL.map(Fault::name).into();
    format!(
        "{part:?} is not a fault; use github:NUMBER:FAULT or registry:NUMBER:FAULT, where FAULT is one of {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_schedule_can_be_parsed() {
        let text = "github:12:reset-after,registry:3:429-retry-after,github:4:lost-lag-2.5s";
        assert_eq!(text.parse::<Schedule>().expect("a schedule").to_string(), text);
        for text in ["", "github", "github:0:500", "gitlab:1:500", "github:1:flood", "github:1:500:x"] {
            text.parse::<Schedule>().expect_err(text);
        }
    }

    #[test]
    fn only_faults_that_test_something_apply() {
        let seen = |method, path: &str, has_token| RecordedRequest {
            method,
            host: "127.0.0.1:1".to_owned(),
            path: path.to_owned(),
            has_token,
        };
        let read = seen(Method::GET, "/v2/o/x/manifests/latest", true);
        let by_digest = seen(Method::PUT, "/v2/o/x/manifests/sha256:00", true);
        let by_tag = seen(Method::PUT, "/v2/o/x/manifests/latest", false);
        let of = |side, request: &RecordedRequest| Fault::each(side, std::slice::from_ref(request)).count();
        assert_eq!((of(Side::Registry, &read), of(Side::Github, &read)), (13, 12));
        assert_eq!(
            (of(Side::Registry, &by_digest), of(Side::Registry, &by_tag), of(Side::Github, &by_tag)),
            (14, 14, 14)
        );
        let creation = seen(Method::POST, "/repos/o/x/releases", true);
        assert_eq!((of(Side::Github, &creation), of(Side::Registry, &creation)), (19, 14));
    }
}
