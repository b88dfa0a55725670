//! Go's download page on loopback: `GET /?mode=json&include=all` and the archives it lists.
//! Form of the list: <https://pkg.go.dev/golang.org/x/website/internal/dl>.

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

/// Starts a page that lists one Go, whose `go` command is this script.
pub fn serve(version: &str, script: &str, delivery: Delivery) -> Script {
    let archive = archive(script);
    let (os, arch) = host();
    let name = format!("go{version}.{os}-{arch}.tar.gz");
    let digest: String = ring::digest::digest(&ring::digest::SHA256, &archive)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let list = serde_json::json!([{ "version": format!("go{version}"), "stable": true, "files": [{
        "filename": name, "os": os, "arch": arch, "version": format!("go{version}"),
        "sha256": digest, "size": archive.len(), "kind": "archive",
    }]}]);
    let mut sent = archive;
    match delivery {
        Delivery::Whole | Delivery::BrokenOff => {}
        Delivery::Tampered => *sent.last_mut().expect("not empty") ^= 1,
        Delivery::CutShort => sent.truncate(sent.len() / 2),
    }
    Script::start(move |request| match request.uri().to_string().as_str() {
        "/?mode=json&include=all" => response(200, &[], list.to_string()),
        path if path.ends_with(".tar.gz") => {
            let archive = response(200, &[], sent.clone());
            if delivery == Delivery::BrokenOff { cut(archive) } else { archive }
        }
        _ => response(404, &[], ""),
    })
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
