//! Checks what a rehearsal exchanges with the fake GitHub against GitHub's own OpenAPI description of the
//! version that the requests name: the operation, its parameters, the status, both bodies. All bodies go into one document and their schemas
//! into one JSON schema, so that the validator runs once.
#![allow(clippy::disallowed_methods, reason = "reads and writes files and reads the clock")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use fakes::github::Exchange;
use serde_json::Value;

use crate::ci::openapi::validation::Validation;
use crate::ci::programs::cargo;
use crate::ci::{Outcome, Row, tools};
use crate::os::process::run;
use crate::os::streams::{print_stderr, write_stderr};

mod notes;
mod validation;
mod version;

const VALIDATOR: &str = "check-jsonschema";
const NOTES: &str = "docs/dev/GITHUB-NOTES.md";
const LIMIT: Duration = Duration::from_secs(5 * 60);

pub fn run(root: &Utf8Path) -> Result<Row> {
    let started = Instant::now();
    let row = |outcome| Ok(Row::new("openapi", outcome, started));
    let path = tools::openapi_description(root);
    if !path.is_file() {
        return row(Outcome::Skipped("GitHub's OpenAPI description is not installed".to_owned()));
    }
    let Some(validator) = tools::find(root, VALIDATOR) else {
        return row(Outcome::Skipped(format!("{VALIDATOR} is not installed")));
    };
    let folder = root.join("target/ci/openapi");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {folder}"))?;
    let record = folder.join("exchanges.jsonl");
    let mut exchanges: Vec<Exchange> = Vec::new();
    // Only an adopted repository has an event to send.
    for scenario in [&[][..], &["--adoption"]] {
        let rehearsal = cargo(root)
            .args(["xtask", "rehearse", "--record", record.as_str()])
            .args(scenario.iter().copied())
            .echoed()?;
        if !rehearsal.status.success() {
            return row(Outcome::Failed("the rehearsal failed; see above".to_owned()));
        }
        let text = fs::read_to_string(&record).with_context(|| format!("cannot read {record}"))?;
        let lines = text.lines().map(serde_json::from_str::<Exchange>);
        exchanges.extend(lines.collect::<Result<Vec<_>, _>>().with_context(|| format!("{record}"))?);
    }
    let description = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let mut description: Value = serde_json::from_slice(&description).with_context(|| format!("{path}"))?;
    let sent = match version_of(&exchanges) {
        Ok(sent) => sent,
        Err(error) => return row(Outcome::Failed(format!("{error:#}"))),
    };
    if let Err(error) = version::apply(&mut description, sent) {
        return row(Outcome::Failed(format!("{error:#}")));
    }
    let mut validation = Validation::of(&description, &exchanges);
    let prose = fs::read_to_string(root.join(NOTES)).with_context(|| format!("cannot read {NOTES}"))?;
    let objections = notes::objections(&prose, &description, &validation.operations);
    validation.objections.extend(objections.into_iter().map(|objection| format!("{NOTES}: {objection}")));
    let (schema, bodies) = (folder.join("schema.json"), folder.join("bodies.json"));
    fs::write(&schema, validation.schema.to_string()).with_context(|| format!("cannot write {schema}"))?;
    fs::write(&bodies, validation.bodies.to_string()).with_context(|| format!("cannot write {bodies}"))?;
    let output = run!("{validator} --schemafile {schema} {bodies}").directory(root).limit(LIMIT).output()?;
    if !output.status.success() {
        write_stderr(format_args!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr));
    }
    for objection in &validation.objections {
        print_stderr(objection);
    }
    row(if output.status.success() && validation.objections.is_empty() && !exchanges.is_empty() {
        Outcome::Passed(format!(
            "{} exchanges of {} operations, by the description of version {sent}",
            exchanges.len(),
            validation.operations.len()
        ))
    } else {
        Outcome::Failed("the fake or the client differs from GitHub's description; see above".to_owned())
    })
}

/// The version of the API that the client sends. Fails if a request names none or another one than the
/// others: GitHub would answer it in a version that nothing here checks.
fn version_of(exchanges: &[Exchange]) -> Result<&str> {
    let first = exchanges.first().context("the rehearsal recorded no exchange")?;
    let sent = first.version.as_deref().context("the client names no version of the API")?;
    let other = exchanges.iter().find(|exchange| exchange.version.as_deref() != Some(sent));
    other.map_or(Ok(sent), |other| {
        let version = other.version.as_deref().unwrap_or("none");
        bail!("{} {} names the version {version}, and other requests {sent}", other.method, other.template)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::openapi::validation::tests::exchange;

    #[test]
    fn all_requests_name_one_version() {
        let versions = |all: &[Option<&str>]| -> Vec<Exchange> {
            let one = |version: &Option<&str>| Exchange {
                version: version.map(str::to_owned),
                ..exchange("GET", 200, "", [Value::Null, Value::Null])
            };
            all.iter().map(one).collect()
        };
        assert_eq!(version_of(&versions(&[Some("2026-03-10"); 2])).expect("is one"), "2026-03-10");
        for (found, expected) in [
            (versions(&[]), "the rehearsal recorded no exchange"),
            (versions(&[None]), "the client names no version of the API"),
            (
                versions(&[Some("2026-03-10"), Some("2022-11-28")]),
                "GET /things names the version 2022-11-28, and other requests 2026-03-10",
            ),
            (
                versions(&[Some("2026-03-10"), None]),
                "GET /things names the version none, and other requests 2026-03-10",
            ),
        ] {
            assert_eq!(version_of(&found).expect_err("not one version").to_string(), expected);
        }
    }
}
