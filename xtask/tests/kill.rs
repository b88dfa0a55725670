//! Kills `cargo xtask build` at random moments: it leaves a complete build or none, and the same
//! command run again completes. Half the time only xtask is killed, so that git or Go runs on, and
//! half the time git and Go too, as in a power failure. `XTASK_TEST_KILLS=200` kills that often, and with a tree as large
//! as upstream's.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, reads the environment and asks the clock"
)]

mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
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
    // Once more, for the time that it takes with a warm cache.
    let whole = world.checkout("whole", tag);
    let started = Instant::now();
    whole.build(&[]);
    let one_run = started.elapsed();

    let (seed, kills) = (number("XTASK_TEST_SEED", u64::from(std::process::id())), number("XTASK_TEST_KILLS", KILLS));
    println!("{kills} kills within {one_run:?}, seed {seed}; run it again with XTASK_TEST_SEED={seed}");
    let mut random = seed;
    let mut completed = 0;
    for number in 0..kills {
        let checkout = world.checkout("killed", tag);
        // Every other one has a submodule of the contributor's own, which is not touched.
        let has_submodule = number % 4 < 2;
        if has_submodule {
            world.git("killed", &["submodule", "update", "--quiet", "--init", "buildkit"]);
        }
        // Knuth's MMIX generator; its upper bits are random enough to choose a moment.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = one_run.mul_f64((random >> 33) as f64 / f64::from(1_u32 << 31));
        let dist = checkout.dist(tag);
        let mut action = || {
            kill_after(&checkout, moment, number % 2 == 1);
            completed += u32::from(dist.exists());
            assert!(!dist.exists() || contents(&dist) == wanted, "half-written after {moment:?}, seed {seed}");
            checkout.build(&[]);
        };
        if has_submodule {
            leaves_the_submodule_alone(&checkout, action);
        } else {
            action();
        }
        assert!(contents(&dist) == wanted, "not completed after {moment:?}, seed {seed}");
        assert_eq!(fs::read_dir(checkout.root.join("dist")).expect("lists").count(), 1, "a leftover, seed {seed}");
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

fn kill_after(checkout: &Checkout<'_>, moment: Duration, with_children: bool) {
    let mut run = checkout
        .xtask(&["build"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("xtask starts");
    std::thread::sleep(moment);
    if with_children {
        // The run and its group may have ended already.
        let group = format!("-{}", run.id());
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().expect("kill runs");
    } else {
        run.kill().expect("is killed");
    }
    run.wait().expect("is reaped");
}
