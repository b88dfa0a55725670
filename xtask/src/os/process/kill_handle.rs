//! A running child in the executor of two threads: one awaits its end, another may bring it about.

use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By which another thread can end a running child.
#[derive(Clone, Debug, Default)]
pub struct KillHandle(Arc<Mutex<Option<Child>>>);

impl KillHandle {
    /// Ends the child as the kernel does when memory is short, with SIGKILL, and waits for its end;
    /// nothing where none is running.
    pub fn kill(&self) {
        if let Some(child) = &mut *self.held() {
            // A child that has ended by itself is no error.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }

    pub(super) fn hold(&self, child: Child) {
        *self.held() = Some(child);
    }

    fn held(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait(&self) -> std::io::Result<ExitStatus> {
        let mut held = self.held();
        let status = held.as_mut().expect("a child that was started is held").wait();
        *held = None;
        status
    }
}
