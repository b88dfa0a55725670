//! Kills `cargo xtask build` at random moments: it leaves a complete build or none, and the same
//! command run again completes. A whole run is divided by the lines that it prints, and a moment is drawn within
//! a stage that is drawn first, so that a short stage gets as many kills as a long one, on a busy machine too.
//! Half the time only xtask is killed, so that git or Go runs on, and half the time git and Go too, as in a power
//! failure. `XTASK_TEST_KILLS=200` kills that often, and with a tree as large as upstream's.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, reads the environment and asks the clock"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Checkout, World, contents, leaves_the_submodule_alone};

/// How many kills there are, unless `XTASK_TEST_KILLS` says otherwise.
const KILLS: u64 = 12;

#[test]
fn a_build_killed_at_a_random_moment_completes_when_run_again() {
    let Some(world) = World::new("kill") else { return };
    let tag = if std::env::var_os("XTASK_TEST_KILLS").is_some() { grown(&world) } else { "v0.2.0" };
    let whole = world.checkout("whole", tag);
    whole.build(&[]);
    let wanted = contents(&whole.dist(tag));
    // Once more, for its stages with a warm cache.
    let stages = stages(&world.checkout("whole", tag));
    let (seed, kills) = (number("XTASK_TEST_SEED", u64::from(std::process::id())), number("XTASK_TEST_KILLS", KILLS));
    println!("{kills} kills in {} stages, seed {seed}; run it again with XTASK_TEST_SEED={seed}", stages.len());
    let mut random = seed;
    // Knuth's MMIX generator; its upper bits are random enough to choose a moment.
    let mut draw = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let mut killed = vec![0_u32; stages.len()];
    let mut completed = 0;
    for number in 0..kills {
        let checkout = world.checkout("killed", tag);
        // Every other one has a submodule of the contributor's own, which is not touched.
        let has_submodule = number % 4 < 2;
        if has_submodule {
            world.git("killed", &["submodule", "update", "--quiet", "--init", "buildkit"]);
        }
        let index = usize::try_from(draw()).expect("31 bits") % stages.len();
        let wait = stages[index].lasts.mul_f64(draw() as f64 / (1_u64 << 31) as f64);
        let moment = Moment { stage: &stages[index], wait };
        let dist = checkout.dist(tag);
        let mut action = || {
            killed[index] += u32::from(kill(&checkout, &moment, number % 2 == 1));
            completed += u32::from(dist.exists());
            assert!(!dist.exists() || contents(&dist) == wanted, "half-written at {moment}, seed {seed}");
            checkout.build(&[]);
        };
        if has_submodule {
            leaves_the_submodule_alone(&checkout, action);
        } else {
            action();
        }
        assert!(contents(&dist) == wanted, "not completed at {moment}, seed {seed}");
        assert_eq!(fs::read_dir(checkout.root.join("dist")).expect("lists").count(), 1, "a leftover, seed {seed}");
    }
    for (stage, killed) in stages.iter().zip(&killed) {
        println!("{killed:4} killed in the {:.1?} after line {} `{}`", stage.lasts, stage.line, stage.printed);
    }
    println!("{completed} of {kills} had completed before they were killed");
}

/// A tag of upstream's whose tree is as large as the real one: 8,500 files, 66 MB. Compiling it takes a second, so
/// that the kills are spread over everything else too.
fn grown(world: &World) -> &'static str {
    let mut random = 1_u64;
    for number in 0..8_500 {
        let path = world.path(&format!("upstream/docs/{}/{number}", number % 300));
        fs::create_dir_all(path.parent().expect("a parent")).expect("is made");
        let mut content = Vec::new();
        while content.len() < 7_800 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            content.extend(random.to_be_bytes());
        }
        fs::write(path, content).expect("is written");
    }
    world.commit("upstream", "grown");
    world.git("upstream", &["tag", "v0.3.0"]);
    "v0.3.0"
}

/// A number from the environment, or `other`.
fn number(name: &str, other: u64) -> u64 {
    std::env::var(name).map_or(other, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A part of a run: from one line that it prints to the next.
struct Stage {
    /// How many lines have come when it begins.
    line: usize,
    /// The last of them; empty at the start of the run.
    printed: String,
    lasts: Duration,
}

/// When a run is killed.
struct Moment<'a> {
    stage: &'a Stage,
    wait: Duration,
}

impl std::fmt::Display for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} after line {} `{}`", self.wait, self.stage.line, self.stage.printed)
    }
}

/// The stages of a whole run.
fn stages(checkout: &Checkout<'_>) -> Vec<Stage> {
    let (mut run, lines) = start(checkout);
    let mut began = Instant::now();
    let mut stages = vec![Stage { line: 0, printed: String::new(), lasts: Duration::ZERO }];
    for (number, line) in lines.enumerate() {
        stages[number].lasts = std::mem::replace(&mut began, Instant::now()).elapsed();
        stages.push(Stage { line: number + 1, printed: line.expect("a line"), lasts: Duration::ZERO });
    }
    stages.last_mut().expect("a stage").lasts = began.elapsed();
    assert!(run.wait().expect("is reaped").success(), "a whole run succeeds");
    stages
}

fn start(checkout: &Checkout<'_>) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut command = checkout.xtask(&["build"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).spawn().expect("xtask starts");
    let lines = BufReader::new(run.stderr.take().expect("is piped")).lines();
    (run, lines)
}

/// Whether the run was still going when it was killed.
fn kill(checkout: &Checkout<'_>, moment: &Moment<'_>, with_children: bool) -> bool {
    let (mut run, mut lines) = start(checkout);
    lines.by_ref().take(moment.stage.line).for_each(|line| drop(line.expect("a line")));
    std::thread::sleep(moment.wait);
    if with_children {
        // The run and its group may have ended already.
        let group = format!("-{}", run.id());
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().expect("kill runs");
    } else {
        run.kill().expect("is killed");
    }
    run.wait().expect("is reaped").signal().is_some()
}
