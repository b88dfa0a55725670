//! The simulated GitHub of the replay: upstream's releases by date, our lists, each of which may be stale
//! once after a write, and builds that take time and may fail.

use std::collections::BTreeMap;

use crate::check_upstream::plan::Listed;
use crate::dist::ReleaseName;
use crate::github::{
    Comment, GitHubStep, Issue, IssueState, Run, RunConclusion, RunStatus, StateReason, published_comment, run_comment,
    run_title,
};
use crate::upstream::ReleaseTag;

pub const HOUR: u64 = 3600;

/// A pseudorandom number generator (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A list, and its stale state before the last write if that is still to be shown once.
pub struct EventuallyConsistent<T> {
    pub now: Vec<T>,
    before: Option<Vec<T>>,
}

impl<T> Default for EventuallyConsistent<T> {
    fn default() -> Self {
        Self { now: Vec::new(), before: None }
    }
}

impl<T: Clone> EventuallyConsistent<T> {
    fn read(&mut self) -> Vec<T> {
        self.before.take().unwrap_or_else(|| self.now.clone())
    }

    fn write(&mut self, is_stale: bool) -> &mut Vec<T> {
        self.before = is_stale.then(|| self.now.clone());
        &mut self.now
    }
}

/// What a build does, in this order.
#[derive(Clone)]
enum Event {
    Begin(u64),
    Draft(ReleaseTag),
    Publish(ReleaseTag),
    Close(ReleaseTag),
    End(u64, RunConclusion),
}

pub struct World {
    pub now: u64,
    pub random: Random,
    pub upstream: Vec<(u64, Listed)>,
    pub ours: EventuallyConsistent<Listed>,
    pub issues: EventuallyConsistent<Issue>,
    runs: EventuallyConsistent<Run>,
    comments: BTreeMap<u64, EventuallyConsistent<Comment>>,
    events: Vec<(u64, Event)>,
    /// How many runs of each version were started.
    pub attempts: BTreeMap<ReleaseTag, usize>,
    /// The versions in the order of publication.
    pub published: Vec<ReleaseTag>,
}

impl World {
    pub fn new(seed: u64, now: u64, upstream: Vec<(u64, Listed)>, ours: Vec<Listed>) -> Self {
        Self {
            now,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            upstream,
            ours: EventuallyConsistent { now: ours, before: None },
            issues: EventuallyConsistent::default(),
            runs: EventuallyConsistent::default(),
            comments: BTreeMap::new(),
            events: Vec::new(),
            attempts: BTreeMap::new(),
            published: Vec::new(),
        }
    }

    /// Advances the clock, and lets the builds continue.
    pub fn advance(&mut self, seconds: u64) {
        self.now += seconds;
        self.events.sort_by_key(|(when, _)| *when);
        while self.events.first().is_some_and(|(when, _)| *when <= self.now) {
            let (_, event) = self.events.remove(0);
            self.apply(event);
        }
    }

    /// The time between two requests: usually seconds, sometimes minutes.
    fn advance_a_little(&mut self) {
        let most = if self.random.is_one_in(8) { HOUR / 2 } else { 10 };
        let seconds = self.random.below(most);
        self.advance(seconds);
    }

    fn apply(&mut self, event: Event) {
        let is_stale = self.random.is_one_in(2);
        match event {
            Event::Begin(id) => self.run(id, RunStatus::InProgress, None),
            Event::End(id, conclusion) => self.run(id, RunStatus::Completed, Some(conclusion)),
            Event::Draft(version) => {
                let draft = Listed { draft: true, ..release(&version) };
                let ours = self.ours.write(is_stale);
                if !ours.contains(&draft) {
                    ours.insert(0, draft);
                }
            }
            Event::Publish(version) => {
                let found = release(&version);
                let ours = self.ours.write(is_stale);
                ours.retain(|listed| !(listed.draft && listed.tag_name == found.tag_name));
                ours.insert(0, found);
                self.published.push(version);
            }
            Event::Close(version) => {
                let marker = crate::github::issue_marker(&version);
                let is_match = |issue: &&Issue| issue.body.as_ref().is_some_and(|body| body.contains(&marker));
                let issue = self.issues.now.iter().find(is_match).expect("a build has an issue").number;
                let (marker, text) = published_comment(&version, &release(&version).html_url);
                if !self.all_comments().iter().any(|text| text.contains(&marker)) {
                    self.comment(issue, &marker, &text);
                }
                self.close(issue);
            }
        }
    }

    fn run(&mut self, id: u64, status: RunStatus, conclusion: Option<RunConclusion>) {
        let is_stale = self.random.is_one_in(2);
        let run = self.runs.write(is_stale).iter_mut().find(|run| run.id == id).expect("the run is there");
        (run.status, run.conclusion) = (Some(status), conclusion);
    }

    /// A run of up to 30 hours, which fails up to twice for some versions: before it has created anything,
    /// with a draft, or with the release published and the issue still open.
    fn start(&mut self, version: &ReleaseTag) -> (u64, String) {
        assert!(!self.published.contains(version), "{version} is built again");
        let title = run_title(version);
        let is_running = |run: &Run| run.display_title == title && run.status != Some(RunStatus::Completed);
        assert!(!self.runs.now.iter().any(is_running), "{version} is built twice at once");
        let attempt = self.attempts.entry(version.clone()).or_default();
        *attempt += 1;
        let failures = version.to_string().replace(['v', '.'], "").parse::<usize>().expect("digits") % 5;
        let fails = failures < 3 && *attempt <= failures;
        let id = u64::try_from(self.runs.now.len()).expect("few") + 100;
        let begin = self.now + self.random.below(HOUR);
        let end = begin + HOUR / 3 + self.random.below(30 * HOUR);
        let draft = (end - 300, Event::Draft(version.clone()));
        let publish = (end - 60, Event::Publish(version.clone()));
        let close = (end - 30, Event::Close(version.clone()));
        let (work, conclusion) = match (fails, self.random.below(3)) {
            (true, 0) => (vec![], RunConclusion::Failure),
            (true, 1) => (vec![], RunConclusion::Cancelled),
            (true, _) => (vec![draft], RunConclusion::Failure),
            (false, 0) => (vec![draft, publish], RunConclusion::Failure),
            (false, _) => (vec![draft, publish, close], RunConclusion::Success),
        };
        self.events.extend([(begin, Event::Begin(id)), (end, Event::End(id, conclusion))]);
        self.events.extend(work);
        let is_stale = self.random.is_one_in(2);
        let html_url = format!("https://github.com/o/n/actions/runs/{id}");
        let run = Run { id, display_title: title, status: Some(RunStatus::Queued), conclusion: None, html_url };
        self.runs.write(is_stale).insert(0, run.clone());
        (run.id, run.html_url)
    }

    /// How many releases upstream has so far.
    pub fn upstream_count(&self) -> usize {
        self.upstream.partition_point(|(when, _)| *when <= self.now)
    }

    /// Upstream's releases so far, latest first.
    pub fn upstream(&self) -> Vec<Listed> {
        let shown = &self.upstream[..self.upstream_count()];
        shown.iter().rev().map(|(_, listed)| listed.clone()).collect()
    }

    pub fn runs(&mut self) -> Vec<Run> {
        self.advance_a_little();
        let mut runs = self.runs.read();
        runs.truncate(100);
        runs
    }

    pub fn issues(&mut self) -> Vec<Issue> {
        self.advance_a_little();
        self.issues.read()
    }

    pub fn ours(&mut self) -> Vec<Listed> {
        self.advance_a_little();
        self.ours.read()
    }

    pub fn ours_by_tag(&mut self, version: &ReleaseTag) -> Option<Listed> {
        self.advance_a_little();
        self.ours.now.iter().find(|listed| **listed == release(version)).cloned()
    }

    pub fn comments(&mut self, issue: u64) -> Vec<Comment> {
        self.advance_a_little();
        self.comments.entry(issue).or_default().read()
    }

    /// Executes a step as `github/step.rs` does. `started` has the runs that the same pass started.
    pub fn execute(
        &mut self,
        step: &GitHubStep,
        started: &mut BTreeMap<ReleaseTag, (u64, String)>,
    ) -> Result<(), String> {
        match step {
            GitHubStep::FileIssue { version, title, body } => {
                if of(&self.issues(), version).is_none() {
                    let number = u64::try_from(self.issues.now.len()).expect("few") + 1;
                    let is_stale = self.random.is_one_in(2);
                    let issue = Issue::sample(number, title, body);
                    self.issues.write(is_stale).push(issue);
                }
            }
            GitHubStep::Dispatch { version, known_runs } => {
                let title = run_title(version);
                let mut runs = self.runs();
                runs.retain(|run| run.display_title == title);
                let run =
                    if runs.len() > *known_runs { (runs[0].id, runs[0].html_url.clone()) } else { self.start(version) };
                started.insert(version.clone(), run);
            }
            GitHubStep::RecordRun { version } => {
                let (id, url) = started.get(version).expect("it was started");
                let (marker, text) = run_comment(*id, url);
                let issue = of(&self.issues(), version).ok_or("the issue is gone")?;
                self.comment_once(issue, &marker, &text);
            }
            GitHubStep::Comment { issue, marker, text } => self.comment_once(*issue, marker, text),
            GitHubStep::CloseIssue { issue } => self.close(*issue),
            GitHubStep::ReopenIssue { .. } => panic!("{step}: no issue was closed too early"),
            other => panic!("{other} is not a step of this task"),
        }
        Ok(())
    }

    fn comment_once(&mut self, issue: u64, marker: &str, text: &str) {
        let comments = self.comments(issue);
        if !comments.iter().any(|comment| comment.body.as_ref().is_some_and(|body| body.contains(marker))) {
            self.comment(issue, marker, text);
        }
    }

    fn comment(&mut self, issue: u64, marker: &str, text: &str) {
        let is_stale = self.random.is_one_in(2);
        let body = Some(format!("{marker}\n{text}"));
        self.comments.entry(issue).or_default().write(is_stale).push(Comment { body });
    }

    fn close(&mut self, number: u64) {
        let is_stale = self.random.is_one_in(2);
        let issue = self.issues.write(is_stale).iter_mut().find(|issue| issue.number == number);
        let issue = issue.expect("the issue is there");
        (issue.state, issue.state_reason) = (IssueState::Closed, Some(StateReason::Completed));
    }

    pub fn all_comments(&self) -> Vec<&str> {
        let all = self.comments.values().flat_map(|comments| &comments.now);
        all.filter_map(|comment| comment.body.as_deref()).collect()
    }
}

fn of(issues: &[Issue], version: &ReleaseTag) -> Option<u64> {
    let marker = crate::github::issue_marker(version);
    let is_match = |issue: &&Issue| issue.body.as_ref().is_some_and(|body| body.contains(&marker));
    issues.iter().find(is_match).map(|issue| issue.number)
}

/// Our published release of a version.
pub fn release(version: &ReleaseTag) -> Listed {
    let tag_name = ReleaseName::Upstream(version.clone()).to_string();
    let html_url = format!("https://github.com/o/n/releases/tag/{tag_name}");
    Listed { tag_name, draft: false, prerelease: false, html_url }
}
