//! GitHub's OpenAPI description in one version of the API. The description is of the first version, and
//! has what each later one breaks beside each part, in `x-github-breaking-changes`: its version, and a
//! patch to that part. A list is a JSON Patch (RFC 6902), an object a JSON Merge Patch (RFC 7396). What
//! is only added is in every version. Source: GitHub REST API, "Breaking changes".

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

const CHANGES: &str = "x-github-breaking-changes";

/// Changes a description into that of `version`. Fails if that is not the newest version that it describes.
pub fn apply(description: &mut Value, version: &str) -> Result<()> {
    let mut versions = BTreeSet::new();
    find_versions(description, &mut versions);
    // Versions are dates, which sort as text.
    let newest = versions.last().context("the description has no changes of any version of the API")?;
    ensure!(
        newest == version,
        "the newest version that the description has is {newest}, and the client sends {version}: take the \
         description that has {version}, or change the client"
    );
    patch_parts(description)
}

fn find_versions(part: &Value, versions: &mut BTreeSet<String>) {
    match part {
        Value::Array(all) => all.iter().for_each(|part| find_versions(part, versions)),
        Value::Object(fields) => {
            let changes = fields.get(CHANGES).and_then(Value::as_array).into_iter().flatten();
            versions.extend(changes.filter_map(|change| change["version"].as_str()).map(str::to_owned));
            fields.values().for_each(|part| find_versions(part, versions));
        }
        _ => {}
    }
}

fn patch_parts(part: &mut Value) -> Result<()> {
    match part {
        Value::Array(all) => all.iter_mut().try_for_each(patch_parts),
        Value::Object(fields) => {
            let changes = fields.remove(CHANGES);
            fields.values_mut().try_for_each(patch_parts)?;
            for change in changes.iter().filter_map(Value::as_array).flatten() {
                let name = change["changeset"].as_str().unwrap_or_default();
                apply_patch(part, &change["patch"]).with_context(|| format!("cannot apply the change {name:?}"))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn apply_patch(part: &mut Value, change: &Value) -> Result<()> {
    match change {
        Value::Array(operations) => operations.iter().try_for_each(|operation| patch(part, operation)),
        Value::Object(merged) => {
            merge(part, merged, false);
            Ok(())
        }
        _ => bail!("its patch is neither a list nor an object"),
    }
}

/// The schema of a field that a version removed: no value fits, so that nobody sends it any more. Without
/// a schema it would pass, as a field that the description does not know.
fn removed_field() -> Value {
    json!({"not": {}})
}

/// Applies a JSON Merge Patch. `are_fields` says whether the names in `part` are those of fields.
fn merge(part: &mut Value, changes: &Map<String, Value>, are_fields: bool) {
    if !part.is_object() {
        *part = json!({});
    }
    let Some(fields) = part.as_object_mut() else { return };
    for (name, change) in changes {
        match change {
            Value::Null if are_fields => drop(fields.insert(name.clone(), removed_field())),
            Value::Null => drop(fields.remove(name)),
            Value::Object(inner) => {
                merge(fields.entry(name.as_str()).or_insert(Value::Null), inner, name == "properties");
            }
            other => drop(fields.insert(name.clone(), other.clone())),
        }
    }
}

/// Applies an operation of a JSON Patch: one of those that GitHub's description uses.
fn patch(part: &mut Value, operation: &Value) -> Result<()> {
    let path = operation["path"].as_str().context("an operation has no path")?;
    let missing = || format!("nothing is at {path}");
    let (parent, name) = path.rsplit_once('/').with_context(missing)?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let are_fields = parent.ends_with("/properties");
    let inside = part.pointer_mut(parent).with_context(missing)?;
    match (operation["op"].as_str().unwrap_or_default(), inside) {
        ("remove", Value::Object(fields)) => {
            fields.remove(&name).with_context(missing)?;
            if are_fields {
                fields.insert(name, removed_field());
            }
        }
        ("replace", Value::Object(fields)) => {
            *fields.get_mut(&name).with_context(missing)? = operation["value"].clone();
        }
        ("remove", Value::Array(all)) => {
            let index = name.parse().ok().filter(|index| *index < all.len()).with_context(missing)?;
            all.remove(index);
        }
        (other, _) => bail!("the operation {other:?} at {path} is not one of those that GitHub's description had"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(version: &str, patch: &Value) -> Value {
        json!({
            "required": ["id", "assignee"],
            "properties": {"id": {}, "assignee": {"type": "string"}, "note": {"nullable": true}},
            CHANGES: [{"changeset": "some", "version": version, "patch": patch}],
        })
    }

    #[test]
    fn both_kinds_of_patch_are_applied() {
        let merged = json!({"properties": {"assignee": null, "note": {"nullable": false}}, "required": ["id"]});
        let listed = json!([
            {"op": "remove", "path": "/properties/assignee"},
            {"op": "replace", "path": "/properties/note/nullable", "value": false},
            {"op": "remove", "path": "/required/1"},
        ]);
        for patch in [merged, listed] {
            let mut description = json!({"parts": [changed("2026-03-10", &patch)]});
            apply(&mut description, "2026-03-10").expect("applies");
            let expected = json!({
                "required": ["id"],
                "properties": {"id": {}, "assignee": {"not": {}}, "note": {"nullable": false}},
            });
            assert_eq!(description["parts"][0], expected, "{patch}");
        }
    }

    #[test]
    fn another_version_than_the_newest_is_refused() {
        let patch = json!({});
        let mut description = json!([changed("2026-03-10", &patch), changed("2027-01-01", &patch)]);
        let error = apply(&mut description, "2026-03-10").expect_err("there is a newer one").to_string();
        assert!(error.starts_with("the newest version that the description has is 2027-01-01"), "{error}");
        apply(&mut description, "2027-02-01").expect_err("it is not described");
        apply(&mut json!({}), "2026-03-10").expect_err("it has no version");
    }

    #[test]
    fn a_patch_that_does_not_fit_is_an_error() {
        for patch in [
            json!([{"op": "remove", "path": "/properties/owner"}]),
            json!([{"op": "remove", "path": "/required/2"}]),
            json!([{"op": "move", "path": "/required/0"}]),
            json!([{"op": "remove"}]),
            json!("text"),
        ] {
            let error = apply(&mut changed("2026-03-10", &patch), "2026-03-10").expect_err("does not fit");
            assert_eq!(error.to_string(), "cannot apply the change \"some\"", "{patch}");
        }
    }
}
