//! Writes an RPM. Sources: the crate `rpm`; RPM's reference manual, "Package Format V4"; Fedora Packaging Guidelines.

use std::io::Write;

use anyhow::{Context, Result};
use rpm::{BuildConfig, CompressionWithLevel, Dependency, FileOptions, PackageBuilder, Scriptlet};

use crate::XZ_LEVEL;
use crate::contents::{Kind, Package};
use crate::version::{ARCHITECTURE, NAME};

/// Directories that belong to this package alone: with them it leaves nothing behind.
const OWN_DIRECTORIES: [&str; 3] = ["/etc/buildkit", "/usr/share/doc/buildkit", "/usr/share/licenses/buildkit"];

/// Writes the package.
///
/// # Errors
/// If a file cannot be read, or `out` not be written to.
pub fn write(package: &Package, mut out: impl Write) -> Result<()> {
    let config =
        BuildConfig::v4().compression(CompressionWithLevel::Xz(XZ_LEVEL)).source_date(package.source_date_epoch);
    let version = package.version.to_string();
    let mut builder =
        PackageBuilder::new(NAME, &version, &package.license, ARCHITECTURE, &capitalized(&package.summary));
    builder
        .using_config(config)
        .release(package.version.revision())
        .url(&package.homepage)
        .description(&package.description)
        .packager(&package.maintainer)
        .vendor(&package.homepage)
        .group("System Environment/Daemons")
        // Not the machine's: it differs from one to the next.
        .build_host("reproducible")
        .post_install_script(Scriptlet::new(&package.scripts.after_install).prog(SHELL.into()))
        .pre_uninstall_script(Scriptlet::new(&package.scripts.before_remove).prog(SHELL.into()))
        .post_uninstall_script(Scriptlet::new(&package.scripts.after_remove).prog(SHELL.into()))
        .add_changelog_entry(
            format!("{} - {version}-{}", package.maintainer, package.version.revision()),
            format!("- {}", package.change),
            package.source_date_epoch,
        );
    for name in &package.relations.depends {
        builder.requires(Dependency::any(name));
    }
    for name in &package.relations.recommends {
        builder.recommends(Dependency::any(name));
    }
    for name in &package.relations.suggests {
        builder.suggests(Dependency::any(name));
    }
    builder.requires(Dependency::script_post("/bin/sh"));
    for directory in OWN_DIRECTORIES {
        builder.with_dir_entry(FileOptions::dir(directory).permissions(0o755))?;
    }
    for file in &package.files {
        let options = FileOptions::new(file.path.as_str());
        let options = match file.kind {
            Kind::Program => options.permissions(0o755),
            Kind::Data => options.permissions(0o644),
            Kind::Config => options.permissions(0o644).config().noreplace(),
            Kind::Doc => options.permissions(0o644).doc(),
            Kind::License => options.permissions(0o644).license(),
        };
        builder.with_file_contents(file.content.read()?, options).with_context(|| file.path.to_string())?;
    }
    builder.build()?.write(&mut out)?;
    Ok(())
}

const SHELL: [&str; 1] = ["/bin/sh"];

/// RPM's summaries begin with a capital, Debian's do not.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
