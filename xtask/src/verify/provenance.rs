//! Who built what is published: the Sigstore bundle that is attached to the image has to be of each file and of the
//! image's manifest, signed by this repository's workflow. Others' programs verify it, where one is installed.
#![allow(clippy::disallowed_methods, reason = "writes files")]

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::dist::Metadata;
use crate::dist::names::{COMMANDS, METADATA, tarball};
use crate::github::{BUILD_WORKFLOW, Repository};
use crate::os::host::on_path;
use crate::os::process::{Run, run};
use crate::verify::findings::Findings;
use crate::verify::image::Attested;

const NAME: &str = "provenance";
const LIMIT: Duration = Duration::from_secs(120);
/// Who signs for a workflow of GitHub's. Source: GitHub Docs, "About security hardening with `OpenID` Connect".
const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// The file of the bundle, and that of the image's manifest, beside what was downloaded. No asset has such a name.
const BUNDLE: &str = ".provenance.json";
const MANIFEST: &str = ".manifest.json";

/// Checks the bundle against the files in `folder`, unless they were not downloaded, and against the manifest.
pub fn check(
    findings: &mut Findings,
    folder: Option<&Utf8Path>,
    found: &Attested,
    repository: &Repository,
    record: &Metadata,
) {
    let Some(folder) = folder else { return };
    let Some(bundle) = &found.bundle else {
        return findings.not_run(&[NAME], "there is no bundle to verify");
    };
    let Some(verifier) = Verifier::here() else {
        return findings.not_run(&[NAME], "neither gh nor cosign is installed, which verify it");
    };
    findings.add_evidence(NAME, verify(verifier, folder, (bundle, &found.manifest), repository, record));
}

fn verify(
    verifier: Verifier,
    folder: &Utf8Path,
    (bundle, manifest): (&[u8], &[u8]),
    repository: &Repository,
    record: &Metadata,
) -> Result<String> {
    let paths = [(BUNDLE, bundle), (MANIFEST, manifest)].map(|(name, content)| {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {path}")).map(|()| path)
    });
    let [bundle, manifest] = paths;
    let (bundle, manifest) = (bundle?, manifest?);
    let archive = tarball(&record.source.version);
    let files = COMMANDS.iter().copied().chain([archive.as_str(), METADATA]).map(|name| folder.join(name));
    for file in files.chain([manifest]) {
        let output = verifier.command(&bundle, &file, repository).limit(LIMIT).output()?;
        if !output.status.success() {
            let why = output.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
            if is_offline(&output.stderr) {
                let error = io::Error::new(io::ErrorKind::NotConnected, why.to_owned());
                return Err(
                    Error::new(error).context(format!("{} reads whom to trust from the network", verifier.name()))
                );
            }
            bail!("{} does not accept it for {}: {why}", verifier.name(), file.file_name().unwrap_or_default());
        }
    }
    Ok(format!(
        "{} accepts it for the files and the image: {repository} and its {BUILD_WORKFLOW} signed it",
        verifier.name()
    ))
}

/// Whether a verifier could not read the keys of those whom Sigstore trusts (TUF), which says nothing about the bundle.
/// Seen of cosign 2.5 without a network: `tuf refresh failed: Get "https://tuf-repo-cdn.sigstore.dev/…": dial tcp: …`.
fn is_offline(stderr: &str) -> bool {
    ["tuf refresh failed", "dial tcp", "no such host", "TLS handshake timeout"].iter().any(|sign| stderr.contains(sign))
}

/// A program that verifies a bundle. Source of both commands: the README of cli/cli, "Verification of binaries".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verifier {
    Gh,
    Cosign,
}

impl Verifier {
    /// The one that is installed.
    fn here() -> Option<Self> {
        [Self::Gh, Self::Cosign].into_iter().find(|verifier| on_path(verifier.name()).is_some())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gh => "gh",
            Self::Cosign => "cosign",
        }
    }

    /// The command that succeeds if the bundle is of this file, and this repository's workflow signed it. With a bundle,
    /// `gh` needs no account (cli/cli#11803).
    fn command(self, bundle: &Utf8PathBuf, file: &Utf8PathBuf, repository: &Repository) -> Run {
        let repository = repository.to_string();
        let workflow = format!("{repository}/.github/workflows/{BUILD_WORKFLOW}");
        match self {
            Self::Gh => {
                run!("gh attestation verify {file} --bundle {bundle} --repo {repository} --signer-workflow {workflow}")
            }
            Self::Cosign => {
                let escaped: String =
                    workflow.chars().flat_map(|c| [(c == '.').then_some('\\'), Some(c)]).flatten().collect();
                let identity = format!(r"^https://github\.com/{escaped}@refs/");
                let signed_by = ["--certificate-oidc-issuer", ISSUER, "--certificate-identity-regexp", &identity];
                let form = ["--new-bundle-format", "--type", "slsaprovenance1"];
                run!("cosign verify-blob-attestation --bundle {bundle} {form...} {signed_by...} {file}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn only_this_repository_s_workflow_is_accepted() {
        let repository = "o/n.x".parse().expect("a repository");
        let commands = [Verifier::Gh, Verifier::Cosign]
            .map(|verifier| verifier.command(&"b.json".into(), &"buildkitd".into(), &repository).to_string());
        expect![[r#"
            gh attestation verify buildkitd --bundle b.json --repo o/n.x --signer-workflow o/n.x/.github/workflows/buildkit-weekly-build.yml
            cosign verify-blob-attestation --bundle b.json --new-bundle-format --type slsaprovenance1 --certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-identity-regexp '^https://github\.com/o/n\.x/\.github/workflows/buildkit-weekly-build\.yml@refs/' buildkitd
        "#]].assert_eq(&(commands.join("\n") + "\n"));
    }

    /// What cosign 2.5 of Debian trixie says: without a network, and of a bundle that has no content.
    #[test]
    fn a_verifier_without_a_network_decides_nothing() {
        assert!(is_offline(
            "Error: tuf refresh failed: Get \"https://tuf-repo-cdn.sigstore.dev/13.root.json\": dial tcp: lookup \
             tuf-repo-cdn.sigstore.dev on 192.0.2.1:53: no such host"
        ));
        assert!(!is_offline("Error: invalid bundle: validation error: missing bundle content"));
    }
}
