//! Builds several refs in one run, one after another, so that they share Go's cache, and prints a table.
#![allow(clippy::disallowed_methods, reason = "asks the clock")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::build::{Builder, Built};
use crate::os::streams::{print_json, print_stdout};
use crate::os::terminal::{clock, print_error, print_status, print_table};
use crate::upstream::{UpstreamRef, relative};

/// Builds all refs. If one fails, the others are still built.
pub fn run(builder: &Builder<'_>, refs: &[Option<UpstreamRef>], json: bool) -> ExitCode {
    let mut done = Vec::new();
    for (wanted, number) in refs.iter().zip(1..) {
        let name = wanted.as_ref().map_or_else(|| "pinned".to_owned(), ToString::to_string);
        print_status("ref", format_args!("{name} ({number} of {})", refs.len()));
        let started = Instant::now();
        let built = builder.build(wanted.as_ref());
        match &built {
            Ok(built) => built.print_status(builder.root),
            Err(error) => {
                print_error(error);
            }
        }
        done.push((name, built, started.elapsed()));
    }
    print_table(&done.iter().map(|(name, built, took)| row(builder, name, built, *took)).collect::<Vec<_>>());
    if json {
        let all = done.iter().map(|(name, built, took)| as_json(name, built, *took)).collect();
        print_json(&all);
    } else {
        done.iter().filter_map(|(_, built, _)| built.as_ref().ok()).for_each(|built| print_stdout(&built.folder));
    }
    let all_built = done.iter().all(|(_, built, _)| built.is_ok());
    if all_built { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(builder: &Builder<'_>, name: &str, built: &Result<Built>, took: Duration) -> [String; 4] {
    let (outcome, detail) = match built {
        Ok(built) => {
            (if built.is_unchanged { "unchanged" } else { "built" }, relative(builder.root, &built.folder).to_string())
        }
        Err(error) => ("failed", error.to_string().lines().next().unwrap_or_default().to_owned()),
    };
    [name.to_owned(), outcome.to_owned(), clock(took), detail]
}

fn as_json(name: &str, built: &Result<Built>, took: Duration) -> serde_json::Value {
    let mut object = match built {
        Ok(built) => built.as_json(),
        Err(error) => json!({ "error": format!("{error:#}") }),
    };
    object["asked"] = json!(name);
    object["seconds"] = json!(took.as_secs_f64());
    object
}
