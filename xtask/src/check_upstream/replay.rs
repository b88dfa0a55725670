//! Replays upstream's whole history day by day: a pass at 09:00, sometimes a second one, sometimes one
//! that is interrupted between two steps, with builds that fail and lists that are stale. The expected
//! result is computed by other code than the planner's.

use std::collections::{BTreeMap, BTreeSet};

use world::{HOUR, World, release};

use crate::check_upstream::plan::{Desired, Listed, MOST_ATTEMPTS, Observed, Status, stable};
use crate::check_upstream::planned_steps;
use crate::github::IssueState;
use crate::upstream::ReleaseTag;

mod world;

const HISTORY: &str = include_str!("history.txt");
const DAY: u64 = 24 * HOUR;
/// How often `look_until_found` looks.
const ATTEMPTS: usize = 7;

/// A stable version as three numbers.
type Triple = (u64, u64, u64);

fn triple(tag: &str) -> Option<Triple> {
    let numbers: Vec<u64> = tag.strip_prefix('v')?.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    <[u64; 3]>::try_from(numbers).ok().map(|[major, minor, patch]| (major, minor, patch))
}

fn triple_of_ours(listed: &Listed) -> Option<Triple> {
    triple(listed.tag_name.strip_prefix("buildkit-")?.strip_suffix("-riscv64")?).filter(|_| !listed.draft)
}

/// The versions that should be published: the newest stable one, and the newest of the two newest minor
/// versions of which we have one, but nothing older than what we have of it.
fn due(upstream: &[Listed], ours: &[Listed]) -> BTreeSet<Triple> {
    let released: Vec<Triple> = upstream.iter().filter_map(|listed| triple(&listed.tag_name)).collect();
    let published: Vec<Triple> = ours.iter().filter_map(triple_of_ours).collect();
    let mut lines: Vec<(u64, u64)> = published.iter().map(|version| (version.0, version.1)).collect();
    lines.sort_unstable_by(|one, other| other.cmp(one));
    lines.dedup();
    lines.truncate(2);
    let is_due = |version: &&Triple| {
        let is_newest = released.iter().chain(&published).all(|other| other <= version);
        let is_line = |other: &&Triple| (other.0, other.1) == (version.0, version.1);
        let is_newest_of_line = released.iter().chain(&published).filter(is_line).all(|other| other <= version);
        is_newest || lines.contains(&(version.0, version.1)) && is_newest_of_line
    };
    released.iter().filter(is_due).copied().collect()
}

fn history() -> Vec<(u64, Listed)> {
    let lines = HISTORY.lines().filter(|line| !line.starts_with('#'));
    let mut releases: Vec<(u64, Listed)> = lines
        .map(|line| {
            let mut fields = line.split(' ');
            let when = fields.next().and_then(|when| when.parse().ok()).expect("seconds");
            let tag_name = fields.nth(1).expect("a tag").to_owned();
            let html_url = format!("https://github.com/moby/buildkit/releases/tag/{tag_name}");
            let prerelease = tag_name.contains("-rc") || tag_name.contains("-beta");
            (when, Listed { tag_name, draft: false, prerelease, html_url })
        })
        .collect();
    releases.sort_by_key(|(when, _)| *when);
    releases
}

/// Reads in the same order as `check_upstream.rs`.
fn observe(world: &mut World, upstream: &BTreeSet<ReleaseTag>) -> Vec<Status> {
    let (runs, issues) = (world.runs(), world.issues());
    let (upstream, ours) = (upstream.clone(), world.ours());
    let mut observed = Observed { upstream, runs, issues, ours, ..Observed::default() };
    for status in observed.evaluate(&Desired::default()).into_iter().filter(Status::is_doubtful) {
        observed.ours.extend(world.ours_by_tag(&status.version));
    }
    for issue in observed.unread(&Desired::default()) {
        let comments = world.comments(issue);
        observed.comments.insert(issue, comments);
    }
    observed.evaluate(&Desired::default())
}

#[derive(Default)]
struct Scenario {
    mornings: usize,
    passes: usize,
    unchanged: usize,
    interrupted: usize,
    required: BTreeSet<Triple>,
    allowed: BTreeSet<Triple>,
    /// The length of upstream's list, which only grows, and ours, when everything was last done.
    done: Option<(usize, Vec<Listed>)>,
}

impl Scenario {
    /// One pass. Returns whether it completed.
    fn pass(&mut self, world: &mut World) -> bool {
        self.passes += 1;
        if self.done == Some((world.upstream_count(), world.ours())) {
            self.unchanged += 1;
            return true;
        }
        let listed = world.upstream();
        let required = due(&listed, &world.ours.now);
        let is_complete = self.full_pass(world, &listed);
        self.allowed.extend(due(&listed, &world.ours.now));
        if is_complete {
            self.required.extend(&required);
        }
        self.allowed.extend(required);
        self.interrupted += usize::from(!is_complete);
        is_complete
    }

    fn full_pass(&mut self, world: &mut World, listed: &[Listed]) -> bool {
        let Ok(upstream) = stable(listed) else { return true };
        let statuses = observe(world, &upstream);
        let steps = planned_steps(&statuses);
        let cut = world.random.is_one_in(3).then(|| usize::try_from(world.random.below(5)).expect("small"));
        let mut started = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            if cut == Some(index) || world.execute(step, &mut started).is_err() {
                return false;
            }
        }
        let attempts = if steps.is_empty() { 0 } else { ATTEMPTS };
        let done = (0..attempts).map(|_| observe(world, &upstream)).find(|statuses| planned_steps(statuses).is_empty());
        let Some(statuses) = done.or(steps.is_empty().then_some(statuses)) else { return false };
        let ours = world.ours.now.clone();
        self.done = statuses.iter().all(Status::is_done).then_some((listed.len(), ours));
        true
    }
}

/// Replays from the day of `first` on, which is our first release if `is_published`, and checks the result.
fn replay(seed: u64, first: &str, is_published: bool) -> String {
    let upstream = history();
    let begin = upstream.iter().find(|(_, listed)| listed.tag_name == first).expect("a tag").0;
    let last = upstream.last().expect("a tag").0;
    let released =
        upstream.iter().filter(|(when, listed)| *when >= begin && triple(&listed.tag_name).is_some()).count();
    let version: ReleaseTag = first.parse().expect("a version");
    let ours: Vec<Listed> = is_published.then(|| release(&version)).into_iter().collect();
    let mut world = World::new(seed, begin, upstream, ours);
    let mut scenario = Scenario::default();
    let mut morning = begin / DAY * DAY + 9 * HOUR;
    while morning < last + 30 * DAY || scenario.done.is_none() {
        scenario.mornings += 1;
        world.advance(morning.saturating_sub(world.now));
        while !scenario.pass(&mut world) {
            world.advance(60);
        }
        if world.random.is_one_in(4) {
            let later = world.random.below(6 * HOUR);
            world.advance(later);
            scenario.pass(&mut world);
        }
        // Sometimes there is no pass for weeks, so that a version is superseded before it is observed.
        let days = if world.random.is_one_in(100) { world.random.below(60) } else { 1 };
        morning += days.max(1) * DAY;
    }
    check(&mut world, &scenario, is_published.then_some(&version));
    let attempts: usize = world.attempts.values().sum();
    format!(
        "seed {seed}, {} {first}: {} mornings, {} passes ({} unchanged, {} interrupted), {released} stable releases, {} wanted, \
         {} built and published by {attempts} runs",
        if is_published { "with" } else { "from" },
        scenario.mornings,
        scenario.passes,
        scenario.unchanged,
        scenario.interrupted,
        scenario.required.len(),
        world.published.len()
    )
}

fn check(world: &mut World, scenario: &Scenario, first: Option<&ReleaseTag>) {
    let numbers = |version: &ReleaseTag| triple(&version.to_string()).expect("stable");
    let built: BTreeSet<Triple> = world.published.iter().map(numbers).collect();
    assert_eq!(built.len(), world.published.len(), "a version was published twice");
    let missed: Vec<_> = scenario.required.iter().filter(|version| !built.contains(version)).collect();
    let missed: Vec<_> = missed.into_iter().filter(|version| first.map(numbers).as_ref() != Some(*version)).collect();
    assert_eq!(missed, Vec::<&Triple>::new(), "wanted, but not built");
    assert_eq!(built.difference(&scenario.allowed).collect::<Vec<_>>(), Vec::<&Triple>::new(), "built, but not wanted");
    assert_eq!(world.issues.now.len(), built.len(), "one issue each");
    assert!(world.issues.now.iter().all(|issue| issue.state == IssueState::Closed), "all closed");
    assert!(world.attempts.values().all(|count| *count <= MOST_ATTEMPTS));
    let comments = world.all_comments();
    assert_eq!(comments.iter().collect::<BTreeSet<_>>().len(), comments.len(), "no comment is repeated");
    let count = |marker: &str| comments.iter().filter(|text| text.contains(marker)).count();
    assert_eq!(count("<!-- xtask:published "), built.len(), "each release has a comment");
    assert_eq!(count("<!-- xtask:left-to-a-person "), 0);
    // An interrupted pass may leave a run unrecorded until the release is published.
    let attempts: usize = world.attempts.values().sum();
    let recorded = count("<!-- xtask:run ");
    assert!(
        recorded <= attempts && attempts <= recorded + scenario.interrupted,
        "{recorded} of {attempts} are recorded"
    );
    let upstream = stable(&world.upstream()).expect("releases");
    // The first observation consumes what is stale.
    observe(world, &upstream);
    let left = planned_steps(&observe(world, &upstream));
    assert_eq!(left, [], "nothing is left to do");
}

#[test]
fn every_wanted_version_in_upstreams_history_is_built_exactly_once() {
    let starts = [
        ("v0.3.0", false),
        ("v0.3.0", true),
        ("v0.8.0", true),
        ("v0.11.6", true),
        ("v0.17.2", true),
        ("v0.26.0", false),
    ];
    for (seed, (first, is_published)) in (1..).zip(starts) {
        println!("{}", replay(seed, first, is_published));
    }
}
