//! Holds the output of `--json` to its schema in `xtask/schemas/`, with a validator that is not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Scratch, on_path, skip};

const VALIDATOR: &str = "check-jsonschema";

/// `None`, and a skip, if there is no validator.
pub fn validator(test: &str) -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ci/tools/python/bin").join(VALIDATOR);
    let found = on_path(VALIDATOR).or_else(|| installed.is_file().then_some(installed));
    if found.is_none() {
        skip(test, &format!("{VALIDATOR} is not installed (cargo xtask ci --install)"));
    }
    found
}

/// What the validator objects to, or nothing.
pub fn objections(validator: &Path, schema: &str, documents: &[PathBuf]) -> Option<String> {
    assert!(!documents.is_empty(), "no document to hold to {schema}");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(format!("{schema}.schema.json"));
    let output = Command::new(validator).arg("--schemafile").arg(schema).args(documents).output().expect("runs");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (!output.status.success()).then_some(text)
}

/// Fails if `document`, which `test` got from a task, is not as the schema describes it.
pub fn must_match(test: &str, schema: &str, document: &[u8]) {
    let Some(validator) = validator(test) else { return };
    let scratch = Scratch::new("schema");
    let path = scratch.path().join("document.json");
    fs::write(&path, document).expect("is written");
    let objections = objections(&validator, schema, &[path]);
    assert!(objections.is_none(), "{schema}: {}", objections.unwrap_or_default());
}
