//! `cargo xtask rehearse --canary OWNER/REPO`: what only a real account can show, on a throw-away repository that was
//! made for it. It makes, checks and removes with the steps and clients of the real tasks.

use std::process::ExitCode;

use anyhow::{Context, Error, Result, ensure};
use camino::Utf8Path;
use points::{Found, Outcome, Point, Rows, expected};
use serde_json::json;
use site::{Observed, Removal, Site};
use steps::Steps;

use crate::credentials::{registry_credentials, token};
use crate::github::{GitHub, Issues, Repository};
use crate::http::look_until_found;
use crate::os::clock::Timestamp;
use crate::os::streams::print_json;
use crate::os::terminal::{note, print_status, print_step};
use crate::reconcile::{Executor, Step};
use crate::registry::{ImageRepository, Registry};
use crate::rehearse::Rehearse;

mod on_github;
mod on_registry;
mod points;
mod site;
mod steps;

/// A run: the repository, what is made there, and what was made so far.
struct Canary<'a> {
    site: &'a Site,
    steps: &'a Steps,
    executor: Executor<'a>,
    as_json: bool,
    /// The commands as they were printed.
    printed: Vec<String>,
}

impl Canary<'_> {
    fn execute(&mut self, step: &Step) -> Result<()> {
        self.print(step.to_string());
        self.executor.execute(step)
    }

    fn print(&mut self, line: String) {
        print_step(self.as_json, &line);
        self.printed.push(line);
    }

    fn remove(&mut self, removal: &Removal) -> Result<()> {
        self.print(removal.to_string());
        let (github, repository) = (&self.site.github, &self.site.repository);
        match removal {
            Removal::Delete(path, _) => github.remove(path),
            Removal::Close(issue) => Issues { github, repository }.close(*issue),
        }
    }
}

/// Runs the canary from the checkout at `root`. A point that differs is not an error, but exit status 1.
pub fn run(root: &Utf8Path, repository: &Repository, arguments: &Rehearse) -> Result<ExitCode> {
    site::refuse_remotes(root, repository)?;
    let site = open(repository, arguments)?;
    let observed = site.observe()?;
    observed.refuse_foreign(repository)?;
    let steps = Steps::write(root, &site)?;
    let executor = Executor::new(&site.github, &site.repository, &site.registry);
    let as_json = arguments.json;
    let mut canary = Canary { site: &site, steps: &steps, executor, as_json, printed: Vec::new() };
    canary.print(format!("export GH_REPO={repository}"));
    let rows = if arguments.execute { execute(&mut canary, &observed)? } else { plan(&mut canary, &observed) };
    rows.print();
    let [ok, differs, not_done] = [Outcome::Ok, Outcome::Differs, Outcome::NotDone].map(|outcome| rows.count(outcome));
    if arguments.execute {
        print_status("canary", format_args!("{ok} ok, {differs} differ, {not_done} not done"));
    } else {
        print_status("canary", format_args!("{} points; nothing was changed", Point::ALL.len()));
    }
    if as_json {
        let report = json!({
            "repository": repository, "image": site.registry.repository(), "executed": arguments.execute,
            "points": rows.as_slice(), "steps": canary.printed, "passed": differs == 0,
        });
        print_json(&report);
    }
    Ok(if differs == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open(repository: &Repository, arguments: &Rehearse) -> Result<Site> {
    let github = GitHub::new(arguments.api.clone(), token()?);
    let needs = "set GITHUB_TOKEN (contents, issues, actions and packages: write)";
    ensure!(github.has_token() || !arguments.execute, "the canary needs a token: {needs}");
    if !github.has_token() {
        note("GITHUB_TOKEN is not set: drafts that an earlier canary left are not visible");
    }
    let document = site::document(&github, repository)?;
    let host = arguments.registry.as_deref().unwrap_or("ghcr.io");
    let image: ImageRepository = format!("{host}/{repository}-canary").parse().map_err(Error::msg)?;
    let credentials = registry_credentials(&image)?;
    let registry = Registry::new(image, credentials);
    let now: String = Timestamp::now()?.to_string().chars().filter(char::is_ascii_digit).collect();
    // Unique also among runs of the same second, and less than the largest number of a version.
    let version = format!("v0.0.{now}{:05}", std::process::id() % 100_000).parse().map_err(Error::msg)?;
    Ok(Site { github, repository: repository.clone(), registry, document, version })
}

fn plan(canary: &mut Canary<'_>, observed: &Observed) -> Rows {
    let steps = canary.steps.all(canary.site.document.has_issues, observed.has_workflow);
    observed.removals.iter().for_each(|removal| canary.print(removal.to_string()));
    steps.into_iter().for_each(|step| canary.print(step.to_string()));
    Rows::planned()
}

fn execute(canary: &mut Canary<'_>, observed: &Observed) -> Result<Rows> {
    if !observed.removals.is_empty() {
        print_status("remove", "what an earlier canary left");
    }
    for removal in &observed.removals {
        canary.remove(removal).with_context(|| format!("an earlier canary left it, and it stays: {removal}"))?;
    }
    let mut rows = Rows::default();
    on_github::account(canary, &mut rows);
    on_github::release(canary, &mut rows);
    on_github::issue(canary, &mut rows);
    on_github::dispatch(canary, observed.has_workflow, &mut rows);
    on_registry::image(canary, &mut rows);
    rows.check(Point::Removed, || removed(canary));
    rows.check(Point::PackageRemoved, || package_removed(canary));
    Ok(rows)
}

/// Removes what is listed until nothing is. Lists may lag behind a write, and what is gone is removed once more then.
fn removed(canary: &mut Canary<'_>) -> Result<Found<()>> {
    let url = canary.site.github.url("");
    let mut problems = Vec::new();
    let gone = look_until_found(&url, || {
        let removals = canary.site.observe()?.removals;
        problems = removals.iter().filter_map(|removal| canary.remove(removal).err()).collect();
        Ok(removals.is_empty().then_some(()))
    })?;
    let why: Vec<String> = problems.iter().map(|problem| format!("{problem:#}")).collect();
    Ok(match gone {
        Some(()) => expected("the issue stays, closed: the REST API removes none"),
        None => Found::Differs(format!("something is still listed; {}", why.join("; "))),
    })
}

/// Only a classic token with the scope `delete:packages` removes a package.
fn package_removed(canary: &mut Canary<'_>) -> Result<Found<()>> {
    let (github, registry) = (&canary.site.github, &canary.site.registry);
    match canary.site.foreign_tag() {
        Ok((None, true)) => {}
        Ok((None, false)) => return Ok(Found::NotDone("there is no package".to_owned())),
        Ok((Some(tag), _)) => {
            return Ok(Found::NotDone(format!("{}:{tag} is not the canary's", registry.repository())));
        }
        Err(error) => return Ok(Found::NotDone(format!("its tags cannot be read: {error:#}"))),
    }
    let path = canary.site.package();
    let removal = Removal::Delete(path.clone(), "the package".to_owned());
    canary.print(removal.to_string());
    let response = github.delete(&path)?;
    let by_hand = registry.repository().settings_pages();
    Ok(match response.status.as_u16() {
        204 => expected("204"),
        status @ (401 | 403 | 404) => Found::NotDone(format!(
            "{status}: a classic token with the scopes read:packages and delete:packages is needed; by hand: {by_hand}"
        )),
        status => Found::Differs(format!("{status}; by hand: {by_hand}")),
    })
}
