//! Rulesets, each judged for the tag of one release.

use serde_json::json;

use super::*;

const TAG: &str = "buildkit-v0.32.2-riscv64";

/// A ruleset that stops all tags, changed at one place.
fn judged(pointer: &str, value: Value) -> TagRules {
    let mut document = json!({
        "id": 1, "name": "tags", "source": "o/n", "target": "tag", "enforcement": "active",
        "current_user_can_bypass": "never",
        "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}},
        "rules": [{"type": "creation"}],
    });
    *document.pointer_mut(pointer).expect("is there") = value;
    let mut rules = TagRules::default();
    serde_json::from_value::<Ruleset>(document).expect("is a ruleset").judge(TAG, &mut rules);
    rules
}

fn named(operator: &str, pattern: &str, negate: bool) -> Value {
    json!([{"type": "tag_name_pattern", "parameters": {"operator": operator, "pattern": pattern, "negate": negate}}])
}

#[test]
fn a_ruleset_is_a_refusal_a_note_or_nothing() {
    for (pointer, value, expected) in [
        ("/target", json!("tag"), "refusal"),
        ("/target", json!(null), "refusal"),
        ("/target", json!("branch"), ""),
        ("/enforcement", json!("evaluate"), ""),
        ("/enforcement", json!("disabled"), ""),
        // GitHub's example of the list has it.
        ("/enforcement", json!("enabled"), "refusal"),
        ("/current_user_can_bypass", json!("always"), ""),
        ("/current_user_can_bypass", json!("exempt"), ""),
        ("/current_user_can_bypass", json!("pull_requests_only"), "refusal"),
        ("/current_user_can_bypass", json!(null), "note"),
        ("/current_user_can_bypass", json!("on Sundays"), "note"),
        ("/conditions", json!(null), "note"),
        ("/conditions/ref_name", json!(null), "note"),
        ("/conditions/ref_name", json!({"include": ["~ALL"]}), "refusal"),
        ("/conditions/ref_name/include", json!([]), ""),
        ("/conditions/ref_name/include", json!(["refs/tags/v*"]), ""),
        ("/conditions/ref_name/include", json!(["refs/tags/v*", "refs/tags/buildkit-*"]), "refusal"),
        ("/conditions/ref_name/include", json!(["refs/tags/[^v]*"]), "note"),
        ("/conditions/ref_name/include", json!(["refs/tags/[^v]*", "~ALL"]), "refusal"),
        ("/conditions/ref_name/exclude", json!(["refs/tags/buildkit-*"]), ""),
        ("/conditions/ref_name/exclude", json!(["refs/tags/{a}"]), "note"),
        ("/rules", json!([]), ""),
        ("/rules", json!([{"type": "update"}, {"type": "deletion"}, {"type": "non_fast_forward"}]), ""),
        ("/rules", json!([{"type": "required_signatures"}]), "note"),
        ("/rules", json!([{"type": "required_signatures"}, {"type": "creation"}]), "refusal"),
        ("/rules", named("starts_with", "buildkit-", false), ""),
        ("/rules", named("starts_with", "v", false), "refusal"),
        ("/rules", named("starts_with", "refs/tags/", false), "note"),
        ("/rules", named("ends_with", "-riscv64", false), ""),
        ("/rules", named("ends_with", "-riscv64", true), "refusal"),
        ("/rules", named("contains", "riscv", false), ""),
        ("/rules", named("regex", "^v", false), "note"),
        ("/rules", json!([{"type": "tag_name_pattern"}]), "note"),
    ] {
        let TagRules { refusals, notes } = judged(pointer, value.clone());
        let found = match (refusals.len(), notes.len()) {
            (0, 0) => "",
            (1, 0) => "refusal",
            (0, 1) => "note",
            _ => "several",
        };
        assert_eq!(found, expected, "{pointer}: {value}: {refusals:?} {notes:?}");
    }
}

#[test]
fn the_ruleset_and_what_to_do_are_named() {
    expect_test::expect!["the ruleset \"tags\" of o/n stops the git tag buildkit-v0.32.2-riscv64 (creation): exclude the tags `buildkit-*` from it, or publish with the token of somebody who may bypass it; GITHUB_TOKEN of a workflow cannot"]
        .assert_eq(&judged("/target", json!("tag")).refusals.concat());
    expect_test::expect!["the ruleset \"tags\" of o/n may stop the git tag buildkit-v0.32.2-riscv64 when the release is published (required_signatures)"]
        .assert_eq(&judged("/rules", json!([{"type": "required_signatures"}])).notes.concat());
}
