//! What one run makes in an engine. Every container, and every image of a build's steps, carries the run's id in a
//! label; other images, builders and their volumes, which cannot, carry it in their names. All of it is removed when
//! the run ends, by a signal too.
//!
//! What a run leaves that was killed outright, the next one removes. That a run still lives is not guessed from a
//! process id, which another machine or container does not know and which is used again: the run holds a lock on a
//! file of its user, which the kernel releases when the run and the commands that it started are gone. Without such
//! a file here, a thing belongs to somebody else, and is not touched.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes files")]

use std::fmt;
use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use ring::rand::{SecureRandom, SystemRandom};

use crate::engine::{Engine, Kind};
use crate::os::interrupt::{self, Cleanup};
use crate::os::process::{Run, run};
use crate::os::terminal::note;
use crate::os::{files, host};

/// On every container of a run and on what its builds make, with the run's id.
const LABEL: &str = "io.github.gounthar.xtask";
/// How the names of all images begin.
const IMAGES: &str = "localhost/xtask-";
/// The directory for the files of the runs.
const FOLDER: &str = "docker-for-riscv64/runs";
/// A daemon that does not end on its own is killed after ten seconds.
const REMOVE_LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked for what appears after a signal, and how long apart. A busy engine has been seen to need more
/// than ten seconds; an idle one needs one look.
const LOOKS: u32 = 30;
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The part of an engine that this run uses. Everything in it is removed on drop.
#[derive(Debug)]
pub struct Session {
    /// The engine; its commands keep the session's lock for as long as they run.
    pub engine: Engine,
    id: String,
    file: Utf8PathBuf,
    _cleanup: Cleanup,
}

impl Session {
    /// Removes what killed runs left in the engine, and says so. The checkout's `target/` takes the files of the runs
    /// if the user has no directory that can be written to.
    ///
    /// # Errors
    /// If the engine does not answer, or no file can be written. What cannot be removed is no error.
    pub fn begin(engine: &Engine, root: &Utf8Path) -> Result<Self> {
        let of_user = host::state_folder().map(|folder| folder.join(FOLDER));
        let folder = of_user.filter(|folder| files::is_writable(folder));
        let folder = folder.unwrap_or_else(|| root.join("target").join(FOLDER));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {folder}"))?;
        let identity = engine.identity()?;
        remove_leftovers(engine, &folder, &identity)?;

        // With the directory locked, no other run takes the new file for that of a run that has ended.
        let _folder_lock = files::lock_directory(&folder)?;
        let id = random_id()?;
        let file = folder.join(&id);
        let lock = files::lock(&file, || {})?;
        fs::write(&file, identity).with_context(|| format!("cannot write {file}"))?;
        let engine = Engine { lock: Some(Arc::new(lock)), ..engine.clone() };
        Ok(Self { engine, id, file, _cleanup: Cleanup::announce() })
    }

    /// The label of a container or an image, as `--label` and a Dockerfile take it.
    pub fn label(&self) -> String {
        format!("{LABEL}={}", self.id)
    }

    /// The name of a container or a builder.
    pub fn name(&self, what: &str) -> String {
        format!("xtask-{what}-{}", self.id)
    }

    /// The name of an image.
    pub fn image(&self, what: &str) -> String {
        format!("{IMAGES}{what}:{}", self.id)
    }

    /// After a signal, until nothing more appears: docker's older builder finishes or removes the step whose client is
    /// gone, and refuses meanwhile to remove its container.
    fn remove_everything(&self) -> Result<()> {
        let remove = || self.engine.remove_all_of(&self.id);
        let mut last = remove();
        if interrupt::received().is_none() {
            return last.map(|_| ());
        }
        for _ in 0..LOOKS {
            std::thread::sleep(LOOK_AGAIN);
            last = remove();
            if last.as_ref().is_ok_and(|removed| *removed == Removed::default()) {
                return Ok(());
            }
        }
        last.and_then(|_| bail!("the engine goes on building"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The file stays if something cannot be removed now: the next run tries again.
        if self.remove_everything().is_ok() {
            let _ = fs::remove_file(&self.file);
        }
        // A command that outlives its killed run has had time to end.
        if let (None, Some(folder), Ok(identity)) = (interrupt::received(), self.file.parent(), self.engine.identity())
        {
            let _ = remove_leftovers(&self.engine, folder, &identity);
        }
    }
}

/// Removes from the engine what runs left there whose file nobody has locked.
fn remove_leftovers(engine: &Engine, folder: &Utf8Path, identity: &str) -> Result<()> {
    for (file, _lock) in ended_runs(folder, identity)? {
        let id = file.file_name().unwrap_or_default();
        let command = engine.kind.command();
        match engine.remove_all_of(id) {
            Ok(removed) => {
                if removed != Removed::default() {
                    note(format_args!("removed from {command} what a killed run left: {removed}"));
                }
                // Another run may have removed the same, and the file.
                let _ = fs::remove_file(&file);
            }
            Err(error) => note(format_args!("{command} still has what a killed run left (xtask-*{id}): {error:#}")),
        }
    }
    Ok(())
}

/// The files of runs in this engine that have ended without removing them, each with its lock.
fn ended_runs(folder: &Utf8Path, identity: &str) -> Result<Vec<(Utf8PathBuf, File)>> {
    let _folder_lock = files::lock_directory(folder)?;
    let entries = folder.read_dir_utf8().with_context(|| format!("cannot list {folder}"))?.flatten();
    let ended = entries.filter(|entry| is_id(entry.file_name())).filter_map(|entry| {
        let file = File::open(entry.path()).ok()?;
        file.try_lock().ok()?;
        let is_here = fs::read_to_string(entry.path()).is_ok_and(|text| text == identity);
        is_here.then(|| (entry.path().to_owned(), file))
    });
    Ok(ended.collect())
}

const ID_BYTES: usize = 6;

fn random_id() -> Result<String> {
    let mut bytes = [0; ID_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_id(name: &str) -> bool {
    name.len() == 2 * ID_BYTES && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How many things were removed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Removed {
    containers: usize,
    volumes: usize,
    images: usize,
}

impl fmt::Display for Removed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [(self.containers, "container"), (self.volumes, "volume"), (self.images, "image")];
        let count = |(count, what): (usize, &str)| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let counts: Vec<String> = kinds.into_iter().filter(|(count, _)| *count > 0).map(count).collect();
        out.write_str(&counts.join(", "))
    }
}

impl Engine {
    /// What tells this engine from every other one.
    fn identity(&self) -> Result<String> {
        let format = match self.kind {
            Kind::Docker => "docker {{.ID}}",
            Kind::Podman => "podman {{.Host.Hostname}} {{.Store.GraphRoot}}",
        };
        self.run(run!("info --format {format}")).cleans_up().read()
    }

    /// Removes everything with the id of a run.
    fn remove_all_of(&self, id: &str) -> Result<Removed> {
        let list = |command: Run| -> Result<Vec<String>> {
            let text = self.run(command).cleans_up().read()?;
            Ok(text.split_whitespace().map(str::to_owned).collect())
        };
        let remove = |command: Run, names: &[String]| match names {
            [] => Ok(()),
            _ => self.run(command).args(names).limit(REMOVE_LIMIT).cleans_up().read().map(|_| ()),
        };
        let (label, name) = (format!("label={LABEL}={id}"), format!("name=-{id}"));
        let mut containers = list(run!("ps --all --quiet --filter {label}"))?;
        containers.extend(list(run!("ps --all --quiet --filter {name}"))?);
        if self.kind == Kind::Podman {
            // Those of builds are listed whatever the filter is.
            let format = "{{.Names}}";
            let all = list(run!("ps --all --external --format {format}"))?;
            containers.extend(all.into_iter().filter(|name| name.contains(&format!("-{id}-working-container"))));
        }
        containers.sort();
        containers.dedup();
        remove(run!("rm --force --volumes"), &containers)?;
        let volumes = list(run!("volume ls --quiet --filter {name}"))?;
        remove(run!("volume rm --force"), &volumes)?;
        // A killed build leaves the image of its last step without a name; those before it go with it, and so do podman's
        // containers of them.
        let mut steps = list(run!("images --quiet --filter {label}"))?;
        steps.dedup();
        remove(run!("image rm --force"), &steps)?;
        let format = "{{.Repository}}:{{.Tag}}";
        let mut images = list(run!("images --format {format}"))?;
        images.retain(|image| image.starts_with(IMAGES) && image.ends_with(&format!(":{id}")));
        remove(run!("image rm --force"), &images)?;
        images.extend(steps);
        Ok(Removed { containers: containers.len(), volumes: volumes.len(), images: images.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_ended_when_its_file_is_there_and_nobody_has_locked_it() {
        let folder = std::env::temp_dir().join(format!("xtask-runs-{}", std::process::id()));
        let folder = Utf8PathBuf::try_from(folder).expect("UTF-8");
        fs::create_dir_all(&folder).expect("is made");
        let write = |name: &str, identity: &str| fs::write(folder.join(name), identity).expect("is written");
        write("00000000000a", "docker A");
        write("00000000000b", "docker B");
        write("notes", "docker A");
        write("00000000000c", "docker A");
        let alive = File::open(folder.join("00000000000c")).expect("is there");
        alive.lock().expect("is locked");
        let ended = || {
            let ended = ended_runs(&folder, "docker A").expect("lists");
            ended.into_iter().map(|(file, _)| file.file_name().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ended(), ["00000000000a"]);
        drop(alive);
        let mut after = ended();
        after.sort();
        assert_eq!(after, ["00000000000a", "00000000000c"]);
        fs::remove_dir_all(&folder).expect("is removed");
    }

    #[test]
    fn what_was_removed_is_counted() {
        let removed = Removed { containers: 1, volumes: 0, images: 2 };
        assert_eq!(removed.to_string(), "1 container, 2 images");
        assert!(is_id(&random_id().expect("random")) && !is_id("0123456789xy") && !is_id("0123"));
    }
}
