//! Releases of a repository whose default branch moves on.

use serde_json::{Value, json};

use crate::github::FakeGitHub;
use crate::github::shapes::sha;
use crate::github::tests::{TOKEN, ask, draft, fake, get};

fn tagged(fake: &mut FakeGitHub, tag: &str) -> Value {
    get(fake, &format!("git/ref/tags/{tag}")).1["object"]["sha"].clone()
}

#[test]
fn a_target_with_other_workflow_files_than_the_default_branch_is_refused() {
    let mut fake = fake();
    fake.push(&sha("run"));
    let begin = |tag: &str| json!({"tag_name": tag, "draft": true, "target_commitish": sha("run")});
    let (status, begun) = ask(&mut fake, "POST", "releases", &begin("one"));
    assert_eq!((status, &begun["target_commitish"]), (201, &json!(sha("run"))));
    let path = format!("releases/{}", begun["id"]);
    fake.push(&sha("a document"));
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"name": "t"})).0, 200, "no workflow file was changed");

    fake.push_workflow_change(&sha("an action"));
    let (status, refused) = ask(&mut fake, "POST", "releases", &begin("two"));
    assert_eq!((status, &refused["message"]), (403, &json!("Resource not accessible by integration")));
    for edit in [json!({"name": "u"}), json!({"draft": false}), json!({"target_commitish": sha("run")})] {
        assert_eq!(ask(&mut fake, "PATCH", &path, &edit).0, 403, "the existing target counts too: {edit}");
    }
    let (status, edited) = ask(&mut fake, "PATCH", &path, &json!({"target_commitish": "main", "draft": false}));
    assert_eq!((status, &edited["draft"]), (200, &json!(false)));
    assert_eq!(tagged(&mut fake, "one"), sha("an action"));

    let (path, _) = draft(&mut fake, "two");
    fake.push_workflow_change(&sha("another action"));
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"draft": false})).0, 200, "the default branch is its target");
    assert_eq!(tagged(&mut fake, "two"), sha("another action"));
    assert!(fake.violations().is_empty());
}

#[test]
fn a_token_that_may_change_workflows_may_tag_any_commit_that_exists() {
    let mut fake = fake();
    fake.push_workflow_change(&sha("an action"));
    fake.allow(TOKEN, &["contents=write", "workflows=write"]);
    let begin = |target: &str| json!({"tag_name": "t", "target_commitish": target});
    assert_eq!(ask(&mut fake, "POST", "releases", &begin(&sha("ours"))).0, 201);
    let (status, refused) = ask(&mut fake, "POST", "releases", &begin("nowhere"));
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("target_commitish")));
    assert_eq!(fake.violations(), ["nowhere is no commit of the default branch"]);
}
