//! Upstream publishes, and the workflow builds and releases what it published.

use anyhow::Result;

use crate::rehearse::fixtures::Build;
use crate::rehearse::pipeline::Pipeline;
use crate::rehearse::scenario::{EVENT, MASTER, Published, Scenario};
use crate::upstream::SourceRef;

impl Pipeline<'_> {
    pub(super) fn publish_upstream(&self, releases: &[Published]) -> Result<()> {
        for release in releases {
            let commit = self.config.fixtures.commit(release.tag, release.date_epoch)?;
            let is_prerelease = release.tag.contains("-rc");
            let onto = release.onto.map(|tag| self.config.fixtures.commit(tag, 0)).transpose()?;
            self.github.with(|github| {
                if let Some(parent) = &onto {
                    github.commit_upstream(&commit, Some(parent));
                }
                github.publish_upstream(release.tag, &commit, is_prerelease);
            });
        }
        Ok(())
    }

    /// Releases the build of the oldest pending run, which succeeds once `release` has: until then a
    /// person presses "Re-run failed jobs", which continues the same run (GitHub Docs, "Re-running
    /// workflows and jobs").
    pub(super) fn release(&mut self) -> Result<()> {
        let Some(run) = self.github.with(|github| github.pending_runs().into_iter().next()) else {
            self.problems.push("no run is pending".to_owned());
            return Ok(());
        };
        let Some(build) = self.build_of(run.buildkit_ref.as_deref()) else {
            self.problems.push(format!("a run was started for {:?}, which should not be built", run.buildkit_ref));
            return Ok(());
        };
        self.github.with(|github| github.set_run(run.id, "in_progress", None));
        let kind = if build.is_fake { "a fake dist" } else { "the real build in dist/" };
        self.print(&format!("the workflow builds {}: {kind}", build.source.version));
        let mut arguments = self.release_arguments(&build.folder);
        if self.config.scenario == Scenario::Adoption {
            arguments.extend(["--event", EVENT].map(str::to_owned));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run_until_success(&arguments, &self.config.secrets.release)?;
        self.github.with(|github| github.set_run(run.id, "completed", Some("success")));
        Ok(())
    }

    /// The build of a run: of a tag or, for a scheduled run, of the next commit of master that is not
    /// published.
    fn build_of(&self, r#ref: Option<&str>) -> Option<Build> {
        let mut builds = self.config.fixtures.builds().iter();
        let Some(tag) = r#ref.filter(|name| *name != MASTER) else {
            let published = |build: &&Build| self.page(build).is_some();
            return builds
                .filter(|build| build.source.r#ref == SourceRef::Master)
                .find(|build| !published(build))
                .cloned();
        };
        builds.find(|build| build.source.r#ref.to_string() == tag).cloned()
    }
}
