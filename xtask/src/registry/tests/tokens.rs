//! A token service that docker-registry trusts.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and asks the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use camino::Utf8PathBuf;
use fakes::script::{Script, header, response};
use percent_encoding::percent_decode_str;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use crate::registry::tests::servers::{Scratch, USER, run};

/// The user who may only pull, at the token service.
pub const READER: (&str, &str) = ("reader", "battery staple");

/// A token service: everyone may pull, and [`USER`] may push as well.
/// Source: CNCF Distribution, "Token Authentication Implementation".
pub struct TokenService {
    server: Script,
    pub certificate: Utf8PathBuf,
    pub issued: Arc<AtomicU32>,
    signer: Arc<Signer>,
    _folder: Scratch,
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
}

impl TokenService {
    /// Starts one, or returns `None` if there is no openssl to create its key.
    pub fn start() -> Option<Self> {
        let folder = Scratch::new();
        let [key, certificate] = ["key.pem", "cert.pem"].map(|name| folder.0.join(name));
        let [der, certificate_der] = ["key.der", "cert.der"].map(|name| folder.0.join(name));
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"];
        let files = ["-keyout", key.as_str(), "-out", certificate.as_str()];
        run("openssl", &[&["req", "-x509", "-days", "2"][..], &curve, &files].concat())?;
        run("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", key.as_str(), "-outform", "DER", "-out", der.as_str()])?;
        run("openssl", &["x509", "-in", certificate.as_str(), "-outform", "DER", "-out", certificate_der.as_str()])?;
        let der = std::fs::read(der).expect("is read");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new());
        let certificate_der = STANDARD.encode(std::fs::read(certificate_der).expect("is read"));
        let signer = Arc::new(Signer { key: key.expect("a key"), certificate: certificate_der });
        let issued = Arc::new(AtomicU32::new(0));
        let (signs, counts) = (signer.clone(), issued.clone());
        let server = Script::start(move |request| {
            let [user, reader] = [USER, READER].map(|(name, password)| STANDARD.encode(format!("{name}:{password}")));
            let may_push = match header(request, "authorization").map(|found| found.trim_start_matches("Basic ")) {
                Some(found) if found == user => true,
                Some(found) if found == reader => false,
                None => false,
                Some(_) => return response(401, &[], r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#),
            };
            let query = request.uri().query().unwrap_or_default();
            let scopes = query.split('&').filter_map(|part| part.strip_prefix("scope="));
            let scopes: Vec<_> =
                scopes.map(|scope| percent_decode_str(scope).decode_utf8_lossy().into_owned()).collect();
            assert!(query.contains("service=test-registry"), "{query}");
            counts.fetch_add(1, Ordering::Relaxed);
            response(200, &[], json!({ "access_token": signs.token(&scopes, may_push, 3600) }).to_string())
        });
        Some(Self { server, certificate, issued, signer, _folder: folder })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// A token with full access to a repository that expired an hour ago.
    pub fn expired(&self, path: &str) -> String {
        self.signer.token(&[format!("repository:{path}:pull,push")], true, -3600)
    }
}

impl Signer {
    fn token(&self, scopes: &[String], may_push: bool, lifetime_seconds: i64) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("is later").as_secs();
        let now = i64::try_from(now).expect("fits");
        let access = scopes.iter().map(|scope| {
            let [kind, name, actions] = scope.split(':').collect::<Vec<_>>()[..] else { panic!("{scope}") };
            let granted: Vec<_> = actions.split(',').filter(|action| may_push || *action == "pull").collect();
            json!({ "type": kind, "name": name, "actions": granted })
        });
        let claims = json!({
            "iss": "test issuer", "sub": "", "aud": "test-registry", "jti": "1",
            "iat": now - 7200, "nbf": now - 7200, "exp": now + lifetime_seconds,
            "access": access.collect::<Vec<_>>(),
        });
        let head = json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.certificate] });
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), format!("{head}.{claims}").as_bytes()).expect("is signed");
        format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
