//! After the last step, what was published stays there for a person to look at and to verify.
#![allow(clippy::disallowed_methods, reason = "waits")]

use std::time::Duration;

use crate::os::interrupt::{self, Cleanup};
use crate::os::terminal::{note, print_line, print_status};
use crate::rehearse::fixtures::Build;
use crate::rehearse::pipeline::Pipeline;

const PAUSE: Duration = Duration::from_millis(100);

impl Pipeline<'_> {
    /// Prints the command that verifies the first release of the scenario, and serves the fakes until a signal arrives.
    pub fn serve(&self) {
        // The files of the rehearsal are then removed before the process ends by the signal.
        let _files = Cleanup::announce();
        let (url, repository) = (self.github.server.url(), &self.config.repository);
        let is_released = |build: &&Build| !self.config.scenario.is_released_again(&build.source.r#ref.to_string());
        let Some(build) = self.config.fixtures.builds().iter().find(is_released) else { return };
        let task = self.verify_arguments(&[&build.source.version.to_string()]).join(" ");
        self.note_on_rebuild(build);
        print_status("serve", "GitHub and the registry until Ctrl-C; verify a release, in another terminal:");
        print_line(format_args!("GITHUB_API_URL={url} cargo xtask {task} --repo {repository}"));
        while interrupt::received().is_none() {
            std::thread::sleep(PAUSE);
        }
    }

    /// Says what `--rebuild` would find.
    fn note_on_rebuild(&self, build: &Build) {
        let version = &build.source.version;
        match &build.repository {
            Some(made_for) if made_for.to_string() == self.config.repository => {
                note("with --rebuild at its end, the command makes all of it again, and compares every byte");
            }
            Some(made_for) => note(format_args!(
                "{version} was made for {made_for}, so that --rebuild finds other names in it; leave out --registry"
            )),
            None => note(format_args!(
                "{version} is a fake dist, of which --rebuild can make nothing again; one in dist/{version} that is built and \
                 tested as README.md says is taken instead"
            )),
        }
    }
}
