//! What happens only where this project is adopted in a repository that has a history.

use anyhow::Result;

use crate::rehearse::pipeline::Pipeline;
use crate::rehearse::scenario::MASTER;

/// What `release` says of a version that was released before.
const REFUSAL: &str = "was published in another way";

impl Pipeline<'_> {
    /// Releases a version again that was released before. It is refused, which is the end.
    pub(super) fn release_again(&mut self, version: &str) -> Result<()> {
        let Some(build) = self.config.fixtures.build(version, None) else {
            self.problems.push(format!("{version} was not built"));
            return Ok(());
        };
        self.print(&format!("somebody builds {version} again"));
        let arguments = self.release_arguments(&build.folder);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let is_refused = |success: bool, stderr: &str| !success && stderr.contains(REFUSAL);
        self.retry_until(&arguments, &self.config.secrets.release, is_refused).map(|_| ())
    }

    /// Releases the newest published build of master once more, so that `latest` moves to it.
    pub(super) fn adopt_latest(&mut self) -> Result<()> {
        let mut builds = self.config.fixtures.builds().iter().rev();
        let Some(build) = builds.find(|build| build.source.r#ref.to_string() == MASTER && self.page(build).is_some())
        else {
            self.problems.push("no build of master is published".to_owned());
            return Ok(());
        };
        let mut arguments = self.release_arguments(&build.folder);
        arguments.push("--adopt-latest".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run_until_success(&arguments, &self.config.secrets.release)
    }
}
