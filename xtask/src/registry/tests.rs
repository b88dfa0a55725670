//! The client against real registries: docker-registry without credentials, with passwords and with
//! tokens, and the registry at `LAB_REGISTRY`. Skopeo and an engine then read what it pushed.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the environment")]

use std::io::Write as _;
use std::sync::atomic::Ordering;

use camino::Utf8PathBuf;
use fakes::sample_image::{self, ENTRYPOINT, Item};
use oci::digest::sha256;
use oci::documents::{MANIFEST_TYPE, Manifest};
use oci::referrers::{Attachment, fallback_tag};
use servers::{DockerRegistry, Scratch, USER, breaking, run};
use tokens::{READER, TokenService};

use super::*;
use crate::os::terminal::Unit;

mod scripted;
pub mod servers;
mod tokens;

/// Prints the name of a test that could not run, and the reason; `cargo xtask ci` counts these lines.
pub fn skip(name: &str, reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED {name}: {reason}").expect("standard error takes a line");
}

fn tag(text: &str) -> ImageTag {
    text.parse().expect(text)
}

/// A client of our image there, with this user and password.
fn client(address: &str, login: Option<(&str, &str)>) -> Registry {
    let credentials = login.map(|(user, password)| Authorization::basic(user, password));
    Registry::new(ImageRepository::of(address, "Tests").expect("a name"), credentials)
}

fn progress() -> Progress {
    Progress::new("test", Unit::Bytes)
}

/// The text of an error, after a check that it has no secret of the tests.
fn message(error: &Error) -> String {
    let text = format!("{error:#} {error:?}");
    let secrets = [USER.1.to_owned(), Authorization::basic(USER.0, USER.1).header().replace("Basic ", "")];
    assert!(!secrets.iter().any(|secret| text.contains(secret)) && !text.contains("eyJ"), "{text}");
    text
}

/// Bytes that do not repeat and differ in each run, so that no registry has them.
fn noise(count: usize) -> Vec<u8> {
    let mut state = u64::from(std::process::id()) << 20 | count as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(count).collect()
}

/// A small image: its files, the lowest layer first and the configuration last, and its manifest.
fn image(scratch: &Scratch) -> (Vec<(Descriptor, Utf8PathBuf)>, Vec<u8>) {
    let layer = sample_image::layer(&[Item::Folder("./"), Item::File("noise", 0o644, noise(300_000))]);
    let diff_id = sha256(&layer).to_string();
    let config = sample_image::config(&ENTRYPOINT, &[format!("sha256:{diff_id}")]).to_string();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&layer).expect("memory");
    let packed = packed.finish().expect("memory");
    let of = |bytes: &[u8]| (Digest::from(sha256(bytes)), bytes.len() as u64);
    let ((layer, layer_bytes), (configuration, config_bytes)) = (of(&packed), of(config.as_bytes()));
    let descriptors = [Descriptor::layer(&layer, layer_bytes), Descriptor::config(&configuration, config_bytes)];
    let manifest = Manifest::new(descriptors[1].clone(), vec![descriptors[0].clone()], [].into());
    let files = [scratch.file("layer", &packed), scratch.file("config", config.as_bytes())];
    (descriptors.into_iter().zip(files).collect(), serde_json::to_vec(&manifest).expect("is JSON"))
}

/// Pushes the image as a release does, and reads it back.
fn push(registry: &Registry, scratch: &Scratch) -> (Descriptor, Vec<Pushed>) {
    let (blobs, manifest) = image(scratch);
    let mut progress = progress();
    let push =
        |(blob, path): &(Descriptor, Utf8PathBuf)| registry.push_blob(blob, path, &mut progress).expect("is pushed");
    let pushed = blobs.iter().map(push).collect();
    assert_eq!(progress.done(), blobs.iter().map(|(blob, _)| blob.size).sum::<u64>());
    let descriptor = described(MANIFEST_TYPE, &manifest);
    registry.push_manifest(MANIFEST_TYPE, &manifest).expect("is pushed");
    registry.tag(&tag("latest"), MANIFEST_TYPE, &manifest).expect("is tagged");
    for reference in [Reference::from(&tag("latest")), Reference::from(&descriptor.digest)] {
        let found = registry.manifest(&reference).expect("is answered").expect("is there");
        assert_eq!(found, Found { descriptor: descriptor.clone(), bytes: manifest.clone() });
    }
    (descriptor, pushed)
}

fn attachment(scratch: &Scratch) -> (Attachment, Utf8PathBuf) {
    let content = br#"{"spdxVersion":"SPDX-2.3"}"#;
    let attachment = Attachment {
        artifact_type: "application/spdx+json".to_owned(),
        file_name: "sbom.spdx.json".to_owned(),
        digest: sha256(content).into(),
        size_bytes: content.len() as u64,
        annotations: [].into(),
    };
    (attachment, scratch.file("sbom.spdx.json", content))
}

/// All that a release does to a registry, twice; then other tools read it.
fn publish(name: &str, registry: &Registry, login: Option<&str>) {
    let scratch = Scratch::new();
    let at = |reference: &str| Reference::from(&tag(reference));
    let unknown: Digest = format!("sha256:{}", "0".repeat(64)).parse().expect("a digest");
    assert_eq!(registry.manifest(&at("none")).expect("is answered"), None);
    assert_eq!(registry.manifest(&Reference::from(&unknown)).expect("is answered"), None);
    assert!(!registry.has_blob(&unknown).expect("is answered"));

    let (subject, first) = push(registry, &scratch);
    assert_eq!(first, [Pushed::Sent; 2]);
    assert_eq!(push(registry, &scratch), (subject.clone(), vec![Pushed::AlreadyThere; 2]));

    let (sbom, file) = attachment(&scratch);
    assert_eq!(registry.referrers(&subject.digest, &[&sbom.artifact_type]).expect("is answered"), []);
    let attached = registry.attach(&subject, &sbom, &file).expect("is attached");
    assert_eq!(attached, Registry::attached(&subject, &sbom).1);
    let index = registry.manifest(&Reference::from(&fallback_tag(&subject.digest))).expect("is answered");
    assert_eq!(registry.attach(&subject, &sbom, &file).expect("is attached again"), attached);
    assert_eq!(registry.manifest(&Reference::from(&fallback_tag(&subject.digest))).expect("is answered"), index);
    assert_eq!(registry.referrers(&subject.digest, &[&sbom.artifact_type]).expect("is answered"), [attached]);
    assert_eq!(registry.referrers(&subject.digest, &["application/x"]).expect("is answered"), []);

    by_skopeo(name, registry.repository(), &subject, login);
}

/// Reads the image with another tool, by tag and by digest.
fn by_skopeo(name: &str, repository: &ImageRepository, subject: &Descriptor, login: Option<&str>) {
    let digest = subject.digest.to_string();
    for image in [format!("docker://{repository}:latest"), format!("docker://{repository}@{digest}")] {
        let with = |flag: &'static str| login.map(|login| [flag, login]).into_iter().flatten();
        let inspect = ["inspect", "--tls-verify=false"].into_iter().chain(with("--creds")).chain([image.as_str()]);
        let Some(seen) = run("skopeo", &inspect.collect::<Vec<_>>()) else {
            return skip(name, "there is no skopeo to read it back with");
        };
        let seen: serde_json::Value = serde_json::from_str(&seen).expect("is JSON");
        assert_eq!((seen["Digest"].as_str(), seen["Architecture"].as_str()), (Some(digest.as_str()), Some("riscv64")));
        let copied = Scratch::new();
        let layout = format!("oci:{}:x", copied.0);
        let copy = ["copy", "--src-tls-verify=false"].into_iter().chain(with("--src-creds"));
        run("skopeo", &copy.chain([image.as_str(), layout.as_str()]).collect::<Vec<_>>()).expect("skopeo was there");
        let blob = std::fs::read(copied.0.join(subject.digest.blob())).expect("is copied");
        assert_eq!(described(MANIFEST_TYPE, &blob), *subject);
    }
}

const NONE: &str = "there is no docker-registry (apt-get install docker-registry)";

#[test]
fn an_image_is_pushed_to_and_pulled_from_an_open_registry() {
    let name = "an_image_is_pushed_to_and_pulled_from_an_open_registry";
    let Some(server) = DockerRegistry::open() else { return skip(name, NONE) };
    publish(name, &client(&server.address, None), None);
}

#[test]
fn an_image_is_pushed_to_and_pulled_from_a_registry_with_passwords() {
    let name = "an_image_is_pushed_to_and_pulled_from_a_registry_with_passwords";
    let scratch = Scratch::new();
    let Some(server) = DockerRegistry::with_password(&scratch) else { return skip(name, NONE) };
    publish(name, &client(&server.address, Some(USER)), Some(&format!("{}:{}", USER.0, USER.1)));
    for (login, advice) in [(None, "credentials are required"), (Some((USER.0, "wrong")), "wrong or expired")] {
        let registry = client(&server.address, login);
        let error = registry.manifest(&Reference::from(&tag("latest"))).expect_err("is refused");
        assert!(message(&error).contains(advice), "{error:#}");
        assert_eq!(
            error.downcast_ref::<RegistryError>().expect("an error of the registry").is_private(),
            advice == "credentials are required"
        );
        let (blobs, manifest) = image(&scratch);
        let error = registry.push_blob(&blobs[0].0, &blobs[0].1, &mut progress()).expect_err("is refused");
        assert!(message(&error).contains(advice), "{error:#}");
        message(&registry.push_manifest(MANIFEST_TYPE, &manifest).expect_err("is refused"));
    }
}

#[test]
fn an_image_is_pushed_to_and_pulled_from_a_registry_with_tokens() {
    let name = "an_image_is_pushed_to_and_pulled_from_a_registry_with_tokens";
    let Some(service) = TokenService::start() else { return skip(name, "there is no openssl to make a key with") };
    let Some(server) = DockerRegistry::with_tokens(&service) else { return skip(name, NONE) };
    let registry = client(&server.address, Some(USER));
    publish(name, &registry, Some(&format!("{}:{}", USER.0, USER.1)));

    // Without credentials a pull is allowed, with an anonymous token, and a push is not.
    let anyone = registry.anonymous();
    let found = anyone.manifest(&Reference::from(&tag("latest"))).expect("is answered").expect("is there");
    let error = anyone.push_manifest(MANIFEST_TYPE, &found.bytes).expect_err("is refused");
    assert!(message(&error).contains("credentials are required"), "{error:#}");
    let error =
        client(&server.address, Some((USER.0, "wrong"))).has_blob(&found.descriptor.digest).expect_err("is refused");
    assert!(message(&error).contains("get a token") && message(&error).contains("wrong or expired"), "{error:#}");

    // Valid credentials without permission have a message of their own.
    let reader = client(&server.address, Some(READER));
    assert!(reader.has_blob(&described("", &found.bytes).digest).is_ok());
    let error = reader.push_manifest(MANIFEST_TYPE, &found.bytes).expect_err("is refused");
    assert!(message(&error).contains("may not do that"), "{error:#}");

    // A token that expired is replaced, once.
    let stale = Authorization::bearer(&service.expired(registry.repository().path())).expect("a token");
    *registry.authorization.borrow_mut() = Some(stale);
    let before = service.issued.load(Ordering::Relaxed);
    registry.push_manifest(MANIFEST_TYPE, &found.bytes).expect("is pushed");
    registry.push_manifest(MANIFEST_TYPE, &found.bytes).expect("is pushed");
    assert_eq!(service.issued.load(Ordering::Relaxed), before + 1);
}

#[test]
fn an_engine_pulls_an_image_from_the_lab_registry() {
    let name = "an_engine_pulls_an_image_from_the_lab_registry";
    let Ok(address) = std::env::var("LAB_REGISTRY") else { return skip(name, "LAB_REGISTRY is not set") };
    let repository = ImageRepository::of(&address, "xtask-tests").expect("a name");
    let registry = Registry::new(repository.clone(), None);
    publish(name, &registry, None);
    let (subject, _) = push(&registry, &Scratch::new());
    for image in [format!("{repository}:latest"), format!("{repository}@{}", subject.digest)] {
        if run("docker", &["pull", "--quiet", &image]).is_none() {
            return skip(name, "there is no docker to pull it with");
        }
        let seen = run("docker", &["image", "inspect", "--format", "{{.Architecture}} {{.RepoDigests}}", &image]);
        let seen = seen.expect("docker was there");
        assert_eq!(seen.trim(), format!("riscv64 [{repository}@{}]", subject.digest));
        run("docker", &["image", "rm", "--force", &image]);
    }
}

#[test]
fn an_upload_survives_broken_connections() {
    let name = "an_upload_survives_broken_connections";
    let Some(server) = DockerRegistry::open() else { return skip(name, NONE) };
    let scratch = Scratch::new();
    let content = noise(3_000_000);
    let blob = described("application/octet-stream", &content);
    let file = scratch.file("blob", &content);
    let (address, broken) = breaking(&server.address, 1_000_000, 2);
    let mut shown = progress();
    let registry = client(&address, None);
    assert_eq!(registry.push_blob(&blob, &file, &mut shown).expect("is pushed"), Pushed::Sent);
    assert_eq!((shown.done(), broken.load(Ordering::Relaxed)), (blob.size, 2));
    assert!(client(&server.address, None).has_blob(&blob.digest).expect("is answered"));

    // The retries end, and the message has no upload location.
    let content = noise(2_000_000);
    let blob = described("application/octet-stream", &content);
    let (address, broken) = breaking(&server.address, 1_000_000, u32::MAX);
    let file = scratch.file("blob", &content);
    let error = client(&address, None).push_blob(&blob, &file, &mut progress()).expect_err("breaks each time");
    assert!(
        message(&error).contains("cannot upload the blob sha256:") && !message(&error).contains("_state"),
        "{error:#}"
    );
    assert_eq!(broken.load(Ordering::Relaxed), 4);
}

#[test]
fn a_file_that_does_not_match_its_digest_is_refused() {
    let name = "a_file_that_does_not_match_its_digest_is_refused";
    let Some(server) = DockerRegistry::open() else { return skip(name, NONE) };
    let scratch = Scratch::new();
    let blob = described("application/octet-stream", &noise(1000));
    let file = scratch.file("blob", &noise(1001)[1..]);
    let registry = client(&server.address, None);
    let error = registry.push_blob(&blob, &file, &mut progress()).expect_err("is refused");
    assert!(message(&error).contains("DIGEST_INVALID") && message(&error).contains("was a file changed"), "{error:#}");
    let manifest = br#"{"schemaVersion":2}"#;
    message(&registry.push_manifest(MANIFEST_TYPE, manifest).expect_err("is refused"));
}
