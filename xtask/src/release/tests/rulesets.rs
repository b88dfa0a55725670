//! Publishing to a repository with rulesets for tags.

use fakes::github::{FakeGitHub, TagRuleset};
use fakes::server::locked;
use serde_json::json;

use super::Scenario;

/// GitHub applies them only when the release is published, after all uploads.
#[test]
fn a_ruleset_that_stops_the_tag_is_said_before_the_first_write() {
    let scenario = Scenario::new(|_| ());
    locked(&scenario.github).add_tag_ruleset(TagRuleset { include: &["refs/tags/b*"], ..TagRuleset::default() });
    let snapshots = || (locked(&scenario.github).snapshot(), locked(&scenario.registry).snapshot());
    let before = snapshots();
    let error = scenario.publish().expect_err("is refused").to_string();
    assert_eq!(snapshots(), before, "{error}");
    let words = ["nothing was changed", "Auto-imported tag create protections", "exclude the tags `buildkit-*`"];
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[test]
fn a_ruleset_that_does_not_stop_the_tag_or_is_not_shown_stops_no_release() {
    let cases: [fn(&mut FakeGitHub); 4] = [
        |github| github.add_tag_ruleset(TagRuleset { exclude: &["refs/tags/buildkit-*"], ..TagRuleset::default() }),
        |github| github.add_tag_ruleset(TagRuleset { bypass: Some("exempt"), ..TagRuleset::default() }),
        |github| github.add_tag_ruleset(TagRuleset { rules: json!([{"type": "future"}]), ..TagRuleset::default() }),
        FakeGitHub::hide_rulesets,
    ];
    for prepare in cases {
        let scenario = Scenario::new(|_| ());
        prepare(&mut locked(&scenario.github));
        scenario.publish().expect("is published");
        // Nothing creates the tag any more.
        locked(&scenario.github).add_tag_ruleset(TagRuleset::default());
        scenario.publish().expect("is verified");
    }
}

/// GitHub does not show who may bypass a ruleset, and says so only in the end.
#[test]
fn a_ruleset_that_stops_the_tag_after_all_is_explained_and_the_release_stays_a_draft() {
    let scenario = Scenario::new(|_| ());
    locked(&scenario.github).add_tag_ruleset(TagRuleset { bypass: None, ..TagRuleset::default() });
    let error = format!("{:#}", scenario.publish().expect_err("is refused"));
    assert!(error.contains("exclude the tags `buildkit-*` from it, and run this again"), "{error}");
    assert_eq!(locked(&scenario.github).snapshot()["releases"][0]["draft"], true);
}
