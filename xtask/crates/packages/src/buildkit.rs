//! The packages of `BuildKit`: which files, texts and relations each format has.
#![allow(clippy::disallowed_methods, reason = "reads files")]

use std::fs;
use std::io::Write;

use anyhow::{Context, Result};
use camino::Utf8Path;
use flate2::{Compression, GzBuilder};
use time::format_description::well_known::Rfc2822;
use time::{Date, OffsetDateTime};

use crate::contents::{Content, File, Kind, Package, Relations, Scripts};
use crate::licenses::Licenses;
use crate::request::Request;
use crate::version::{Format, NAME};
use crate::{copyright, documentation, licenses};

/// The two commands.
const COMMANDS: [&str; 2] = ["buildctl", "buildkitd"];
const UNITS: [&str; 5] = [
    "system/buildkit.service",
    "system/buildkit.socket",
    "user/buildkit-proxy.service",
    "user/buildkit-proxy.socket",
    "user/buildkit.service",
];
/// Upstream's description of every option of the configuration; releases before v0.13 do not have it.
const CONFIGURATION: &str = "docs/buildkitd.toml.md";

const SUMMARY: &str = "concurrent, cache-efficient builder of container images";
const DESCRIPTION: &str = "\
BuildKit turns Dockerfiles and other build definitions into container
images and other artifacts. It builds independent steps at once, keeps
a cache that can be shared between machines, and needs no Docker.

This package has the daemon buildkitd, which a systemd socket starts when
it is first asked for something, and the client buildctl. docker buildx
can use the daemon as a remote builder.";

/// The package in that format.
///
/// # Errors
/// If a file that it needs is missing.
pub fn package(request: &Request, format: Format) -> Result<Package> {
    let licenses = licenses::read(request)?;
    let date = OffsetDateTime::from_unix_timestamp(request.source_date_epoch.into()).context("the source date")?;
    let owner = request.repository.split('/').next().unwrap_or_default();
    let mut package = Package {
        version: request.version.clone(),
        summary: SUMMARY.to_owned(),
        description: DESCRIPTION.to_owned(),
        homepage: format!("https://github.com/{}", request.repository),
        // The address that GitHub gives the owner of the repository.
        maintainer: format!("{owner} <{owner}@users.noreply.github.com>"),
        license: "Apache-2.0".to_owned(),
        section: "admin".to_owned(),
        relations: relations(format),
        scripts: scripts(&request.packaging, format)?,
        files: Vec::new(),
        change: format!("BuildKit {} (commit {}).", request.upstream_version, request.commit),
        source_date_epoch: request.source_date_epoch,
    };
    package.files = shared_files(request, date.date(), format)?;
    package.files.extend(match format {
        Format::Deb => debian_files(request, &package, &licenses, date)?,
        Format::Rpm => rpm_files(&licenses),
    });
    package.files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(package)
}

/// What the daemon cannot do without, what it looks for, and what the user's unit needs.
/// Sources: upstream's Dockerfile (the packages of its image), `executor/runcexecutor`, `docs/rootless.md`.
fn relations(format: Format) -> Relations {
    let (recommends, suggests): (&[&str], &[&str]) = match format {
        Format::Deb => (
            &["ca-certificates", "git", "iptables", "openssh-client", "pigz", "xz-utils"],
            &["fuse-overlayfs", "rootlesskit", "slirp4netns", "uidmap"],
        ),
        Format::Rpm => (
            &["(git-core or git)", "(openssh-clients or openssh)", "ca-certificates", "iptables", "pigz", "xz"],
            &["(shadow-utils or shadow)", "fuse-overlayfs", "rootlesskit", "slirp4netns"],
        ),
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Relations { depends: owned(&["runc"]), recommends: owned(recommends), suggests: owned(suggests) }
}

fn scripts(packaging: &Utf8Path, format: Format) -> Result<Scripts> {
    let (folder, [installed, removed_soon, removed]) = match format {
        Format::Deb => (packaging.join("debian"), ["postinst", "prerm", "postrm"]),
        Format::Rpm => (packaging.join("rpm"), ["post", "preun", "postun"]),
    };
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    Ok(Scripts { after_install: read(installed)?, before_remove: read(removed_soon)?, after_remove: read(removed)? })
}

/// The files that both formats have.
fn shared_files(request: &Request, date: Date, format: Format) -> Result<Vec<File>> {
    let file = |path: String, content: Content, kind: Kind| File { path: path.into(), content, kind };
    let mut files = vec![file(
        "/etc/buildkit/buildkitd.toml".to_owned(),
        Content::Of(request.packaging.join("buildkitd.toml")),
        Kind::Config,
    )];
    for command in COMMANDS {
        files.push(file(format!("/usr/bin/{command}"), Content::Of(request.dist.join(command)), Kind::Program));
        // Debian has directories of its own for what is not the shell's or the administrator's.
        let directories = match format {
            Format::Deb => ["bash-completion/completions", "zsh/vendor-completions", "fish/vendor_completions.d"],
            Format::Rpm => ["bash-completion/completions", "zsh/site-functions", "fish/vendor_completions.d"],
        };
        let directories = directories.map(|directory| format!("/usr/share/{directory}"));
        for (path, script) in documentation::completions(request, command, directories.each_ref().map(String::as_str)) {
            files.push(File { path, content: Content::Text(script), kind: Kind::Data });
        }
    }
    for unit in UNITS {
        let content = Content::Of(request.packaging.join("systemd").join(unit));
        files.push(file(format!("/usr/lib/systemd/{unit}"), content, Kind::Data));
    }
    for (name, text) in documentation::man_pages(request, &date.to_string())? {
        files.push(file(format!("/usr/share/man/man1/{name}.gz"), gzip(&text)?, Kind::Doc));
    }
    let configuration = request.wanted.sources.join(CONFIGURATION);
    if configuration.is_file() {
        files.push(file(format!("{}/buildkitd.toml.md", documents()), Content::Of(configuration), Kind::Doc));
    }
    Ok(files)
}

/// Source: Debian Policy, "Documentation".
fn debian_files(request: &Request, package: &Package, licenses: &Licenses, date: OffsetDateTime) -> Result<Vec<File>> {
    let copyright = copyright::document(licenses, &package.homepage, &package.maintainer, &date.year().to_string());
    let changelog = format!(
        "{NAME} ({}) unstable; urgency=medium\n\n  * {}\n\n -- {}  {}\n",
        package.version.with_revision(),
        package.change,
        package.maintainer,
        date.format(&Rfc2822)?
    );
    let mut texts = vec![("changelog.Debian.gz", gzip(changelog.as_bytes())?), ("copyright", text(&copyright))];
    if let Some(notice) = licenses.notice() {
        texts.push(("NOTICE.gz", gzip(notice.as_bytes())?));
    }
    let documents = documents();
    let file = |(name, content)| File { path: format!("{documents}/{name}").into(), content, kind: Kind::Doc };
    let overrides = File {
        path: format!("/usr/share/lintian/overrides/{NAME}").into(),
        content: Content::Of(request.packaging.join("debian/lintian-overrides")),
        kind: Kind::Data,
    };
    Ok(texts.into_iter().map(file).chain([overrides]).collect())
}

/// Source: Fedora Packaging Guidelines, "License Text".
fn rpm_files(licenses: &Licenses) -> Vec<File> {
    let mut texts = vec![("LICENSE", text(&licenses.own)), ("THIRD-PARTY", text(&licenses.third_party()))];
    texts.extend(licenses.notice().map(|notice| ("NOTICE", text(&notice))));
    let file = |(name, content)| File {
        path: format!("/usr/share/licenses/{NAME}/{name}").into(),
        content,
        kind: Kind::License,
    };
    texts.into_iter().map(file).collect()
}

fn documents() -> String {
    format!("/usr/share/doc/{NAME}")
}

fn text(text: &str) -> Content {
    Content::Text(text.as_bytes().to_vec())
}

/// The header of gzip holds a time and an operating system: none and "unknown".
fn gzip(text: &[u8]) -> Result<Content> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    gzip.write_all(text)?;
    Ok(Content::Text(gzip.finish()?))
}
