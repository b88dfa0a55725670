//! Rulesets for tags.

use serde_json::{Value, json};

use crate::github::TagRuleset;
use crate::github::tests::{ask, draft, fake, get};

#[test]
fn a_ruleset_stops_the_publication_of_a_release_with_a_new_tag() {
    let publish = json!({"draft": false});
    let cases = [
        (TagRuleset::default(), 422),
        (TagRuleset { include: &["refs/tags/b*"], ..TagRuleset::default() }, 422),
        (TagRuleset { bypass: Some("pull_requests_only"), ..TagRuleset::default() }, 422),
        (TagRuleset { include: &["refs/tags/v*"], ..TagRuleset::default() }, 200),
        (TagRuleset { exclude: &["refs/tags/b*"], ..TagRuleset::default() }, 200),
        (TagRuleset { bypass: Some("always"), ..TagRuleset::default() }, 200),
        (TagRuleset { enforcement: "evaluate", ..TagRuleset::default() }, 200),
        (
            TagRuleset { rules: json!([{"type": "deletion"}, {"type": "non_fast_forward"}]), ..TagRuleset::default() },
            200,
        ),
    ];
    for (ruleset, status) in cases {
        let mut fake = fake();
        let (path, _) = draft(&mut fake, "b1");
        fake.add_tag_ruleset(ruleset);
        let (found, answer) = ask(&mut fake, "PATCH", &path, &publish);
        assert_eq!(found, status, "{answer}");
        assert_eq!(get(&mut fake, &path).1["draft"], json!(status == 422), "{answer}");
    }
}

#[test]
fn a_tag_that_exists_is_not_created_again() {
    let mut fake = fake();
    let (path, _) = draft(&mut fake, "t");
    ask(&mut fake, "PATCH", &path, &json!({"draft": false}));
    ask(&mut fake, "DELETE", &path, &Value::Null);
    fake.add_tag_ruleset(TagRuleset::default());
    let (path, _) = draft(&mut fake, "t");
    assert_eq!(ask(&mut fake, "PATCH", &path, &json!({"draft": false})).0, 200);
}

#[test]
fn the_list_of_rulesets_has_no_rules_and_one_of_them_has() {
    let mut fake = fake();
    assert_eq!(get(&mut fake, "rulesets?targets=tag"), (200, json!([])));
    fake.add_tag_ruleset(TagRuleset::default());
    assert_eq!(get(&mut fake, "rulesets?targets=branch").1, json!([]));
    let listed = get(&mut fake, "rulesets?targets=tag").1[0].clone();
    assert_eq!((&listed["id"], &listed["rules"]), (&json!(1), &Value::Null));
    let (_, found) = get(&mut fake, "rulesets/1");
    assert_eq!(found["conditions"]["ref_name"]["include"], json!(["~ALL"]));
    assert_eq!((&found["rules"][0]["type"], &found["current_user_can_bypass"]), (&json!("creation"), &json!("never")));
    assert_eq!(get(&mut fake, "rulesets/2").0, 404);
    fake.hide_rulesets();
    assert_eq!(get(&mut fake, "rulesets").0, 404);
}
