//! Go's download page on loopback: `GET /?mode=json&include=all` and the archives it lists.
//! Form of the list: <https://pkg.go.dev/golang.org/x/website/internal/dl>.

use std::collections::HashMap;

use fakes::script::{Script, cut, response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// What the page does to an archive that it gives out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    Tampered,
    CutShort,
    /// The connection ends before the length that was announced.
    BrokenOff,
}

/// Starts a page that lists these Gos: versions, and scripts that are their `go` commands.
pub fn serve(gos: &[(&str, &str)], delivery: Delivery) -> Script {
    let (os, arch) = host();
    let mut list = Vec::new();
    let mut archives = HashMap::new();
    for (version, script) in gos {
        let archive = archive(script);
        let name = format!("go{version}.{os}-{arch}.tar.gz");
        list.push(serde_json::json!({ "version": format!("go{version}"), "stable": true, "files": [{
            "filename": name, "os": os, "arch": arch, "version": format!("go{version}"),
            "sha256": sha256(&archive), "size": archive.len(), "kind": "archive",
        }]}));
        archives.insert(format!("/{name}"), delivered(archive, delivery));
    }
    let list = serde_json::Value::from(list).to_string();
    Script::start(move |request| match (request.uri().to_string().as_str(), archives.get(request.uri().path())) {
        ("/?mode=json&include=all", _) => response(200, &[], list.clone()),
        (_, Some(archive)) => {
            let archive = response(200, &[], archive.clone());
            if delivery == Delivery::BrokenOff { cut(archive) } else { archive }
        }
        _ => response(404, &[], ""),
    })
}

/// SHA-256 in hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn delivered(mut archive: Vec<u8>, delivery: Delivery) -> Vec<u8> {
    match delivery {
        Delivery::Whole | Delivery::BrokenOff => {}
        Delivery::Tampered => *archive.last_mut().expect("not empty") ^= 1,
        Delivery::CutShort => archive.truncate(archive.len() / 2),
    }
    archive
}

/// An archive laid out as Go's own, with a script for the command.
fn archive(script: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(script.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "go/bin/go", script.as_bytes()).expect("is added");
    tar.into_inner().expect("is ended").finish().expect("is compressed")
}

/// This machine in Go's words.
fn host() -> (&'static str, &'static str) {
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    (os, arch)
}
