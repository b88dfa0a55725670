//! The packages of the pinned upstream release, as `package` makes them, read by the linters of the distributions: lintian,
//! rpmlint and pkgcheck. Whatever one finds fails the check, unless `packaging/` overrides it and says why.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and the clock")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::ci::programs::{cargo, search_path};
use crate::ci::upstream_build::{built, unreachable};
use crate::ci::{Outcome, Row, tools};
use crate::dist::Dist;
use crate::dist::names::OVERLAY;
use crate::os::host::Riscv64;
use crate::os::process::{Output, run};
use crate::os::streams::write_stderr;
use crate::upstream::Upstream;

const LINTERS: [&str; 3] = ["lintian", "rpmlint", "pkgcheck"];
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// What of Gentoo's repository the overlay is read with: pkgcheck asks it for architectures, categories, licenses, the
/// packages that ebuilds depend on, and eclasses. Those are empty, so that what they define is not checked.
/// Source: Package Manager Specification, "Tree layout" and "Profiles".
const GENTOO: [(&str, &str); 16] = [
    ("metadata/layout.conf", "masters =\n"),
    ("profiles/repo_name", "gentoo\n"),
    ("profiles/arch.list", "riscv\n"),
    ("profiles/categories", "app-containers\ndev-lang\n"),
    ("profiles/profiles.desc", "riscv default dev\n"),
    ("profiles/default/make.defaults", "ARCH=\"riscv\"\nACCEPT_KEYWORDS=\"~riscv\"\n"),
    ("eclass/go-module.eclass", ""),
    ("eclass/systemd.eclass", ""),
    ("licenses/Apache-2.0", ""),
    ("licenses/BSD", ""),
    ("licenses/BSD-2", ""),
    ("licenses/CC-BY-SA-4.0", ""),
    ("licenses/MIT", ""),
    ("licenses/MPL-2.0", ""),
    ("app-containers/runc/runc-1.ebuild", EBUILD),
    ("dev-lang/go/go-2.ebuild", EBUILD),
];
const EBUILD: &str = "EAPI=8\nSLOT=0\nKEYWORDS=\"~riscv\"\n";
/// Where pkgcore's own settings have that repository, below the home of its user.
const GENTOO_BELOW_HOME: &str = ".cache/pkgcore/repos/gentoo";

pub fn run(root: &Utf8Path) -> Result<Vec<Row>> {
    let started = Instant::now();
    let all = |outcome: fn(String) -> Outcome, why: &str| {
        Ok(LINTERS.iter().map(|linter| Row::new(*linter, outcome(why.to_owned()), started)).collect())
    };
    if let Some(reason) = unreachable(root) {
        return all(Outcome::Skipped, &reason);
    }
    if matches!(Riscv64::here(), Riscv64::Nowhere) {
        return all(Outcome::Skipped, "riscv64 programs do not run here, and the man pages are made from their help");
    }
    let Some(folder) = built(root, &[])? else { return all(Outcome::Failed, "there is no build; see above") };
    let work = root.join("target/ci/packages");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {work}"))?;
    }
    write_gentoo(&work)?;
    let source = work.join("source.tar.gz");
    Upstream::of(root)?.archive(&Dist::open(root, Some(&folder))?.record.source.commit, "go.mod", &source)?;
    let package = cargo(root).args(["xtask", "package", "--dist", folder.as_str(), "--source", source.as_str()]);
    if !package.echoed()?.status.success() {
        return all(Outcome::Failed, "`package` failed; see above");
    }
    let dist = Dist::open(root, Some(&folder))?;
    LINTERS.into_iter().map(|linter| lint(root, linter, &dist, &work)).collect()
}

fn lint(root: &Utf8Path, linter: &str, dist: &Dist, work: &Utf8Path) -> Result<Row> {
    let started = Instant::now();
    let row = |outcome| Ok(Row::new(linter, outcome, started));
    let Some(program) = tools::find(root, linter) else {
        return row(Outcome::Skipped("not installed".to_owned()));
    };
    let package = |format: &str| -> Result<Utf8PathBuf> {
        let name = dist.record.packages.iter().map(|package| &package.name).find(|name| name.ends_with(format));
        Ok(dist.folder.join(name.with_context(|| format!("there is no {format}"))?))
    };
    let (run, subject) = match linter {
        "lintian" => {
            let deb = package(".deb")?;
            (run!("{program} --profile debian --fail-on error,warning --allow-root {deb}"), deb)
        }
        "rpmlint" => {
            let (rpm, config) = (package(".rpm")?, root.join("packaging/rpm/rpmlint.toml"));
            (run!("{program} --strict --config {config} {rpm}"), rpm)
        }
        _ => {
            let overlay = dist.folder.join(OVERLAY);
            (run!("{program} scan --color false {overlay}").directory(&overlay).env("HOME", work.as_str()), overlay)
        }
    };
    let output = run.env("PATH", search_path(root)).limit(LIMIT).output()?;
    if found_something(linter, &output) {
        write_stderr(format_args!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr));
        return row(Outcome::Failed(format!("it found something ({}); see above", output.status)));
    }
    row(Outcome::Passed(subject.file_name().unwrap_or_default().to_owned()))
}

/// pkgcheck exits with 0 whatever it finds, but for errors, and prints nothing else.
fn found_something(linter: &str, output: &Output) -> bool {
    !output.status.success() || linter == "pkgcheck" && !output.stdout.is_empty()
}

fn write_gentoo(home: &Utf8Path) -> Result<()> {
    for (path, content) in GENTOO {
        let path = home.join(GENTOO_BELOW_HOME).join(path);
        let parent = path.parent().with_context(|| format!("{path} is in no directory"))?;
        fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
        fs::write(&path, content).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}
