//! The printed commands of each step, as a shell and `oras` read them, store what the step stores.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fakes::message::{Content, Request, Response, Service};
use fakes::registry::{Account, FakeRegistry, Referrers};
use fakes::server::{NoFaults, Server};
use oci::documents::{INDEX_TYPE, Manifest};

use super::*;
use crate::http::Authorization;

/// One stored document: its path in the repository, its media type and its content.
type Sent = (String, Option<String>, String);

/// A registry that records what is stored.
struct Recorder {
    fake: FakeRegistry,
    sent: Vec<Sent>,
}

impl Service for Recorder {
    fn handle(&mut self, request: &Request) -> Response {
        if request.method() == http::Method::PUT {
            let Content::Memory(body) = request.body() else { panic!("a small body") };
            let body = String::from_utf8(body.clone()).expect("text");
            let path = request.uri().path();
            let (path, media_type) = match request.uri().query().and_then(|query| query.split_once("digest=")) {
                Some((_, digest)) => (format!("blobs/{}", digest.replace("%3A", ":")), None),
                None => {
                    let media_type = request.headers()["content-type"].to_str().expect("text").to_owned();
                    (path.replace("/v2/o/buildkit-riscv64/", ""), Some(media_type))
                }
            };
            self.sent.push((path, media_type, body));
        }
        self.fake.handle(request)
    }
}

/// A new kind of step fails to compile here, and then has to be added to the test.
fn kind(step: &RegistryStep) -> usize {
    match step {
        RegistryStep::PushBlob { .. } => 0,
        RegistryStep::PushManifest { .. } => 1,
        RegistryStep::Attach { .. } => 2,
        RegistryStep::Tag { .. } => 3,
    }
}
const KINDS: usize = 4;

/// What the commands of a line store, by the manual of oras; `manifest` is what `oras tag` reads.
fn printed(line: &str, repository: &str, manifest: &str) -> Vec<Sent> {
    let words = shlex::split(line).expect("a line for a shell");
    let mut stored = Vec::new();
    for command in words.split(|word| word == "&&") {
        let (input, command) = match command.iter().position(|word| word == "|") {
            Some(end) => (Some(command[2].clone()), &command[end + 1..]),
            None => (None, command),
        };
        let words: Vec<&str> = command.iter().map(String::as_str).filter(|word| *word != "--plain-http").collect();
        let content = |path: &str| match (path, &input) {
            ("-", Some(input)) => input.clone(),
            _ => fs::read_to_string(path).expect("is read"),
        };
        let digest =
            |name: &str| name.strip_prefix(repository).and_then(|rest| rest.strip_prefix('@')).map(str::to_owned);
        stored.push(match words[..] {
            ["oras", "blob", "push", name, path] => {
                (format!("blobs/{}", digest(name).expect("a digest")), None, content(path))
            }
            ["oras", "blob", "push", "--size", size, name, path] => {
                let content = content(path);
                assert_eq!(size, content.len().to_string());
                (format!("blobs/{}", digest(name).expect("a digest")), None, content)
            }
            ["oras", "manifest", "push", "--media-type", media_type, name, path] => {
                let reference = format!("manifests/{}", digest(name).expect("a digest"));
                (reference, Some(media_type.to_owned()), content(path))
            }
            ["oras", "tag", name, tag] => {
                assert_eq!(digest(name).expect("a digest"), format!("sha256:{}", sha256(manifest.as_bytes())));
                (format!("manifests/{tag}"), Some(MANIFEST_TYPE.to_owned()), manifest.to_owned())
            }
            _ => panic!("{words:?} is not a command of oras that this test knows"),
        });
    }
    stored
}

#[test]
fn each_step_prints_commands_that_make_the_same_change() {
    let folder = std::env::temp_dir().join(format!("xtask-registry-steps-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("is created");
    let write = |name: &str, content: &str| {
        let path = Utf8PathBuf::try_from(folder.join(name)).expect("a UTF-8 path");
        fs::write(&path, content).expect("is written");
        (path, sha256(content.as_bytes()), content.len() as u64)
    };
    let account = Account { username: "o".to_owned(), password: "secret".to_owned(), may_push: true };
    let mut fake = FakeRegistry::new(account, Vec::new());
    fake.referrers = Referrers::Listed;
    let recorder = Arc::new(Mutex::new(Recorder { fake, sent: Vec::new() }));
    let server = Server::start(recorder.clone(), Utf8PathBuf::new(), Arc::new(NoFaults)).expect("starts");
    let host = server.url().replace("http://", "");
    let repository = ImageRepository::of(&host, "o").expect("a repository");
    let registry = Registry::new(repository.clone(), Some(Authorization::basic("o", "secret")));

    let (blob, blob_digest, blob_bytes) = write("it's a blob", "{}\n");
    let config = Descriptor::config(&blob_digest.clone().into(), blob_bytes);
    let manifest = serde_json::to_string(&Manifest::new(config, Vec::new(), [].into())).expect("is JSON");
    let (path, digest, subject_size_bytes) = write("manifest", &manifest);
    let digest = Digest::from(digest);
    let (sbom, sbom_digest, sbom_bytes) = write("it's an SBOM", "{ }");
    let steps = [
        RegistryStep::PushBlob {
            repository: repository.clone(),
            digest: blob_digest.into(),
            path: blob,
            size_bytes: blob_bytes,
        },
        RegistryStep::PushManifest { repository: repository.clone(), digest: digest.clone(), path },
        RegistryStep::Attach {
            repository: repository.clone(),
            subject: digest.clone(),
            subject_size_bytes,
            artifact_type: "application/spdx+json".to_owned(),
            path: sbom,
            size_bytes: sbom_bytes,
            sha256: sbom_digest,
        },
        RegistryStep::Tag { repository: repository.clone(), digest, tag: "latest".parse().expect("a tag"), from: None },
    ];
    assert_eq!(steps.iter().map(kind).collect::<BTreeSet<_>>(), (0..KINDS).collect());
    for step in &steps {
        let line = step.to_string();
        step.execute(&registry).expect(&line);
        let sent = std::mem::take(&mut recorder.lock().expect("no panic").sent);
        assert_eq!(printed(&line, &repository.to_string(), &manifest), sent, "{line}");
    }
    assert_eq!(recorder.lock().expect("no panic").fake.violations(), [""; 0]);
    fs::remove_dir_all(folder).expect("is removed");
}

#[test]
fn a_tag_that_another_run_has_moved_meanwhile_is_not_moved() {
    let account = Account { username: "o".to_owned(), password: "secret".to_owned(), may_push: true };
    let fake = Arc::new(Mutex::new(FakeRegistry::new(account, Vec::new())));
    let server = Server::start(fake, Utf8PathBuf::new(), Arc::new(NoFaults)).expect("starts");
    let host = server.url().replace("http://", "");
    let repository = ImageRepository::of(&host, "o").expect("a repository");
    let registry = Registry::new(repository.clone(), Some(Authorization::basic("o", "secret")));
    let push = |text: &str| {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[],"annotations":{{"n":"{text}"}}}}"#
        );
        registry.push_manifest(INDEX_TYPE, manifest.as_bytes()).expect("is pushed");
        Digest::from(sha256(manifest.as_bytes()))
    };
    let [first, second, third] = ["1", "2", "3"].map(push);
    let tag: ImageTag = "latest".parse().expect("a tag");
    let set = |digest: &Digest, from: Option<&Digest>| {
        let (repository, digest, from) = (repository.clone(), digest.clone(), from.cloned());
        RegistryStep::Tag { repository, digest, tag: tag.clone(), from }.execute(&registry)
    };
    set(&first, None).expect("is set");
    set(&second, Some(&first)).expect("moves");
    set(&second, Some(&first)).expect("is there already");
    let error = set(&third, Some(&first)).expect_err("was moved meanwhile").to_string();
    assert!(error.contains(&format!("latest was set to {second} meanwhile")), "{error}");
    let line = RegistryStep::Tag { repository, digest: third, tag, from: Some(second.clone()) }.to_string();
    assert!(line.ends_with(&format!(" latest  # it was {second}")) && shlex::split(&line).expect("a line").len() == 5);
}
