//! The one HTTP client: TLS by the system's trust store, a limit on everything, and plain HTTP to
//! this machine alone.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::model::endpoint::Endpoint;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const RESPONSE_LIMIT: Duration = Duration::from_secs(30);
const BODY_LIMIT: Duration = Duration::from_secs(30 * 60);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A client for one endpoint.
pub struct Http {
    agent: Agent,
    endpoint: Endpoint,
}

impl Http {
    /// A client that follows redirects over TLS only, except that an endpoint on loopback gets
    /// plain HTTP and no redirects.
    pub fn new(endpoint: Endpoint) -> Self {
        let config = Agent::config_builder()
            .https_only(!endpoint.is_loopback())
            .max_redirects(if endpoint.is_loopback() { 0 } else { 5 })
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(RESPONSE_LIMIT))
            .timeout_recv_body(Some(BODY_LIMIT))
            .user_agent("docker-for-riscv64-xtask")
            .build();
        Self { agent: config.into(), endpoint }
    }

    /// Whether the endpoint answers at all, whatever it says.
    ///
    /// # Errors
    /// Where no connection comes about.
    pub fn reach(&self) -> Result<()> {
        match self.agent.head(self.endpoint.to_string()).call() {
            Ok(_) | Err(ureq::Error::StatusCode(_)) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{} does not answer", self.endpoint)),
        }
    }

    /// The whole of a small document.
    ///
    /// # Errors
    /// As [`Http::open`], and where it is larger than `limit_bytes`.
    pub fn get(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let url = self.endpoint.join(path);
        self.open(path)?.take(limit_bytes + 1).read_to_end(&mut body).with_context(|| format!("cannot read {url}"))?;
        if body.len() as u64 > limit_bytes {
            bail!("{url} is larger than {limit_bytes} bytes");
        }
        Ok(body)
    }

    /// The body behind `path`, as a stream. What may pass (no connection, a status of 500 and
    /// above, 429) is tried three times in all.
    ///
    /// # Errors
    /// Where no answer comes or its status is not a success.
    pub fn open(&self, path: &str) -> Result<impl Read + use<>> {
        let url = self.endpoint.join(path);
        let mut attempt = 1;
        loop {
            let passing = match self.agent.get(&url).call() {
                Ok(response) if response.status().is_success() => return Ok(response.into_body().into_reader()),
                Ok(response) => bail!("{url} answered {}", response.status()),
                Err(ureq::Error::StatusCode(status)) if status < 500 && status != 429 => {
                    bail!("{url} answered {status}")
                }
                Err(error) => error,
            };
            if attempt == ATTEMPTS || matches!(passing, ureq::Error::HostNotFound | ureq::Error::Tls(_)) {
                return Err(passing).with_context(|| format!("cannot get {url}"));
            }
            std::thread::sleep(FIRST_PAUSE * 2_u32.pow(attempt - 1));
            attempt += 1;
        }
    }
}
