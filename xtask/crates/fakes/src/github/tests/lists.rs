//! Lists that do not show the last write yet.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

#[test]
fn one_list_after_a_write_can_be_stale() {
    let mut fake = fake();
    fake.stale_once();
    ask(&mut fake, "POST", "issues", &json!({"title": "t"}));
    assert_eq!(get(&mut fake, "releases").1, json!([]), "another collection");
    assert_eq!(get(&mut fake, "issues/1").0, 200, "no list");
    assert_eq!(get(&mut fake, "issues").1, json!([]));
    assert_eq!(get(&mut fake, "issues").1[0]["title"], "t");
}

#[test]
fn a_list_shows_a_write_only_after_the_lag() {
    let mut fake = fake();
    let titles = |fake: &mut FakeGitHub| -> Vec<Value> {
        let list = get(fake, "issues").1;
        list.as_array().expect("a list").iter().map(|issue| issue["title"].clone()).collect()
    };
    ask(&mut fake, "POST", "issues", &json!({"title": "before"}));
    fake.lag(Duration::from_millis(2500));
    ask(&mut fake, "POST", "issues", &json!({"title": "first"}));
    fake.advance(Duration::from_secs(1));
    ask(&mut fake, "POST", "issues", &json!({"title": "second"}));
    draft(&mut fake, "t");
    assert_eq!((titles(&mut fake), get(&mut fake, "releases").1), (vec![json!("before")], json!([])));
    assert_eq!((get(&mut fake, "issues/3").0, get(&mut fake, "issues/3/comments").0), (200, 200), "other collections");
    fake.advance(Duration::from_millis(1499));
    assert_eq!(titles(&mut fake), ["before"]);
    fake.advance(Duration::from_millis(1));
    assert_eq!(titles(&mut fake), ["first", "before"]);
    assert_eq!(titles(&mut fake), ["first", "before"], "reading does not move the clock");
    fake.advance(Duration::from_secs(1));
    assert_eq!(titles(&mut fake), ["second", "first", "before"]);
    assert_eq!(get(&mut fake, "releases").1[0]["tag_name"], "t");
}

#[test]
fn a_dispatch_may_be_answered_without_the_run() {
    let mut fake = fake();
    fake.hide_runs();
    let body = json!({"ref": "main", "inputs": {"buildkit_ref": "v0.32.2"}}).to_string().into_bytes();
    let path = format!("{OURS}/actions/workflows/buildkit-weekly-build.yml/dispatches");
    let mut dispatch = request("POST", &path, Some(TOKEN), body);
    dispatch.headers_mut().insert("x-github-api-version", "2026-03-10".parse().expect("is a value"));
    let response = fake.handle(&dispatch);
    assert_eq!((read(&response), fake.pending_runs().len()), ((204, Value::Null), 1));
}

#[test]
fn pages_beyond_the_results_that_are_shown_are_refused() {
    let mut fake = fake();
    (0..3).for_each(|number| fake.publish_earlier(&format!("v{number}"), "t", &[]));
    fake.limit_results(2);
    let shown = get(&mut fake, "releases?per_page=2").1;
    assert_eq!(shown.as_array().map(Vec::len), Some(2));
    let (status, refused) = get(&mut fake, "releases?per_page=2&page=2");
    assert_eq!((status, &refused["message"]), (422, &"Only the first 2 results are available.".into()));
}
