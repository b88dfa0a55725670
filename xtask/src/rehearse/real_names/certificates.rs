//! A certificate authority for one run, made with the program `openssl`: a crate would be compiled by everyone for the
//! sake of a few files.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fakes::names::{GITHUB_NAMES, REGISTRY_NAMES};
use fakes::tls::{Identity, TlsTerminator};

use crate::os::process::run;

pub const HTTPS: u16 = 443;

/// What the clients of a run trust, and what its servers show them.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The certificate of the authority.
    pub authority: Utf8PathBuf,
    pub server: Identity,
}

impl Certificates {
    /// Makes both in `folder`, for servers with these names. They are valid for two days, and the authority's key is
    /// removed, so that it can sign nothing else.
    pub fn create(folder: &Utf8Path, names: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
        let [settings, authority, authority_key] =
            ["openssl.cnf", "authority.pem", "authority.key"].map(|name| folder.join(name));
        let [certificate, key, request] = ["server.pem", "server.key", "server.csr"].map(|name| folder.join(name));
        fs::write(&settings, openssl_settings(names)).with_context(|| format!("cannot write {settings}"))?;
        let curve = "ec_paramgen_curve:P-256";
        let new_key = ["-config", settings.as_str(), "-nodes", "-newkey", "ec", "-pkeyopt", curve];
        run!("openssl req -x509 -extensions authority -days 2 -subj /CN=Rehearsal-authority")
            .args(new_key)
            .args(["-keyout", authority_key.as_str(), "-out", authority.as_str()])
            .read()?;
        run!("openssl req -new -subj /CN=Rehearsal -keyout {key} -out {request}").args(new_key).read()?;
        run!("openssl x509 -req -in {request} -CA {authority} -CAkey {authority_key} -set_serial 2 -days 2")
            .args(["-extfile", settings.as_str(), "-extensions", "server", "-out", certificate.as_str()])
            .read()?;
        fs::remove_file(&authority_key).with_context(|| format!("cannot remove {authority_key}"))?;
        Ok(Self { authority, server: Identity { certificate, key } })
    }

    /// Serves all real names on the port of HTTPS, with the fakes on these ports behind them.
    pub fn serve(&self, github: u16, registry: u16) -> Result<TlsTerminator> {
        let of = |names: &[&str], port: u16| names.iter().map(|name| ((*name).to_owned(), port)).collect::<Vec<_>>();
        let servers: BTreeMap<_, _> =
            [of(&GITHUB_NAMES, github), of(&REGISTRY_NAMES, registry)].concat().into_iter().collect();
        TlsTerminator::start(HTTPS, &self.server, servers)
    }
}

/// The machine's own settings are not used: they may be missing, or add extensions.
fn openssl_settings(names: &[&str]) -> String {
    let mut text = "[req]\ndistinguished_name = subject\nprompt = no\n[subject]\nCN = Rehearsal\n\
        [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
        [server]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = serverAuth\nsubjectAltName = "
        .to_owned();
    for (index, name) in names.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}DNS:{name}", if index == 0 { "" } else { "," });
    }
    text + "\n"
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "opens sockets")]
mod tests {
    use std::io::Write as _;

    use fakes::script::{Script, response};
    use ureq::Agent;
    use ureq::tls::{Certificate, RootCerts, TlsConfig};

    use super::*;
    use crate::http::Http;
    use crate::os::host;

    /// A large body in both directions, then a client that does not trust the authority, then an unknown name.
    #[test]
    fn only_who_trusts_the_authority_reaches_the_server() {
        let name = "only_who_trusts_the_authority_reaches_the_server";
        if host::on_path("openssl").is_none() {
            writeln!(std::io::stderr(), "SKIPPED {name}: openssl is not installed").expect("is printed");
            return;
        }
        let folder = std::env::temp_dir().join(format!("xtask-certificates-{}", std::process::id()));
        let folder = Utf8PathBuf::try_from(folder).expect("UTF-8");
        let certificates = Certificates::create(&folder, &["localhost", "other.example"]).expect("are made");
        assert!(!folder.join("authority.key").exists(), "the authority can sign no more");
        let script = Script::start(|request| response(200, &[], request.body().sha256().repeat(4_000)));
        let port: u16 = script.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let terminator = |served: &str| {
            let servers = [(served.to_owned(), port)].into();
            TlsTerminator::start(0, &certificates.server, servers).expect("starts")
        };
        let (known, unknown) = (terminator("localhost"), terminator("other.example"));
        let url = |terminator: &TlsTerminator| format!("https://localhost:{}/", terminator.port());
        let pem = fs::read(&certificates.authority).expect("is read");
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&pem).expect("a certificate")]);
        let config = Agent::config_builder().tls_config(TlsConfig::builder().root_certs(roots).build()).build();
        let agent: Agent = config.into();
        for _ in 0..3 {
            let mut answer = agent.post(url(&known)).send(&[7; 300_000][..]).expect("is answered");
            assert_eq!(answer.body_mut().read_to_string().expect("is whole").len(), 64 * 4_000);
        }
        agent.post(url(&unknown)).send(&b"x"[..]).expect_err("there is no server of that name");
        let error = Http::default().reach(&url(&known).parse().expect("a URL")).expect_err("is not trusted");
        assert!(format!("{error:#}").contains("certificate"), "{error:#}");
        assert_eq!(script.requests().len(), 3);
        fs::remove_dir_all(&folder).expect("is removed");
    }
}
