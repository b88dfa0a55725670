//! Lists that lag behind the writes, and replies that are lost, from the new version to the closed issue. The clock is
//! simulated: a day takes no time.

use std::time::Duration;

use http::Method;

use super::*;
use crate::http::Clock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A day for each of the three requests that create something, and one on which nothing is left to do.
const MOST_DAYS: usize = 4;

/// The reply to every request that creates something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Whole,
    /// A dispatch is answered with 204, without the run.
    WithoutRun,
    Lost,
}

impl Faults for Reply {
    fn action(&self, _number: u64, head: &http::Request<()>) -> Action {
        if *self == Self::Lost && head.method() == Method::POST { Action::CloseAfter } else { Action::Pass }
    }
}

impl Scenario {
    fn with_lag(lag: Duration, reply: Reply) -> Self {
        let scenario = Self::new(&format!("{}-{reply:?}", lag.as_millis()), reply);
        let mut fake = scenario.fake.lock().expect("no panic");
        fake.lag(lag);
        if reply == Reply::WithoutRun {
            fake.hide_runs();
        }
        drop(fake);
        scenario
    }

    /// A client whose waiting only moves the clock of the fake.
    fn client(&self) -> GitHub {
        let fake = Arc::clone(&self.fake);
        github(&self.server).with_clock(Clock::simulated(move |pause| fake.lock().expect("no panic").advance(pause)))
    }

    /// Does `work` every day until it succeeds. Returns the errors of the days before.
    fn daily(&self, work: impl Fn(GitHub) -> Result<()>) -> Vec<String> {
        let mut errors = Vec::new();
        for _ in 0..MOST_DAYS {
            let result = work(self.client());
            self.server.wait_until_idle().expect("settles");
            self.fake.lock().expect("no panic").advance(DAY);
            match result {
                Ok(()) => return errors,
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        panic!("every day failed: {errors:#?}");
    }

    fn daily_pass(&self) -> Vec<String> {
        let task = Line::parse_from(["check-upstream", "--execute", "--json"]).task;
        self.daily(|client| compare(client, repository(), &self.path, &task))
    }

    /// The build that was started drafts the release, publishes it and succeeds.
    fn daily_build(&self) -> Vec<String> {
        let waiting = self.fake.lock().expect("no panic").pending_runs();
        assert_eq!(waiting.len(), 1, "one build");
        let name = ReleaseName::Upstream("v0.33.0".parse().expect("a version"));
        let errors = self.daily(|client| {
            let releases = Releases { github: &client, repository: &repository() };
            let draft = releases.draft(&name, "notes")?;
            releases.publish(draft.id, true)
        });
        self.fake.lock().expect("no panic").set_run(waiting[0].id, "completed", Some("success"));
        errors
    }
}

#[test]
fn whatever_is_lost_and_however_lists_lag_there_is_one_of_each() {
    let expected = Scenario::new("punctual", Fault(0, 0)).whole();
    for reply in [Reply::Whole, Reply::WithoutRun, Reply::Lost] {
        for milliseconds in [500, 2_500, 6_000, 12_000, 40_000] {
            let scenario = Scenario::with_lag(Duration::from_millis(milliseconds), reply);
            let errors = [scenario.daily_pass(), scenario.daily_build(), scenario.daily_pass()].concat();
            let fake = scenario.fake.lock().expect("no panic");
            let found = fake.snapshot();
            let count = |list: &str| found[list].as_array().map_or(0, Vec::len);
            let comments = found["issues"][0]["comments"].as_array().map_or(0, Vec::len);
            // Two releases, because one is there from the beginning.
            let counts = (count("runs"), count("issues"), count("releases"), comments);
            assert_eq!(counts, (1, 1, 2, 2), "{reply:?}, {milliseconds} ms: {found:#}");
            assert_eq!(found.to_string(), expected, "{reply:?}, {milliseconds} ms");
            assert_eq!(errors.is_empty(), milliseconds < 40_000, "{reply:?}, {milliseconds} ms: {errors:#?}");
            assert!(errors.iter().all(|error| error.contains("run this again")), "{errors:#?}");
            assert!(fake.violations().is_empty(), "{:?}", fake.violations());
        }
    }
}
