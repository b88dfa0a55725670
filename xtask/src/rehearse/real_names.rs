//! The rehearsal under the real names of GitHub and its registry. In a network namespace that has loopback alone, and
//! a mount namespace with an `/etc/hosts` of its own, the names lead to the fakes, over TLS with an authority made for
//! the run. The client is that of a real run; neither the machine's files nor the network are touched.
#![allow(clippy::disallowed_methods, reason = "reads and writes files")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, ToSocketAddrs};
use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::Utf8Path;
use certificates::{Certificates, HTTPS};
use fakes::names::{API, GITHUB_NAMES, PAGES, REGISTRY, REGISTRY_NAMES, UPLOADS, WEB};
use serde_json::{Value, json};

use crate::os::host;
use crate::os::process::{Run, run};
use crate::os::streams::print_stdout;
use crate::os::terminal::print_status;
use crate::rehearse::baseline::{self, Baseline};
use crate::rehearse::checkout::Secrets;
use crate::rehearse::faults::RecordedRequest;
use crate::rehearse::pipeline::Config;
use crate::rehearse::{Rehearse, fixtures, this_program};

pub mod certificates;

const HOSTS: &str = "/etc/hosts";
/// The programs that it takes, and the Debian package of each.
const PROGRAMS: [(&str, &str); 4] =
    [("unshare", "util-linux"), ("mount", "mount"), ("ip", "iproute2"), ("openssl", "openssl")];
/// The names that the scenario has to reach; downloads of blobs are not part of it.
const REACHED: [&str; 5] = [API, UPLOADS, WEB, PAGES, REGISTRY];

/// Runs this task again in namespaces of its own, in the place of this process.
pub fn run_in_namespaces(root: &Utf8Path, arguments: &Rehearse) -> Result<ExitCode> {
    if let Some(why) = why_unavailable() {
        if arguments.json {
            print_stdout(json!({ "passed": false, "skipped": why }));
        }
        bail!("the real names cannot be rehearsed on this machine: {why}");
    }
    // Cargo may download what it compiles, and in the namespaces it could not.
    fixtures::packager(root)?;
    let (program, outside) = (this_program()?, namespaces()?);
    let mut command = in_namespaces().args([program.as_str(), "rehearse", "--real-names", "--outside", &outside]);
    for (option, path) in [("--record", &arguments.record), ("--program", &arguments.program)] {
        command = path.iter().fold(command, |command, path| command.args([option, path.as_str()]));
    }
    Err(if arguments.json { command.arg("--json") } else { command }.replace_this_process())
}

/// Runs the scenario on loopback, then under the real names: the states must be the same. `outside` is how the
/// namespaces of this process are told from those of the machine.
pub fn run(config: &mut Config, folder: &Utf8Path, outside: &str) -> Result<Baseline> {
    let certificates = prepare(folder, outside)?;
    let on_loopback = Baseline::run(config, &folder.join("loopback"), false)?;
    (config.real_names, config.secrets) = (Some(certificates), Secrets::for_github());
    let mut baseline = Baseline::run(config, folder, true)?;
    baseline.problems.extend(differences(&on_loopback, &baseline));
    Ok(baseline)
}

/// Prints how many requests were sent to each host, and returns it as JSON.
pub fn report(baseline: &Baseline) -> Value {
    let hosts = by_host(&baseline.requests);
    let lines: Vec<String> = hosts.iter().map(|(host, count)| format!("{count} to {host}")).collect();
    print_status("over TLS", lines.join(", "));
    json!(hosts)
}

/// A command in namespaces of its own, as their root. What it mounts, nobody else sees.
fn in_namespaces() -> Run {
    run!("unshare --net --mount --map-root-user")
}

/// Why this machine cannot run the rehearsal, if it cannot.
fn why_unavailable() -> Option<String> {
    if std::env::consts::OS != "linux" {
        return Some("only Linux has network and mount namespaces".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| host::on_path(program).is_none()) {
        return Some(format!("{program} is not installed (Debian package {package})"));
    }
    let trials = [vec!["ip", "link", "set", "lo", "up"], vec!["mount", "--bind", HOSTS, HOSTS]];
    let refusals = trials.into_iter().filter_map(|trial| in_namespaces().args(trial).read().err());
    refusals.map(|error| format!("namespaces are not allowed here: {}", one_line(&error))).next()
}

fn one_line(error: &Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names of the network and the mount namespace of this process (`namespaces(7)`).
fn namespaces() -> Result<String> {
    let name = |kind: &str| {
        let link = format!("/proc/self/ns/{kind}");
        let target = fs::read_link(&link).with_context(|| format!("cannot read {link}"))?;
        Ok::<_, Error>(target.to_string_lossy().into_owned())
    };
    Ok(format!("{},{}", name("net")?, name("mnt")?))
}

/// Makes the names lead to loopback, once this process is in namespaces other than `outside`, and makes the authority.
fn prepare(folder: &Utf8Path, outside: &str) -> Result<Certificates> {
    let (ours, theirs) = (namespaces()?, outside.split(',').collect::<Vec<_>>());
    ensure!(
        theirs.len() == 2 && ours.split(',').zip(theirs).all(|(ours, theirs)| ours != theirs),
        "--outside is how the task calls itself in namespaces of its own; run `cargo xtask rehearse --real-names`"
    );
    let names = [&GITHUB_NAMES[..], &REGISTRY_NAMES[..]].concat();
    let certificates = Certificates::create(&folder.join("certificates"), &names)?;
    let hosts = folder.join("hosts");
    let line = format!("127.0.0.1 localhost {}\n", names.join(" "));
    fs::write(&hosts, line).with_context(|| format!("cannot write {hosts}"))?;
    run!("mount --bind {hosts} {HOSTS}").read()?;
    run!("ip link set lo up").read()?;
    for name in names {
        let found = (name, HTTPS).to_socket_addrs().with_context(|| format!("cannot resolve {name}"))?;
        let others: Vec<_> = found.filter(|address| address.ip() != Ipv4Addr::LOCALHOST).collect();
        ensure!(others.is_empty(), "{name} leads to {others:?}: /etc/nsswitch.conf does not ask {HOSTS} first");
    }
    Ok(certificates)
}

/// How many requests were sent to each host.
fn by_host(requests: &[Vec<RecordedRequest>; 2]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().flatten() {
        *counts.entry(request.host.as_str()).or_default() += 1;
    }
    counts
}

/// What is wrong with these hosts.
fn wrong_hosts(counts: &BTreeMap<&str, u64>) -> Vec<String> {
    let is_real = |host: &str| GITHUB_NAMES.contains(&host) || REGISTRY_NAMES.contains(&host);
    let missed = REACHED.iter().filter(|name| !counts.contains_key(*name));
    let others = counts.iter().filter(|(host, _)| !is_real(host));
    let others = others.map(|(host, count)| format!("{host}, which is none of the real names, got {count} requests"));
    missed.map(|name| format!("no request was sent to {name}")).chain(others).collect()
}

/// How the scenario under the real names differs from that on loopback, and what was wrong on loopback.
fn differences(on_loopback: &Baseline, baseline: &Baseline) -> Vec<String> {
    let mut problems = on_loopback.problems.clone();
    problems.extend(wrong_hosts(&by_host(&baseline.requests)));
    let mut steps = on_loopback.states.iter().zip(&baseline.states).zip(1..);
    let first = steps.find_map(|((expected, found), step)| {
        let lines = baseline::differences(expected, found);
        (!lines.is_empty()).then(|| lines.into_iter().map(move |line| format!("after step {step}: {line}")))
    });
    problems.extend(first.into_iter().flatten());
    problems
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn each_real_name_is_reached_and_no_other_host() {
        let to = |host: &str| RecordedRequest {
            method: Method::GET,
            host: host.to_owned(),
            path: "/".to_owned(),
            has_token: false,
        };
        let requests = [[API, UPLOADS, WEB, PAGES, API].map(to).to_vec(), [REGISTRY].map(to).to_vec()];
        let counts = by_host(&requests);
        assert_eq!((counts[API], wrong_hosts(&counts)), (2, Vec::new()));
        let requests = [[UPLOADS, WEB, PAGES, "127.0.0.1:20000"].map(to).to_vec(), [REGISTRY].map(to).to_vec()];
        let expected = [
            "no request was sent to api.github.com",
            "127.0.0.1:20000, which is none of the real names, got 1 requests",
        ];
        assert_eq!(wrong_hosts(&by_host(&requests)), expected);
    }

    /// Otherwise it would change the machine's own `/etc/hosts`.
    #[test]
    fn the_namespaces_of_the_machine_are_left_alone() {
        if std::env::consts::OS != "linux" {
            return;
        }
        let ours = namespaces().expect("Linux has namespaces");
        for outside in [ours.as_str(), "", "net:[1]", &format!("net:[1],{}", ours.split(',').nth(1).expect("two"))] {
            let error = prepare("/nonexistent".into(), outside).expect_err("is refused").to_string();
            assert!(error.contains("cargo xtask rehearse --real-names"), "{outside}: {error}");
        }
    }
}
