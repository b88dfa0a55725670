//! Kills `cargo xtask build` at random moments: it leaves a complete build or none, and the same
//! command run again completes. Half the time only xtask is killed, so that git or Go runs on, and
//! half the time git and Go too, as in a power failure.
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

use support::{Checkout, World, contents};

const KILLS: u64 = 12;

#[test]
fn a_build_killed_at_a_random_moment_completes_when_run_again() {
    let Some(world) = World::new("kill") else { return };
    let whole = world.checkout("whole", "v0.2.0");
    let started = Instant::now();
    whole.build(&[]);
    let one_run = started.elapsed();
    let wanted = contents(&whole.dist("v0.2.0"));

    let seed = seed();
    println!("seed {seed}; run it again with XTASK_TEST_SEED={seed}");
    let mut random = seed;
    for number in 0..KILLS {
        let checkout = world.checkout(&format!("killed-{number}"), "v0.2.0");
        // Knuth's MMIX generator; its upper bits are random enough to choose a moment.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = one_run.mul_f64((random >> 33) as f64 / f64::from(1_u32 << 31));
        kill_after(&checkout, moment, number % 2 == 1);
        let dist = checkout.dist("v0.2.0");
        assert!(!dist.exists() || contents(&dist) == wanted, "half-written after {moment:?}, seed {seed}");
        checkout.build(&[]);
        assert!(contents(&dist) == wanted, "not completed after {moment:?}, seed {seed}");
        assert_eq!(fs::read_dir(checkout.root.join("dist")).expect("lists").count(), 1, "a leftover, seed {seed}");
    }
}

fn seed() -> u64 {
    let given = std::env::var("XTASK_TEST_SEED").ok().map(|text| text.parse().expect("XTASK_TEST_SEED is a number"));
    given.unwrap_or_else(|| u64::from(std::process::id()))
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
