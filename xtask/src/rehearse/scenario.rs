//! The scenarios: three weeks of a repository's life, in steps that are also the checkpoints.

use std::fmt;

use crate::rehearse::history;
use crate::upstream::ReleaseTag;

/// One event.
#[derive(Clone, Copy, Debug)]
pub enum ScenarioStep {
    /// Upstream publishes these releases, in this order.
    PublishUpstream(&'static [Published]),
    /// The daily `check-upstream`.
    CheckUpstream,
    /// `check-upstream` with [`BACKLOG`].
    CheckBacklog,
    /// The oldest pending run builds, and `release` publishes.
    Release,
    /// Somebody runs `release` for a version that was released before the adoption, which is refused.
    ReleaseAgain(&'static str),
    /// The newest build of master is released with `--adopt-latest`.
    AdoptLatest,
    /// Someone makes the package public, which is done once.
    MakePublic,
    /// Somebody changes a workflow file on the default branch, such as the pin of an action.
    ChangeWorkflow,
    /// Someone switches issues on, which a fork begins without.
    SwitchIssuesOn,
    /// The weekly schedule starts a build of master, whose newest commit has this date.
    ScheduledBuild(i64),
    /// Anyone verifies the release of this version, with all that it consists of.
    Verify(&'static str),
    /// The last job of the workflow publishes the repositories of APT and DNF.
    PublishPackages,
    /// Two assets and a digest in an index are replaced, a tag moved, and an image removed.
    Tamper,
    /// The daily `verify --all`, which finds all five.
    VerifyTampered,
    /// All five are put right.
    PutRight,
    /// The daily `verify --all`, which finds nothing.
    VerifyAll,
    /// This plan is made again, and is empty. Each is a step of its own, so that a fault in one does not run the others.
    NothingToDo(Plan),
}

/// A plan that is empty at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    CheckUpstream,
    /// With [`BACKLOG`].
    CheckBacklog,
    /// To release the build at this index of [`Scenario::built`].
    Release(usize),
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckUpstream => out.write_str("check-upstream"),
            Self::CheckBacklog => write!(out, "check-upstream {}", BACKLOG.join(" ")),
            Self::Release(index) => write!(out, "release, for build {},", index + 1),
        }
    }
}

/// An upstream release.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub tag: &'static str,
    /// The tag whose branch it is on; `None` for master.
    pub onto: Option<&'static str>,
    /// The date of its commit, in seconds since 1970.
    pub date_epoch: i64,
}

const fn on_master(tag: &'static str, date_epoch: i64) -> Published {
    Published { tag, onto: None, date_epoch }
}

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// In a new repository.
    New,
    /// In a repository that has a [history](super::history).
    Adoption,
}

/// The first day of the scenarios: 2026-08-03.
const BEGIN: i64 = 1_785_715_200;
const DAY: i64 = 24 * 60 * 60;

/// Upstream releases as it does in reality: candidates before a release, tags of another
/// component in between, and a patch of the old line after the first release of a new one. At the end, somebody
/// wants two older releases too, which are built one after the other.
const NEW: &[ScenarioStep] = &[
    ScenarioStep::PublishUpstream(&[
        on_master("v0.30.0", BEGIN - 90 * DAY),
        on_master("v0.31.0-rc1", BEGIN - 60 * DAY),
        on_master("v0.31.0", BEGIN - 50 * DAY),
        on_master("v0.32.0-rc1", BEGIN - 20 * DAY),
        on_master("dockerfile/1.19.0", BEGIN - 10 * DAY),
        on_master("v0.32.2", BEGIN),
    ]),
    ScenarioStep::CheckUpstream,
    ScenarioStep::Release,
    ScenarioStep::PublishPackages,
    ScenarioStep::MakePublic,
    ScenarioStep::SwitchIssuesOn,
    ScenarioStep::CheckUpstream,
    ScenarioStep::PublishUpstream(&[
        on_master("v0.33.0-rc1", BEGIN + 3 * DAY),
        on_master("v0.33.0", BEGIN + 9 * DAY),
        on_master("dockerfile/1.20.0", BEGIN + 9 * DAY),
        Published { tag: "v0.32.3", onto: Some("v0.32.2"), date_epoch: BEGIN + 10 * DAY },
    ]),
    ScenarioStep::CheckUpstream,
    ScenarioStep::Release,
    ScenarioStep::ChangeWorkflow,
    ScenarioStep::Release,
    ScenarioStep::CheckUpstream,
    ScenarioStep::ScheduledBuild(BEGIN + 13 * DAY),
    ScenarioStep::Release,
    ScenarioStep::ScheduledBuild(BEGIN + 20 * DAY),
    ScenarioStep::Release,
    ScenarioStep::CheckUpstream,
    ScenarioStep::CheckBacklog,
    ScenarioStep::Release,
    ScenarioStep::CheckBacklog,
    ScenarioStep::Release,
    ScenarioStep::PublishPackages,
    ScenarioStep::Verify("v0.32.2"),
    ScenarioStep::Tamper,
    ScenarioStep::VerifyTampered,
    ScenarioStep::PutRight,
    ScenarioStep::VerifyAll,
    ScenarioStep::NothingToDo(Plan::CheckUpstream),
    ScenarioStep::NothingToDo(Plan::CheckBacklog),
    ScenarioStep::NothingToDo(Plan::Release(0)),
    ScenarioStep::NothingToDo(Plan::Release(1)),
    ScenarioStep::NothingToDo(Plan::Release(2)),
    ScenarioStep::NothingToDo(Plan::Release(3)),
    ScenarioStep::NothingToDo(Plan::Release(4)),
    ScenarioStep::NothingToDo(Plan::Release(5)),
    ScenarioStep::NothingToDo(Plan::Release(6)),
];

/// What was released before is left alone, what follows is published beside it, and `latest` moves once somebody says so.
const ADOPTION: &[ScenarioStep] = &[
    ScenarioStep::PublishUpstream(&[
        on_master("v0.31.2", BEGIN - 20 * DAY),
        on_master("v0.32.0", BEGIN - 15 * DAY),
        on_master("v0.32.1", BEGIN - 5 * DAY),
        on_master("v0.32.2", BEGIN),
    ]),
    ScenarioStep::CheckUpstream,
    ScenarioStep::ReleaseAgain("v0.32.2"),
    ScenarioStep::PublishUpstream(&[on_master("v0.33.0", BEGIN + 9 * DAY)]),
    ScenarioStep::CheckUpstream,
    ScenarioStep::Release,
    ScenarioStep::ScheduledBuild(BEGIN + 13 * DAY),
    ScenarioStep::Release,
    ScenarioStep::AdoptLatest,
    ScenarioStep::ScheduledBuild(BEGIN + 20 * DAY),
    ScenarioStep::Release,
    ScenarioStep::CheckUpstream,
    ScenarioStep::PublishPackages,
    ScenarioStep::VerifyAll,
    ScenarioStep::NothingToDo(Plan::CheckUpstream),
    ScenarioStep::NothingToDo(Plan::CheckBacklog),
    ScenarioStep::NothingToDo(Plan::Release(1)),
    ScenarioStep::NothingToDo(Plan::Release(2)),
    ScenarioStep::NothingToDo(Plan::Release(3)),
];

/// The event that the adopted workflow sends for a release.
pub const EVENT: &str = "buildkit-released";

/// The options for two older releases, one build at a time.
pub const BACKLOG: [&str; 4] = ["--since", "v0.30.0", "--limit", "1"];

/// What an asset is replaced with.
pub const REPLACED: &[u8] = b"not what was published";

impl ScenarioStep {
    pub fn title(self) -> String {
        match self {
            Self::PublishUpstream(releases) => {
                let tags: Vec<&str> = releases.iter().map(|release| release.tag).collect();
                format!("upstream publishes {}", tags.join(", "))
            }
            Self::CheckUpstream => "the daily check-upstream".to_owned(),
            Self::CheckBacklog => format!("somebody builds the backlog: {}", BACKLOG.join(" ")),
            Self::Release => "a run of the workflow builds and publishes".to_owned(),
            Self::ReleaseAgain(version) => format!("somebody releases {version} again, which is refused"),
            Self::AdoptLatest => "somebody moves `latest` to the newest build of master: --adopt-latest".to_owned(),
            Self::MakePublic => "someone makes the package public, which has to be done once".to_owned(),
            Self::ChangeWorkflow => "someone changes a workflow file on main while a run builds".to_owned(),
            Self::SwitchIssuesOn => "someone switches issues on, which a fork begins without".to_owned(),
            Self::ScheduledBuild(_) => "Sunday: the schedule starts a build of master".to_owned(),
            Self::Verify(version) => format!("anyone verifies the release of {version}"),
            Self::PublishPackages => "the last job of the workflow publishes the package repositories".to_owned(),
            Self::Tamper => "somebody changes two assets and an index, moves a tag and removes an image".to_owned(),
            Self::VerifyTampered => "the daily verify finds all five, and files an issue".to_owned(),
            Self::PutRight => "somebody puts all five right".to_owned(),
            Self::VerifyAll => "the daily verify: all is as it was published".to_owned(),
            Self::NothingToDo(plan) => format!("the plan of {plan} is made again, and is empty"),
        }
    }
}

impl Scenario {
    pub fn steps(self) -> &'static [ScenarioStep] {
        match self {
            Self::New => NEW,
            Self::Adoption => ADOPTION,
        }
    }

    /// Everything that is built in the scenario: the ref, and the date of its commit.
    pub fn built(self) -> Vec<(&'static str, i64)> {
        let of = |step: &ScenarioStep| match *step {
            ScenarioStep::PublishUpstream(releases) => {
                releases.iter().map(|release| (release.tag, release.date_epoch)).collect()
            }
            ScenarioStep::ScheduledBuild(date_epoch) => vec![(MASTER, date_epoch)],
            _ => Vec::new(),
        };
        let is_built = |(tag, _): &(&str, i64)| match self {
            _ if *tag == MASTER => true,
            Self::New => tag.parse::<ReleaseTag>().is_ok_and(|tag| tag.is_stable()),
            Self::Adoption => !history::has(tag) || self.is_released_again(tag),
        };
        let mut built: Vec<_> = self.steps().iter().flat_map(of).filter(is_built).collect();
        // The backlog is built last.
        built.sort_by_key(|(tag, _)| ["v0.31.0", "v0.30.0"].contains(tag));
        built
    }

    /// Whether somebody builds a version again that was released before the adoption.
    pub fn is_released_again(self, tag: &str) -> bool {
        self.steps().iter().any(|step| matches!(step, ScenarioStep::ReleaseAgain(again) if *again == tag))
    }
}

pub const MASTER: &str = "master";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_since_our_first_is_built_and_master_and_then_the_backlog() {
        let refs: Vec<&str> = Scenario::New.built().into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(refs, ["v0.32.2", "v0.33.0", "v0.32.3", "master", "master", "v0.30.0", "v0.31.0"]);
        let refs: Vec<&str> = Scenario::Adoption.built().into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(refs, ["v0.32.2", "v0.33.0", "master", "master"]);
    }

    #[test]
    fn at_the_end_every_plan_is_empty() {
        for scenario in [Scenario::New, Scenario::Adoption] {
            let built = scenario.built();
            let released =
                (0..built.len()).filter(|index| !scenario.is_released_again(built[*index].0)).map(Plan::Release);
            let expected: Vec<Plan> = [Plan::CheckUpstream, Plan::CheckBacklog].into_iter().chain(released).collect();
            let plan =
                |step: &ScenarioStep| if let ScenarioStep::NothingToDo(plan) = step { Some(*plan) } else { None };
            let (first, last) = scenario.steps().split_at(scenario.steps().len() - expected.len());
            assert_eq!(last.iter().filter_map(plan).collect::<Vec<_>>(), expected, "{scenario:?}");
            assert_eq!(first.iter().filter_map(plan).next(), None, "{scenario:?}");
        }
    }
}
