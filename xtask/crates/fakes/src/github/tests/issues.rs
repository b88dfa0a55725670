//! Issues: labels that GitHub drops, and authors.

use serde_json::{Value, json};

use crate::github::tests::{ask, fake, get};

#[test]
fn labels_are_dropped_silently() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "before", "labels": ["x"]}));
    fake.drop_labels();
    let (status, issue) = ask(&mut fake, "POST", "issues", &json!({"title": "after", "labels": ["x", "y"]}));
    assert_eq!((status, &issue["labels"]), (201, &json!([])));
    assert_eq!(get(&mut fake, "issues?labels=x").1.as_array().map(Vec::len), Some(1), "only the first");
    assert_eq!(get(&mut fake, "labels").1.as_array().map(Vec::len), Some(1), "none is created");
    let (status, issue) = ask(&mut fake, "PATCH", "issues/1", &json!({"state": "closed", "labels": []}));
    assert_eq!((status, &issue["labels"][0]["name"], &issue["state"]), (200, &json!("x"), &json!("closed")));
    assert!(fake.violations().is_empty());
}

#[test]
fn an_issue_names_its_author() {
    let mut fake = fake();
    ask(&mut fake, "POST", "issues", &json!({"title": "ours"}));
    fake.open_issue_by_stranger("theirs", "b");
    let author = |issue: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&issue["user"]["type"]), text(&issue["author_association"]))
    };
    let issues = get(&mut fake, "issues").1;
    assert_eq!(author(&issues[0]), ("User".to_owned(), "NONE".to_owned()));
    assert_eq!(author(&issues[1]), ("Bot".to_owned(), "CONTRIBUTOR".to_owned()));
}
