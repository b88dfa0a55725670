//! `cargo xtask package --repository DIR`: adds packages to a repository of APT and DNF that any web server can serve.
//!
//! What is in DIR stays; what is new comes from the builds, from downloaded assets, or from every published release, which
//! makes the whole repository anew. The indexes are a function of all packages together, so that there is no other state.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use oci::digest::{file_digest, sha256};
use packages::index::{Index, SHA256SUMS};
use serde_json::json;

use crate::cli::Target;
use crate::http::Url;
use crate::os::files::{self, Staging};
use crate::os::streams::print_json;
use crate::os::terminal::{self, note, print_status};
use crate::package::packager;
use crate::package::repository::plan::{Desired, File, Kind, Observed, PUBLIC_KEY, Step, plan, signatures};
use crate::package::repository::signing_key::{SigningKey, VARIABLE};
use crate::package::repository::site::Site;
use crate::published::package_sums;

mod clients;
mod plan;
mod releases;
mod signing_key;
mod site;

/// Packages and indexes of one repository; a hundred versions have some thousand.
const MOST_FILES: usize = 20_000;
/// "Published GitHub Pages sites may be no larger than 1 GB" (GitHub's documentation, "GitHub Pages limits").
const LARGEST_PAGES_BYTES: u64 = 1_000_000_000;

/// What `package` takes to make a repository.
#[derive(Args)]
pub struct RepositoryOptions {
    /// Add packages to the repository of APT and DNF in this directory, instead of making packages
    #[arg(long = "repository", id = "target", value_name = "DIR", conflicts_with_all = ["dist", "format"])]
    folder: Option<Utf8PathBuf>,
    /// Where new packages are, such as downloaded assets; several are possible [default: dist/ of this checkout]
    #[arg(long, value_name = "DIR", requires = "target")]
    from: Vec<Utf8PathBuf>,
    /// Write; without this, the plan is only printed
    #[arg(long, requires = "target")]
    execute: bool,
    /// Make a repository without signatures, which users have to trust blindly
    #[arg(long, requires = "target")]
    unsigned: bool,
    /// Add the packages of every published release of --repo, which are downloaded and checked
    #[arg(long, requires = "target", conflicts_with = "from")]
    from_releases: bool,
    /// Without a key, say so and write nothing, instead of failing: for a workflow that runs in forks too
    #[arg(long, requires = "target", conflicts_with = "unsigned")]
    skip_without_key: bool,
    /// Where the directory is published [default: GitHub Pages of --repo]
    #[arg(long, value_name = "URL", requires = "target")]
    url: Option<Url>,
    /// The program that writes the indexes, instead of the one that cargo compiles: for a rehearsal
    #[arg(long, value_name = "PROGRAM", requires = "target", hide = true)]
    packager: Option<Utf8PathBuf>,
}

impl RepositoryOptions {
    /// The directory, if a repository is asked for.
    pub fn folder(&self) -> Option<&Utf8Path> {
        self.folder.as_deref()
    }
}

/// Makes the repository `folder`, which will be published at the pages of the target's repository unless the options say
/// where.
pub fn run(
    root: &Utf8Path,
    folder: &Utf8Path,
    options: &RepositoryOptions,
    target: &Target,
    as_json: bool,
) -> Result<ExitCode> {
    let key = SigningKey::from_environment()?;
    match &key {
        Some(_) if options.unsigned => bail!("{VARIABLE} is set; unset it, or leave out --unsigned"),
        None if options.skip_without_key => {
            note(format_args!(
                "skipped: {VARIABLE} is not set, so {folder} is not written, and there is nothing to publish; \
                 docs/REPOSITORIES.md says how to make the key"
            ));
            return Ok(ExitCode::SUCCESS);
        }
        None if options.execute && !options.unsigned => {
            bail!("{VARIABLE} is not set; set it to a secret key in ASCII armor, or say --unsigned")
        }
        _ => {}
    }
    let pages = || target.repository().find_or_project(root).pages().parse().map_err(Error::msg);
    let url = options.url.clone().map_or_else(pages, Ok)?;
    let default = [root.join("dist")];
    let from = if options.from.is_empty() { &default[..] } else { &options.from };

    let stage = root.join("target/repository");
    let on_wait = || print_status("package", "waiting for another run in this checkout");
    let _lock = files::lock(&stage.with_extension("lock"), on_wait)?;
    let mut packages = packages_in(folder)?;
    let mut site = Site::default();
    if options.from_releases {
        let (github, repository) = target.open(root)?;
        site = Site::read(&url)?;
        packages.extend(releases::packages(&github, &repository, &root.join("target/released-packages"))?);
        ensure!(!packages.is_empty(), "no release of {repository} has packages");
    } else {
        for from in from {
            packages.extend(packages_in(from)?);
        }
        ensure!(!packages.is_empty(), "{folder} and {} have no package; run `cargo xtask package` first", from[0]);
    }
    let staging = Staging::new(&stage)?;
    let index = packager::index(root, options.packager.as_deref(), staging.path(), &packages)?;
    staging.publish()?;
    let mut observed = observe(folder)?;
    observed.published.extend(site.packages(&index, &url)?);
    let is_lost = options.unsigned && site.public_key.is_some();
    ensure!(!is_lost, "{url} is signed, and its users expect it; set {VARIABLE} instead of --unsigned");
    let (file, place) = site.key_file(folder, &stage, &url)?;
    let public_key = public_key(&file, &place, key.as_ref())?;
    let mut desired = Desired {
        folder: folder.to_owned(),
        files: desired_files(&index, &stage)?,
        stage,
        is_signed: !options.unsigned,
    };
    if options.unsigned || public_key.is_some() {
        add_files_of_clients(&mut desired, &url, public_key.as_deref())?;
    } else {
        note(format_args!("{VARIABLE} is not set: the plan has neither the public key nor the files that contain it"));
    }

    let steps = plan(&desired, &observed)?;
    let is_new = |path| !observed.files.contains_key(path) && !observed.published.contains_key(path);
    let new = index.packages.iter().filter(|package| is_new(&package.path)).count();
    if options.execute && !steps.is_empty() {
        apply(&desired, &steps, key.as_ref(), as_json)?;
        ensure!(plan(&desired, &observe(folder)?)?.is_empty(), "{folder} was changed by something else meanwhile");
    } else {
        steps.iter().for_each(|step| terminal::print_step(as_json, step));
    }
    if let Some(key) = key.as_ref().filter(|_| options.execute) {
        verify(&desired, key)?;
    }
    let state = match (steps.is_empty(), options.execute) {
        (true, _) => "is as it should be",
        (false, true) => "is written",
        (false, false) => "is planned; write it with --execute",
    };
    print_status("package", format_args!("{folder} {state}: {} packages, {new} new", index.packages.len()));
    let size_bytes: u64 = index.packages.iter().map(|package| package.size_bytes).sum();
    if size_bytes > LARGEST_PAGES_BYTES {
        note(format_args!("{} of packages are more than GitHub Pages takes, 1 GB", terminal::size(size_bytes)));
    }
    if as_json {
        let report = json!({
            "repository": folder, "url": url.as_str(), "packages": index.packages, "steps": steps,
            "signed_by": key.as_ref().map(|key| &key.fingerprint), "done": options.execute || steps.is_empty(),
        });
        print_json(&report);
    }
    Ok(ExitCode::SUCCESS)
}

/// The packages in `folder` and below, sorted. None if there is no such directory.
fn packages_in(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut packages = files_in(folder)?;
    packages.retain(|path| matches!(path.extension(), Some("deb" | "rpm")));
    Ok(packages)
}

/// All files in `folder` and below, sorted, without those that are hidden. None if there is no such directory.
fn files_in(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in folder.read_dir_utf8().with_context(|| format!("cannot list {folder}"))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            match entry.file_name() {
                hidden if hidden.starts_with('.') => {}
                _ if kind.is_dir() => folders.push(entry.into_path()),
                _ if kind.is_file() => files.push(entry.into_path()),
                _ => bail!("{} is neither a file nor a directory", entry.path()),
            }
        }
        ensure!(
            files.len() + folders.len() <= MOST_FILES,
            "{folder} has more than {MOST_FILES} files; is it the right one?"
        );
    }
    files.sort();
    Ok(files)
}

/// What the directory has. Nothing, if it is not there.
fn observe(folder: &Utf8Path) -> Result<Observed> {
    let mut observed = Observed::default();
    for file in files_in(folder)? {
        let path = file.strip_prefix(folder).expect("it was found there").to_owned();
        observed.files.insert(path, file_digest(&file)?.1);
    }
    let sums = folder.join(SHA256SUMS);
    if sums.is_file() {
        let text = fs::read_to_string(&sums).with_context(|| format!("cannot read {sums}"))?;
        observed.published = package_sums(&text).with_context(|| format!("{sums} is not a list of packages"))?;
    }
    Ok(observed)
}

fn desired_files(index: &Index, stage: &Utf8Path) -> Result<Vec<File>> {
    let of_package = |package: &packages::index::PackageFile| File {
        path: package.path.clone(),
        from: package.file.clone(),
        sha256: package.sha256.clone(),
        kind: Kind::Package,
    };
    let of_index = |path: &Utf8PathBuf| {
        let from = stage.join(path);
        let sha256 = file_digest(&from)?.1;
        Ok(File { path: path.clone(), from, sha256, kind: Kind::of_index(path) })
    };
    let indexes = index.indexes.iter().map(of_index).collect::<Result<Vec<_>>>()?;
    Ok(index.packages.iter().map(of_package).chain(indexes).collect())
}

/// The key that users have or will have: ours, or the published one if we have none. That is in a file, which is at
/// `place`.
///
/// # Errors
/// If ours is another one than the published one.
fn public_key(published: &Utf8Path, place: &str, key: Option<&SigningKey>) -> Result<Option<String>> {
    let Some(key) = key else { return Ok(fs::read_to_string(published).ok()) };
    if published.is_file() && !key.fingerprints_in(published)?.contains(&key.fingerprint) {
        bail!(
            "{place} is another key than that of {VARIABLE} ({}), and users have it; sign with the old one, or see \
             docs/REPOSITORIES.md on how to replace it",
            key.fingerprint
        );
    }
    key.public().map(Some)
}

/// Adds the public key and the files for a user's machine.
fn add_files_of_clients(desired: &mut Desired, url: &Url, public_key: Option<&str>) -> Result<()> {
    let mut texts = vec![
        ("buildkit.sources", clients::apt_sources(url, public_key)),
        ("buildkit.repo", clients::dnf_repo(url, public_key)),
    ];
    texts.extend(public_key.map(|key| (PUBLIC_KEY, key.to_owned())));
    for (name, text) in texts {
        let from = desired.stage.join(name);
        fs::write(&from, &text).with_context(|| format!("cannot write {from}"))?;
        desired.files.push(File { path: name.into(), from, sha256: sha256(text.as_bytes()), kind: Kind::Index });
    }
    Ok(())
}

/// Executes the steps, and prints each one first, exactly as in the plan.
fn apply(desired: &Desired, steps: &[Step], key: Option<&SigningKey>, as_json: bool) -> Result<()> {
    let folder = &desired.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
    let _lock = files::lock_directory(folder)?;
    for step in steps {
        terminal::print_step(as_json, step);
        match (step, key) {
            (Step::Copy { from, to }, _) => files::install(from, to)?,
            (Step::Sign { document, signature, form }, Some(key)) => key.sign(document, signature, *form)?,
            (Step::Sign { document, .. }, None) => bail!("there is no key to sign {document} with"),
        }
    }
    Ok(())
}

/// Checks every signature as it is in the directory.
fn verify(desired: &Desired, key: &SigningKey) -> Result<()> {
    for File { path, .. } in desired.files.iter().filter(|file| file.kind == Kind::Document) {
        let document = desired.folder.join(path);
        for (signature, form) in signatures(path) {
            let signature = desired.folder.join(signature);
            key.verify(&document, &signature, form)?;
        }
    }
    print_status("verify", format_args!("every signature is by {}", key.fingerprint));
    Ok(())
}
