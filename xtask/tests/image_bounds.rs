//! `cargo xtask verify-tini` on images made to cost memory or time: each is judged, or refused with the limit that it
//! exceeds, within 256 MB and 30 seconds of processor time. The images are small files; what is in them is not.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "reads and writes files, starts processes, asks the clock and prints figures"
)]

#[path = "image_bounds/compression.rs"]
mod compression;
#[path = "image_bounds/contradictions.rs"]
mod contradictions;
#[path = "image_bounds/documents.rs"]
mod documents;
#[path = "image_bounds/headers.rs"]
mod headers;
#[path = "image_bounds/names.rs"]
mod names;
#[path = "image_bounds/places.rs"]
mod places;
#[path = "image_bounds/programs.rs"]
mod programs;
mod support;
#[path = "image_bounds/written.rs"]
mod written;

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fakes::sample_image::{LOADER, RISCV, elf};

use crate::support::Scratch;
use crate::support::image::verify_command;
use crate::written::{Layer, image};

const MOST_KILOBYTES: u64 = 256 << 10;
const MOST_SECONDS: u64 = 30;
/// What is printed is kept in logs, and an image chooses its names.
const MOST_PRINTED_BYTES: usize = 64 << 10;
/// `USER_HZ`, in which Linux reports times to programs.
const TICKS: u64 = 100;

/// Runs the task on the image layout in `folder`, and asserts its bounds. Returns its messages.
fn verify(name: &str, folder: &Path) -> String {
    verify_image(name, folder, folder)
}

/// The same for the image at another path.
fn verify_image(name: &str, folder: &Path, image: &Path) -> String {
    let errors = folder.join("stderr");
    let mut command = verify_command(&["--engine", "none", "--host-init"]);
    // The host's init is looked for in the image as well.
    let init = folder.join("init");
    fs::write(&init, elf(RISCV, Some(LOADER), &["libc.so.6"])).expect("is written");
    command.arg(&init).arg(image).stderr(File::create(&errors).expect("is made")).stdout(Stdio::null());
    let mut child = command.spawn().expect("xtask starts");
    let process = Path::new("/proc").join(child.id().to_string());
    let (mut kilobytes, mut ticks) = (0, 0);
    let peak = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    // A small image may be done before it is looked at.
    assert!(peak(&fs::read_to_string("/proc/self/status").expect("is read")).is_some(), "Linux shows another line");
    // `utime` and `stime` of proc_pid_stat(5), in ticks; the task has one thread that works, so this is what a clock
    // shows on a machine with nothing else to do.
    let spent = |stat: &str| {
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()
    };
    while child.try_wait().expect("is waited for").is_none() {
        let read = |name| fs::read_to_string(process.join(name)).unwrap_or_default();
        kilobytes = peak(&read("status")).unwrap_or(0).max(kilobytes);
        ticks = spent(&read("stat")).unwrap_or(0).max(ticks);
        if kilobytes > 2 * MOST_KILOBYTES || ticks > 2 * TICKS * MOST_SECONDS {
            child.kill().and_then(|()| child.wait()).expect("is killed");
            break;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let messages = fs::read_to_string(&errors).expect("is read");
    let last = messages.lines().last().unwrap_or_default();
    println!("{name}: {} MB, {} ticks: {last:.150}", kilobytes >> 10, ticks);
    assert!(kilobytes <= MOST_KILOBYTES, "{name}: {kilobytes} kB");
    assert!(ticks <= TICKS * MOST_SECONDS, "{name}: {} s", ticks / TICKS);
    assert!(messages.len() <= MOST_PRINTED_BYTES, "{name}: prints {} bytes: {messages:.300}", messages.len());
    // A terminal and GitHub's runner must not obey it.
    let is_command = |line: &str| line.trim_start().starts_with("::");
    let controls = messages.contains(|c: char| c.is_control() && c != '\n') || messages.lines().any(is_command);
    assert!(!controls, "{name}: {messages:?}");
    messages
}

/// Asserts that the image which `fill` makes is refused with this limit, or, if that is empty, judged.
fn assert_bounded(name: &str, limit: &str, fill: impl FnOnce(&Path)) {
    let scratch = Scratch::new("bounds");
    fill(scratch.path());
    let messages = verify(name, scratch.path());
    if limit.is_empty() {
        assert!(messages.contains(" passed, "), "{name}: {messages:.2000}");
    } else {
        assert!(messages.contains(limit) && messages.contains("limit"), "{name}: {messages:.2000}");
    }
}

fn assert_layer_bounded(name: &str, limit: &str, fill: impl FnOnce(&mut Layer)) {
    assert_bounded(name, limit, |folder| image(folder, fill));
}

/// Asserts that the image which `fill` makes is refused for this reason.
fn assert_refused(name: &str, why: &str, fill: impl FnOnce(&Path)) {
    let scratch = Scratch::new("bounds");
    fill(scratch.path());
    let messages = verify(name, scratch.path());
    assert!(messages.contains("error") && messages.contains(why), "{name}: {messages:.2000}");
}
