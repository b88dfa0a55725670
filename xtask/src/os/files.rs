//! Atomic writes of files and directories, and locks between runs.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files and reads the environment"
)]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use camino::{Utf8DirEntry, Utf8Path, Utf8PathBuf};

/// Mode of a program, whatever the umask.
pub const MODE_PROGRAM: u32 = 0o755;
/// Mode of data, whatever the umask.
pub const MODE_FILE: u32 = 0o644;

/// In the name of what is not complete yet, `.NAME.partial-PID`.
const PARTIAL: &str = ".partial-";

/// A temporary directory beside its destination. It is removed if it is dropped before it is published; that of
/// a killed run is removed by the next run with the same destination. Several runs may have the same
/// destination at once: each locks its own directory while it runs.
#[derive(Debug)]
pub struct Staging {
    path: Utf8PathBuf,
    destination: Utf8PathBuf,
    lock: Option<File>,
}

impl Staging {
    /// Creates an empty directory for `destination`.
    pub fn new(destination: &Utf8Path) -> Result<Self> {
        let (parent, name) = split(destination);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
        let _parent_lock = lock_directory(parent)?;
        let prefix = format!(".{name}{PARTIAL}");
        let mut number = 0;
        for leftover in leftovers(parent)? {
            if leftover.file_name().is_some_and(|name| name.starts_with(&prefix)) {
                remove_unless_in_use(&leftover)?;
            }
        }
        let path = loop {
            let path = parent.join(format!("{prefix}{}-{number}", std::process::id()));
            if path.symlink_metadata().is_err() {
                break path;
            }
            number += 1;
        };
        fs::create_dir(&path).with_context(|| format!("cannot write in {parent}"))?;
        Ok(Self { lock: Some(lock_directory(&path)?), path, destination: destination.to_owned() })
    }

    /// The temporary directory.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Renames the directory to its destination, and removes what was there before. If a rename fails, the old
    /// directory is still there, or beside it under a `.partial-` name between the two renames.
    pub fn publish(mut self) -> Result<()> {
        let (parent, _) = split(&self.destination);
        let _parent_lock = lock_directory(parent)?;
        let old = Utf8PathBuf::from(format!("{}-old", self.path));
        if self.destination.symlink_metadata().is_ok() {
            fs::rename(&self.destination, &old).with_context(|| format!("cannot replace {}", self.destination))?;
        }
        fs::rename(&self.path, &self.destination).with_context(|| format!("cannot create {}", self.destination))?;
        // Before another run may replace this one in turn: it removes what nobody has locked.
        self.lock = None;
        remove_unless_in_use(&old)
    }
}

/// Locks a directory until the returned file is closed. Waits if another run has the lock.
pub fn lock_directory(folder: &Utf8Path) -> Result<File> {
    let lock = || {
        let folder = File::open(folder)?;
        folder.lock()?;
        Ok::<_, std::io::Error>(folder)
    };
    lock().with_context(|| format!("cannot lock {folder}"))
}

/// What killed runs left in `parent`: partial files and directories that no run has locked.
pub fn leftovers(parent: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let entries = parent.read_dir_utf8().with_context(|| format!("cannot list {parent}"))?.flatten();
    let is_partial = |entry: &Utf8DirEntry| entry.file_name().starts_with('.') && entry.file_name().contains(PARTIAL);
    let mut paths: Vec<_> = entries.filter(is_partial).map(Utf8DirEntry::into_path).collect();
    paths.retain(|path| !is_locked(path));
    paths.sort();
    Ok(paths)
}

/// Removes a file or directory if it exists and no run has locked it.
fn remove_unless_in_use(path: &Utf8Path) -> Result<()> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    let remove = if metadata.is_dir() { fs::remove_dir_all::<&Utf8Path> } else { fs::remove_file };
    if metadata.is_dir() && is_locked(path) {
        Ok(())
    } else {
        remove(path).with_context(|| format!("cannot remove the leftover {path}"))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.path.exists() {
            // If this fails, the next run removes it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn split(path: &Utf8Path) -> (&Utf8Path, &str) {
    let parent = path.parent().expect("a destination has a parent");
    (parent, path.file_name().expect("a destination has a name"))
}

/// Locks `path` until the returned file is closed, here and in child processes. `on_wait` is called once if
/// another run has the lock.
pub fn lock(path: &Utf8Path, on_wait: impl FnOnce()) -> Result<File> {
    let (parent, _) = split(path);
    fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let file = file.with_context(|| format!("cannot open the lock {path}"))?;
    if file.try_lock().is_err() {
        on_wait();
        file.lock().with_context(|| format!("cannot lock {path}"))?;
    }
    Ok(file)
}

/// Whether a run has the file or directory locked.
pub fn is_locked(path: &Utf8Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}

/// Sets the mode and modification time of a file, whatever the umask and clock.
pub fn set_mode_and_time(path: &Utf8Path, mode: u32, modified: SystemTime) -> Result<()> {
    let set = || {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        File::open(path)?.set_modified(modified)
    };
    set().with_context(|| format!("cannot set mode and time of {path}"))
}

/// The permission bits of a file.
pub fn mode(path: &Utf8Path) -> Result<u32> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {path}"))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Replaces a file atomically. The new one has [`MODE_FILE`] and the given time.
pub fn replace(path: &Utf8Path, content: &[u8], modified: SystemTime) -> Result<()> {
    let (parent, name) = split(path);
    let beside = parent.join(format!(".{name}{PARTIAL}{}", std::process::id()));
    fs::write(&beside, content).with_context(|| format!("cannot write {beside}"))?;
    set_mode_and_time(&beside, MODE_FILE, modified)?;
    fs::rename(&beside, path).with_context(|| format!("cannot replace {path}"))
}

/// Whether a directory takes files; it is created if it does not exist.
pub fn is_writable(folder: &Utf8Path) -> bool {
    let probe = folder.join(format!(".xtask-probe{PARTIAL}{}", std::process::id()));
    let write = || {
        fs::create_dir_all(folder)?;
        fs::write(&probe, "x")?;
        fs::remove_file(&probe)
    };
    write().is_ok()
}

/// Copies a file, and creates the directories above it: it appears complete, with [`MODE_FILE`]. The caller has the
/// destination locked, so that what a killed run left is overwritten.
pub fn install(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let (parent, name) = split(to);
    fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
    let beside = parent.join(format!(".{name}{PARTIAL}0"));
    let copied = fs::copy(from, &beside).and_then(|_| fs::set_permissions(&beside, Permissions::from_mode(MODE_FILE)));
    copied.with_context(|| format!("cannot copy {from} to {beside}"))?;
    fs::rename(&beside, to).with_context(|| format!("cannot create {to}"))
}

/// The instant that many seconds after 1970.
pub fn instant(epoch_seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(epoch_seconds.unsigned_abs());
    if epoch_seconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Utf8PathBuf {
        let folder = format!("xtask-{name}-{}", std::process::id());
        Utf8PathBuf::try_from(std::env::temp_dir().join(folder)).expect("the temporary folder has a UTF-8 name")
    }

    #[test]
    fn a_directory_appears_complete_or_not_at_all() {
        let parent = scratch("staging");
        let place = parent.join("v1");
        drop(Staging::new(&place).expect("is made"));
        assert!(!place.exists());
        for content in ["one", "two"] {
            let staging = Staging::new(&place).expect("is made");
            fs::write(staging.path().join("file"), content).expect("is written");
            staging.publish().expect("is published");
            assert_eq!(fs::read_to_string(place.join("file")).expect("is there"), content);
        }
        assert_eq!(parent.read_dir_utf8().expect("lists").count(), 1);
        fs::remove_dir_all(&parent).expect("is removed");
    }

    #[test]
    fn two_with_the_same_destination_do_not_interfere_and_leftovers_are_removed() {
        let parent = scratch("two-stagings");
        let place = parent.join("v1");
        let one = Staging::new(&place).expect("is made");
        fs::create_dir(parent.join(".v1.partial-1")).expect("is made");
        fs::write(parent.join(".v1.partial-2"), "a file").expect("is written");
        let two = Staging::new(&place).expect("is made");
        fs::write(one.path().join("file"), "one").expect("is written");
        fs::write(two.path().join("file"), "two").expect("is written");
        one.publish().expect("is published");
        two.publish().expect("is published");
        assert_eq!(fs::read_to_string(place.join("file")).expect("is there"), "two");
        assert_eq!(parent.read_dir_utf8().expect("lists").count(), 1);
        fs::remove_dir_all(&parent).expect("is removed");
    }
}
