//! Upstream's whole history, day by day: at 09:00 a pass, sometimes a second one, sometimes one that is
//! cut off between two steps; builds that fail and lists that are late. What should have come of it
//! is worked out by another rule than the planner's.

use std::collections::{BTreeMap, BTreeSet};

use world::{HOUR, World, release};

use crate::check_upstream::plan::{Listed, MOST_ATTEMPTS, Observed, Status, stable};
use crate::check_upstream::planned_steps;
use crate::github::IssueState;
use crate::upstream::version::ReleaseTag;

mod world;

const HISTORY: &str = include_str!("history.txt");
const DAY: u64 = 24 * HOUR;
const LOOKS: usize = 5;

/// A stable version as three numbers.
type Triple = (u64, u64, u64);

fn triple(tag: &str) -> Option<Triple> {
    let numbers: Vec<u64> = tag.strip_prefix('v')?.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    <[u64; 3]>::try_from(numbers).ok().map(|[major, minor, patch]| (major, minor, patch))
}

fn triple_of_ours(listed: &Listed) -> Option<Triple> {
    triple(listed.tag_name.strip_prefix("buildkit-")?.strip_suffix("-riscv64")?).filter(|_| !listed.draft)
}

/// What should be there: no other stable version is newer; or none of its line is, and we have one of
/// that line. And nothing is older than all that we have.
fn due(upstream: &[Listed], ours: &[Listed]) -> BTreeSet<Triple> {
    let released: Vec<Triple> = upstream.iter().filter_map(|listed| triple(&listed.tag_name)).collect();
    let published: Vec<Triple> = ours.iter().filter_map(triple_of_ours).collect();
    let is_line = |a: &Triple, b: &Triple| (a.0, a.1) == (b.0, b.1);
    let is_due = |version: &&Triple| {
        let newer: Vec<&Triple> = released.iter().filter(|other| other > version).collect();
        let has_line = published.iter().any(|other| is_line(other, version));
        let is_current = newer.is_empty() || has_line && !newer.iter().any(|other| is_line(other, version));
        is_current && (published.is_empty() || published.iter().any(|other| other <= version))
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

/// The same order of reading as in `check_upstream.rs`.
fn observe(world: &mut World, upstream: &BTreeSet<ReleaseTag>) -> Vec<Status> {
    let (runs, issues) = (world.runs(), world.issues());
    let (upstream, ours) = (upstream.clone(), world.ours());
    let mut observed = Observed { upstream, runs, issues, ours, ..Observed::default() };
    for status in observed.evaluate().into_iter().filter(Status::is_doubtful) {
        observed.ours.extend(world.ours_by_tag(&status.version));
    }
    for issue in observed.unread() {
        let comments = world.comments(issue);
        observed.comments.insert(issue, comments);
    }
    observed.evaluate()
}

#[derive(Default)]
struct Scenario {
    mornings: usize,
    passes: usize,
    quiet: usize,
    cut_off: usize,
    required: BTreeSet<Triple>,
    allowed: BTreeSet<Triple>,
    /// The length of upstream's list, which only grows, and ours, when everything was last settled.
    kept: Option<(usize, Vec<Listed>)>,
}

impl Scenario {
    /// One pass; whether it came to its end.
    fn pass(&mut self, world: &mut World) -> bool {
        self.passes += 1;
        if self.kept == Some((world.upstream_count(), world.ours())) {
            self.quiet += 1;
            return true;
        }
        let listed = world.upstream();
        let required = due(&listed, &world.ours.now);
        let ended = self.full_pass(world, &listed);
        self.allowed.extend(due(&listed, &world.ours.now));
        if ended {
            self.required.extend(&required);
        }
        self.allowed.extend(required);
        self.cut_off += usize::from(!ended);
        ended
    }

    fn full_pass(&mut self, world: &mut World, listed: &[Listed]) -> bool {
        let Ok(upstream) = stable(listed) else { return true };
        let statuses = observe(world, &upstream);
        let steps = planned_steps(&statuses);
        let cut = world.dice.is_one_in(3).then(|| usize::try_from(world.dice.below(5)).expect("small"));
        let mut started = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            if cut == Some(index) || world.execute(step, &mut started).is_err() {
                return false;
            }
        }
        let looks = if steps.is_empty() { 0 } else { LOOKS };
        let settled = (0..looks).map(|_| observe(world, &upstream)).find(|statuses| planned_steps(statuses).is_empty());
        let Some(statuses) = settled.or(steps.is_empty().then_some(statuses)) else { return false };
        let ours = world.ours.now.clone();
        self.kept = statuses.iter().all(Status::is_settled).then_some((listed.len(), ours));
        true
    }
}

/// Replays from the day of `first` on, which is our first release if it is published, and checks all.
fn replay(seed: u64, first: &str, is_published: bool) -> String {
    let upstream = history();
    let begin = upstream.iter().find(|(_, listed)| listed.tag_name == first).expect("a tag").0;
    let last = upstream.last().expect("a tag").0;
    let released =
        upstream.iter().filter(|(when, listed)| *when >= begin && triple(&listed.tag_name).is_some()).count();
    let version: ReleaseTag = first.parse().expect("a version");
    let ours: Vec<Listed> = is_published.then(|| release(&version)).into_iter().collect();
    let mut world = World::new(seed, begin, upstream, ours);
    let mut story = Scenario::default();
    let mut morning = begin / DAY * DAY + 9 * HOUR;
    while morning < last + 30 * DAY || story.kept.is_none() {
        story.mornings += 1;
        world.advance(morning.saturating_sub(world.now));
        while !story.pass(&mut world) {
            world.advance(60);
        }
        if world.dice.is_one_in(4) {
            let later = world.dice.below(6 * HOUR);
            world.advance(later);
            story.pass(&mut world);
        }
        // At times nobody looks for weeks, so that a version is followed by the next one unseen.
        let days = if world.dice.is_one_in(100) { world.dice.below(60) } else { 1 };
        morning += days.max(1) * DAY;
    }
    check(&mut world, &story, is_published.then_some(&version));
    let attempts: usize = world.attempts.values().sum();
    format!(
        "seed {seed}, {} {first}: {} mornings, {} passes ({} quiet, {} cut off), {released} stable releases, {} wanted, \
         {} built and published by {attempts} runs",
        if is_published { "having" } else { "from" },
        story.mornings,
        story.passes,
        story.quiet,
        story.cut_off,
        story.required.len(),
        world.published.len()
    )
}

fn check(world: &mut World, story: &Scenario, first: Option<&ReleaseTag>) {
    let numbers = |version: &ReleaseTag| triple(&version.to_string()).expect("stable");
    let built: BTreeSet<Triple> = world.published.iter().map(numbers).collect();
    assert_eq!(built.len(), world.published.len(), "one was published twice");
    let missed: Vec<_> = story.required.iter().filter(|version| !built.contains(version)).collect();
    let missed: Vec<_> = missed.into_iter().filter(|version| first.map(numbers).as_ref() != Some(*version)).collect();
    assert_eq!(missed, Vec::<&Triple>::new(), "wanted, and not built");
    assert_eq!(built.difference(&story.allowed).collect::<Vec<_>>(), Vec::<&Triple>::new(), "built, and not wanted");
    assert_eq!(world.issues.now.len(), built.len(), "one issue each");
    assert!(world.issues.now.iter().all(|issue| issue.state == IssueState::Closed), "all closed");
    assert!(world.attempts.values().all(|count| *count <= MOST_ATTEMPTS));
    let said = world.said();
    assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "nothing is said twice");
    let count = |marker: &str| said.iter().filter(|text| text.contains(marker)).count();
    assert_eq!(count("<!-- xtask:published "), built.len(), "each release is said");
    assert_eq!(count("<!-- xtask:left-to-a-person "), 0);
    // A pass that was cut off may leave a run unrecorded, and the release be out before the next one.
    let attempts: usize = world.attempts.values().sum();
    let recorded = count("<!-- xtask:run ");
    assert!(recorded <= attempts && attempts <= recorded + story.cut_off, "{recorded} of {attempts} are recorded");
    let upstream = stable(&world.upstream()).expect("releases");
    // The first look takes what is shown late.
    observe(world, &upstream);
    let left = planned_steps(&observe(world, &upstream));
    assert_eq!(left, [], "nothing is left to be done");
}

#[test]
fn over_upstream_s_whole_history_each_wanted_version_is_built_once_and_none_is_missed() {
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
