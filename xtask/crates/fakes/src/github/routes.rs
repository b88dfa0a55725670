//! Routes: method and path to handler. The permissions are those of "Permissions required for GitHub
//! Apps".

use http::Method;

use crate::github::Collection::{self, Assets, Comments, Issues, Labels, Releases, Runs};
use crate::github::access::DELETE_PACKAGES;
use crate::github::response::{Outcome, Response};
use crate::github::{Call, OTHER_REPOSITORY_ID, REPOSITORY_IDS, State, UPSTREAM, shapes};

type Handler<'a> = Box<dyn FnOnce(&mut State, &Call<'_>) -> Outcome + 'a>;

pub struct Route<'a> {
    /// The path as in GitHub's OpenAPI description, below `/repos/{owner}/{repo}`; `None` if it is not
    /// part of the API.
    pub template: Option<&'static str>,
    /// The permission that a token needs, such as `contents=write`.
    pub permission: &'static str,
    /// The collection that is listed or changed.
    pub collection: Option<Collection>,
    pub handler: Handler<'a>,
}

/// Finds the route, and whether it is about upstream's repository. Repository names are case-insensitive.
pub fn find<'a>(method: &Method, segments: &[&'a str], ours: &str) -> Option<(bool, Route<'a>)> {
    let method = method.as_str();
    let named = |owner: &str, name: &str| match format!("{owner}/{name}") {
        full if full.eq_ignore_ascii_case(UPSTREAM) => Some(true),
        full if full.eq_ignore_ascii_case(ours) => Some(false),
        _ => None,
    };
    match *segments {
        ["repos", owner, name, ref below @ ..] => Some((named(owner, name)?, route(method, below)?)),
        // The comments of an issue that was transferred. Nothing is to be written there.
        ["repositories", id, "issues", _, "comments"] if method == "GET" && id == OTHER_REPOSITORY_ID.to_string() => {
            let handler: Handler = Box::new(|_, _| Ok(Response::ok(&serde_json::json!([]))));
            Some((false, Route { template: None, permission: "issues=read", collection: None, handler }))
        }
        ["repositories", id, ref below @ ..] => {
            let known = REPOSITORY_IDS.into_iter().find(|known| known.0.to_string() == *id)?;
            Some((known.1, route(method, below)?))
        }
        // At GitHub uploads go to another host, so clients must not construct this URL.
        ["uploads", "repos", owner, name, "releases", id, "assets"] if method == "POST" => {
            let handler: Handler = Box::new(move |state, call| state.upload(call, id));
            let (template, permission) = (Some("/releases/{release_id}/assets"), "contents=write");
            Some((named(owner, name)?, Route { template, permission, collection: Some(Assets), handler }))
        }
        // Whether the owner is a user or an organisation is not checked.
        ["users" | "orgs", owner, "packages", "container", package] if method == "DELETE" => {
            ours.split_once('/').filter(|(ours, _)| ours.eq_ignore_ascii_case(owner))?;
            let handler: Handler = Box::new(move |state, _| state.delete_package(package));
            Some((false, Route { template: None, permission: DELETE_PACKAGES, collection: None, handler }))
        }
        [owner, name, "releases", "download", tag, file] if method == "GET" => {
            let handler: Handler = Box::new(move |state, call| state.download(call, tag, file));
            let (template, permission) = (None, "contents=read");
            Some((named(owner, name)?, Route { template, permission, collection: None, handler }))
        }
        _ => None,
    }
}

fn route<'a>(method: &str, below: &[&'a str]) -> Option<Route<'a>> {
    of_releases(method, below).or_else(|| of_issues_and_runs(method, below))
}

fn of_releases<'a>(method: &str, below: &[&'a str]) -> Option<Route<'a>> {
    let (template, permission, collection, handler): (_, _, _, Handler) = match (method, below) {
        ("GET", []) => (
            "",
            "metadata=read",
            None,
            Box::new(|state, call| Ok(Response::ok(&shapes::repository(call, !state.are_issues_off)))),
        ),
        ("GET", ["releases"]) => {
            ("/releases", "contents=read", Some(Releases), Box::new(|state, call| Ok(state.list_releases(call))))
        }
        ("POST", ["releases"]) => ("/releases", "contents=write", Some(Releases), Box::new(State::create_release)),
        ("GET", ["releases", "latest"]) => ("/releases/latest", "contents=read", None, Box::new(State::latest_release)),
        ("GET", ["releases", "tags", tag]) => {
            ("/releases/tags/{tag}", "contents=read", None, Box::new(|state, call| state.tagged_release(call, tag)))
        }
        ("GET", ["releases", id]) => {
            ("/releases/{release_id}", "contents=read", None, Box::new(|state, call| state.get_release(call, id)))
        }
        ("PATCH", ["releases", id]) => (
            "/releases/{release_id}",
            "contents=write",
            Some(Releases),
            Box::new(|state, call| state.update_release(call, id)),
        ),
        ("POST", ["releases", "generate-notes"]) => {
            ("/releases/generate-notes", "contents=write", None, Box::new(State::generate_notes))
        }
        ("DELETE", ["releases", id]) => {
            ("/releases/{release_id}", "contents=write", Some(Releases), Box::new(|state, _| state.delete_release(id)))
        }
        ("GET", ["git", "matching-refs", "tags", prefix]) => (
            "/git/matching-refs/{ref}",
            "contents=read",
            None,
            Box::new(|state, call| Ok(state.matching_tags(call, prefix))),
        ),
        ("DELETE", ["git", "refs", "tags", tag]) => {
            ("/git/refs/{ref}", "contents=write", None, Box::new(|state, _| state.delete_tag(tag)))
        }
        ("GET", ["releases", id, "assets"]) => (
            "/releases/{release_id}/assets",
            "contents=read",
            Some(Assets),
            Box::new(|state, call| state.list_assets(call, id)),
        ),
        ("DELETE", ["releases", "assets", id]) => {
            ("/releases/assets/{asset_id}", "contents=write", Some(Assets), Box::new(|state, _| state.delete_asset(id)))
        }
        ("GET", ["rulesets"]) => ("/rulesets", "metadata=read", None, Box::new(State::list_rulesets)),
        ("GET", ["rulesets", id]) => {
            ("/rulesets/{ruleset_id}", "metadata=read", None, Box::new(|state, call| state.get_ruleset(call, id)))
        }
        ("GET", ["compare", basehead]) => {
            ("/compare/{basehead}", "contents=read", None, Box::new(|state, call| state.compare(call, basehead)))
        }
        ("GET", ["git", "ref", "tags", tag]) => {
            ("/git/ref/{ref}", "contents=read", None, Box::new(|state, call| state.git_tag(call, tag)))
        }
        _ => return None,
    };
    Some(Route { template: Some(template), permission, collection, handler })
}

fn of_issues_and_runs<'a>(method: &str, below: &[&'a str]) -> Option<Route<'a>> {
    let (template, permission, collection, handler): (_, _, _, Handler) = match (method, below) {
        ("GET", ["issues"]) => {
            ("/issues", "issues=read", Some(Issues), Box::new(|state, call| Ok(state.list_issues(call))))
        }
        ("POST", ["issues"]) => ("/issues", "issues=write", Some(Issues), Box::new(State::create_issue)),
        ("GET", ["issues", number]) => {
            ("/issues/{issue_number}", "issues=read", None, Box::new(|state, call| state.get_issue(call, number)))
        }
        ("PATCH", ["issues", number]) => (
            "/issues/{issue_number}",
            "issues=write",
            Some(Issues),
            Box::new(|state, call| state.update_issue(call, number)),
        ),
        ("GET", ["issues", number, "comments"]) => (
            "/issues/{issue_number}/comments",
            "issues=read",
            Some(Comments),
            Box::new(|state, call| state.list_comments(call, number)),
        ),
        ("POST", ["issues", number, "comments"]) => (
            "/issues/{issue_number}/comments",
            "issues=write",
            Some(Comments),
            Box::new(|state, call| state.create_comment(call, number)),
        ),
        ("GET", ["labels"]) => {
            ("/labels", "issues=read", Some(Labels), Box::new(|state, call| Ok(state.list_labels(call))))
        }
        ("POST", ["labels"]) => ("/labels", "issues=write", Some(Labels), Box::new(State::create_label)),
        ("POST", ["dispatches"]) => ("/dispatches", "contents=write", None, Box::new(State::dispatch_event)),
        ("GET", ["actions", "workflows", file]) => (
            "/actions/workflows/{workflow_id}",
            "actions=read",
            None,
            Box::new(|state, call| state.get_workflow(call, file)),
        ),
        ("POST", ["actions", "workflows", file, "dispatches"]) => (
            "/actions/workflows/{workflow_id}/dispatches",
            "actions=write",
            Some(Runs),
            Box::new(|state, call| state.dispatch(call, file)),
        ),
        ("GET", ["actions", "workflows", file, "runs"]) => (
            "/actions/workflows/{workflow_id}/runs",
            "actions=read",
            Some(Runs),
            Box::new(|state, call| state.list_runs(call, file)),
        ),
        ("DELETE", ["labels", name]) => {
            ("/labels/{name}", "issues=write", Some(Labels), Box::new(|state, _| state.delete_label(name)))
        }
        ("DELETE", ["actions", "runs", id]) => {
            ("/actions/runs/{run_id}", "actions=write", Some(Runs), Box::new(|state, _| state.delete_run(id)))
        }
        _ => return None,
    };
    Some(Route { template: Some(template), permission, collection, handler })
}
