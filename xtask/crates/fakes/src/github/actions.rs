//! GitHub Actions: workflow dispatches and lists of runs.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::github::response::{Outcome, Response};
use crate::github::shapes::{self, BRANCH};
use crate::github::{Call, FakeGitHub, PendingRun, State};

/// The workflows.
const WORKFLOWS: [&str; 2] = [WORKFLOW, "track-buildkit-releases.yml"];
/// The only one that can be dispatched, and its input.
const WORKFLOW: &str = "buildkit-weekly-build.yml";
const INPUT: &str = "buildkit_ref";
const FIRST_RUN: u64 = 17_000_000_001;

/// A workflow run.
#[derive(Clone)]
pub struct Run {
    /// Has a counter of its own: issues name runs by id, which must not depend on how often something
    /// else was retried.
    pub id: u64,
    pub started: u64,
    pub title: String,
    pub event: &'static str,
    pub status: String,
    pub conclusion: Option<String>,
    pub attempt: u64,
    /// The ref that it was dispatched with; `None` for a scheduled run.
    pub buildkit_ref: Option<String>,
}

/// The keys that "Create a workflow dispatch event" accepts.
const DISPATCH_KEYS: [&str; 2] = ["ref", "inputs"];

impl FakeGitHub {
    /// Answers dispatches with 204 from now on, whatever version is asked for. Source: GitHub changelog of 2026-02-19,
    /// "Workflow dispatch API now returns run IDs": "Previously, this endpoint returned only a 204 No Content
    /// status code." A server of that time may still run.
    pub fn hide_runs(&mut self) {
        self.state.hides_runs = true;
    }

    /// The runs that are not completed, oldest first.
    pub fn pending_runs(&self) -> Vec<PendingRun> {
        let waiting = self.state.runs.iter().filter(|run| run.status != "completed");
        waiting.map(|run| PendingRun { id: run.id, buildkit_ref: run.buildkit_ref.clone() }).collect()
    }

    /// Sets the status of a run: `queued`, `in_progress` or `completed`; and if completed its conclusion:
    /// `success`, `failure`, `cancelled`, `timed_out`.
    pub fn set_run(&mut self, id: u64, status: &str, conclusion: Option<&str>) {
        self.state.tick();
        let run = self.state.runs.iter_mut().find(|run| run.id == id).expect("runs are named by their id");
        run.status = status.to_owned();
        run.conclusion = conclusion.map(str::to_owned);
    }

    /// Starts a scheduled run, which builds master. Returns its id.
    pub fn start_scheduled_run(&mut self) -> u64 {
        self.state.start("schedule", None)
    }
}

impl State {
    fn start(&mut self, event: &'static str, buildkit_ref: Option<String>) -> u64 {
        let (id, started) = (self.runs.last().map_or(FIRST_RUN, |run| run.id + 1), self.tick());
        let title = format!("BuildKit {}", buildkit_ref.as_deref().unwrap_or("master"));
        let status = "queued".to_owned();
        self.runs.push(Run { id, started, title, event, status, conclusion: None, attempt: 1, buildkit_ref });
        id
    }

    /// "Get a workflow"; here each is active.
    pub fn get_workflow(&mut self, call: &Call, workflow: &str) -> Outcome {
        let (id, file) = found(workflow).ok_or_else(Response::not_found)?;
        let path = format!(".github/workflows/{file}");
        let html = format!("https://github.com/{}", call.repository);
        Ok(Response::ok(&json!({
            "id": id,
            "node_id": format!("W_{id}"),
            "name": "BuildKit",
            "path": path,
            "state": "active",
            "created_at": shapes::time(0),
            "updated_at": shapes::time(0),
            "url": format!("{}/actions/workflows/{id}", call.api()),
            "html_url": format!("{html}/blob/{BRANCH}/{path}"),
            "badge_url": format!("{html}/workflows/BuildKit/badge.svg"),
        })))
    }

    /// "Create a workflow dispatch event": 200 with the run in version 2026-03-10 of the API, 204 in the
    /// one before. Sources: that page; "Breaking changes for 2026-03-10", which also removes the
    /// parameter `return_run_details`. Refused with 422: unknown keys, with the message that
    /// erlang/otp#8807 quotes, inputs that the workflow does not declare, and branches that do not exist.
    pub fn dispatch(&mut self, call: &Call, file: &str) -> Outcome {
        let dispatch: Map<String, Value> = call.document()?;
        if file != WORKFLOW || self.has_no_workflow {
            return Err(Response::not_found().violating(format!("there is no workflow {file}")));
        }
        let unprocessable =
            |message: String| Response::message(StatusCode::UNPROCESSABLE_ENTITY, &message).violating(message);
        if let Some(mistakes) = mistakes(&dispatch) {
            return Err(unprocessable(format!("Invalid request.\n\n{mistakes}")));
        }
        let inputs = dispatch.get("inputs").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(unknown) = inputs.keys().find(|name| *name != INPUT) {
            return Err(unprocessable(format!("Unexpected inputs provided: [\"{unknown}\"]")));
        }
        let branch = dispatch["ref"].as_str().unwrap_or_default();
        if branch.trim_start_matches("refs/heads/") != BRANCH {
            return Err(unprocessable(format!("No ref found for: {branch}")));
        }
        let input = inputs.get(INPUT).and_then(Value::as_str).map(str::to_owned);
        let id = self.start("workflow_dispatch", input);
        if self.hides_runs || !call.is_newest() {
            return Ok(Response::empty(StatusCode::NO_CONTENT));
        }
        Ok(Response::ok(&json!({
            "workflow_run_id": id,
            "run_url": format!("{}/actions/runs/{id}", call.api()),
            "html_url": format!("https://github.com/{}/actions/runs/{id}", call.repository),
        })))
    }

    /// "List workflow runs for a workflow": newest first; the parameter `status` is a status or a
    /// conclusion.
    pub fn list_runs(&mut self, call: &Call, workflow: &str) -> Outcome {
        if self.has_no_workflow {
            return Err(Response::not_found());
        }
        if found(workflow).is_none_or(|(_, file)| file != WORKFLOW) {
            return Err(Response::not_found().violating(format!("there is no workflow {workflow}")));
        }
        let is = |name, value: &str| call.parameter(name).is_none_or(|wanted| wanted == value);
        let is_wanted = |run: &&Run| {
            let conclusion = run.conclusion.as_deref().unwrap_or_default();
            is("event", run.event) && is("branch", BRANCH) && (is("status", &run.status) || is("status", conclusion))
        };
        let wanted = self.runs.iter().enumerate().rev().filter(|(_, run)| is_wanted(run));
        let runs: Vec<Value> = wanted.map(|(index, run)| run.to_json(call, index + 1)).collect();
        let total_count = runs.len();
        let (page, link) = call.page(runs, &format!("actions/workflows/{workflow}/runs"));
        let response = Response::ok(&json!({"total_count": total_count, "workflow_runs": page}));
        Ok(if link.is_empty() { response } else { response.with("link", link) })
    }
}

/// The id and file of a workflow, by either: "You can replace `workflow_id` with the workflow file name."
fn found(workflow: &str) -> Option<(usize, &'static str)> {
    let all = WORKFLOWS.into_iter().enumerate().map(|(index, file)| (index + 1, file));
    all.into_iter().find(|(id, file)| *file == workflow || id.to_string() == workflow)
}

/// What is wrong with the keys of a dispatch, in GitHub's words.
fn mistakes(dispatch: &Map<String, Value>) -> Option<String> {
    let unknown = dispatch.keys().filter(|key| !DISPATCH_KEYS.contains(&key.as_str()));
    let unknown: Vec<String> = unknown.map(|key| format!("\"{key}\"")).collect();
    let mut mistakes = match unknown.len() {
        0 => Vec::new(),
        1 => vec![format!("{} is not a permitted key.", unknown[0])],
        _ => vec![format!("{} are not permitted keys.", unknown.join(", "))],
    };
    if !dispatch.contains_key("ref") {
        mistakes.push("\"ref\" wasn't supplied.".to_owned());
    }
    (!mistakes.is_empty()).then(|| mistakes.join("\n"))
}

impl Run {
    fn to_json(&self, call: &Call, number: usize) -> Value {
        let (id, api) = (self.id, call.api());
        let url = format!("{api}/actions/runs/{id}");
        let commit = shapes::sha("ours");
        json!({
            "id": id,
            "node_id": format!("WFR_{id}"),
            "name": "BuildKit",
            "display_title": self.title,
            "path": format!(".github/workflows/{WORKFLOW}"),
            "workflow_id": 1,
            "run_number": number,
            "run_attempt": self.attempt,
            "event": self.event,
            "status": self.status,
            "conclusion": self.conclusion,
            "head_branch": BRANCH,
            "head_sha": commit,
            "head_commit": shapes::simple_commit(&commit),
            "pull_requests": [],
            "created_at": shapes::time(self.started),
            "updated_at": shapes::time(self.started),
            "run_started_at": shapes::time(self.started),
            "html_url": format!("https://github.com/{}/actions/runs/{id}", call.repository),
            "jobs_url": format!("{url}/jobs"),
            "logs_url": format!("{url}/logs"),
            "artifacts_url": format!("{url}/artifacts"),
            "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "check_suite_url": format!("{api}/check-suites/{id}"),
            "workflow_url": format!("{api}/actions/workflows/1"),
            "url": url,
            "repository": shapes::repository(call, true),
            "head_repository": shapes::repository(call, true),
        })
    }
}
