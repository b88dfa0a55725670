//! A running child: its end is waited for with a limit, and its whole process group can be killed, by
//! this thread or another.
#![allow(clippy::disallowed_types, reason = "starts processes")]

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use shared_child::SharedChild;

use crate::os::interrupt;
use crate::os::process::LARGEST_OUTPUT_BYTES;

/// How often a child that is followed gives a tick, output or not.
const TICK: Duration = Duration::from_millis(500);

/// How many pieces of output wait to be taken; a child that prints more waits as well.
const MOST_WAITING: usize = 64;

/// What [`Run::follow`](crate::os::process::Run::follow) reports of a running child.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// One line of standard error, without its end.
    Line(&'a str),
    /// A piece of standard output, which may begin and end anywhere.
    Piece(&'a [u8]),
    /// Half a second has gone by.
    Tick,
}

/// A child, and those that it started if it is in a process group of its own.
#[derive(Clone, Debug)]
pub(super) struct Running {
    child: Arc<SharedChild>,
    group: Option<Pid>,
}

impl Running {
    /// Starts a child, in a process group of its own unless it is `in_foreground`.
    pub fn start(command: &mut Command, in_foreground: bool, cleans_up: bool) -> io::Result<Self> {
        if !in_foreground {
            command.process_group(0);
        }
        let start = || {
            let child = SharedChild::spawn(command)?;
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            Ok(Self { child: Arc::new(child), group: pid.filter(|_| !in_foreground) })
        };
        interrupt::start(cleans_up, start, |running| running.group)
    }

    /// Reads both pipes to their ends, reports what comes, and waits for the child's end.
    pub fn follow(
        &self,
        deadline: Instant,
        stdout: &mut Vec<u8>,
        stderr: &mut String,
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<ExitStatus, End> {
        let (pieces, mut ends) = (self.pieces(), 0);
        while ends < 2 {
            match pieces.recv_timeout(TICK.min(deadline.saturating_duration_since(Instant::now()))) {
                Ok(Piece::Out(bytes)) => {
                    on_event(Event::Piece(&bytes));
                    stdout.extend(bytes);
                }
                Ok(Piece::ErrorLine(line)) => {
                    on_event(Event::Line(&line));
                    stderr.push_str(&line);
                    stderr.push('\n');
                }
                Ok(Piece::End) => ends += 1,
                Err(RecvTimeoutError::Timeout) => on_event(Event::Tick),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if stdout.len() + stderr.len() > LARGEST_OUTPUT_BYTES {
                return Err(End::TooMuchOutput);
            }
            if Instant::now() >= deadline {
                return Err(End::Late);
            }
        }
        // A child may close its pipes and go on.
        let status = self.child.wait_deadline(deadline).map_err(End::Lost)?.ok_or(End::Late)?;
        self.group.into_iter().for_each(interrupt::ended);
        Ok(status)
    }

    /// Reads both pipes, each on a thread of its own.
    fn pieces(&self) -> Receiver<Piece> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let stdout = self.child.take_stdout().expect("standard output is piped");
        let stderr = self.child.take_stderr().expect("standard error is piped");
        let also = sender.clone();
        std::thread::spawn(move || send_bytes(stdout, &also));
        std::thread::spawn(move || send_lines(stderr, &sender));
        receiver
    }

    /// Kills the whole group with SIGKILL, and waits for the child. One that has ended is no error.
    pub fn kill(&self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill().and_then(|()| self.child.wait());
        self.group.into_iter().for_each(interrupt::ended);
    }
}

/// Why a child has to be killed.
#[derive(Debug)]
pub(super) enum End {
    Late,
    TooMuchOutput,
    Lost(io::Error),
}

enum Piece {
    Out(Vec<u8>),
    ErrorLine(String),
    End,
}

// If the receiver is gone, nobody waits for the child any more.
fn send_bytes(mut pipe: impl Read, sender: &SyncSender<Piece>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let _ = sender.send(Piece::Out(buffer[..count].to_vec()));
    }
    let _ = sender.send(Piece::End);
}

fn send_lines(pipe: impl Read, sender: &SyncSender<Piece>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = pipe.by_ref().take(1 << 20).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        let _ = sender.send(Piece::ErrorLine(text));
        line.clear();
    }
    let _ = sender.send(Piece::End);
}

/// By which another thread can end a running child.
#[derive(Clone, Debug, Default)]
pub struct KillHandle(Arc<Mutex<Option<Running>>>);

impl KillHandle {
    /// Ends the child and its group as the kernel does when memory is short, with SIGKILL, and waits for its
    /// end; does nothing if none is running.
    pub fn kill(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        running.iter().for_each(Running::kill);
    }

    pub(super) fn hold(&self, running: Option<Running>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}
