//! Holds `docs/dev/GITHUB-NOTES.md` to the prose of GitHub's description: each operation that a rehearsal
//! uses has a section, what a section quotes is there word for word, and each note of GitHub's is quoted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ci::openapi::validation::resolved;

/// What is wrong with the document, one sentence each. `used` has operations such as
/// `GET /repos/{owner}/{repo}`.
pub fn objections(document: &str, description: &Value, used: &BTreeSet<String>) -> Vec<String> {
    let sections = sections(document);
    let missing = used.iter().filter(|operation| !sections.contains_key(operation.as_str()));
    let mut objections: Vec<String> = missing.map(|operation| format!("{operation} has no section")).collect();
    for (operation, quotes) in &sections {
        let (method, path) = operation.split_once(' ').unwrap_or((operation, ""));
        let texts = texts(description, &description["paths"][path][method.to_ascii_lowercase()]);
        let prose: Vec<String> = texts.iter().map(|text| plain(text)).collect();
        let invented = quotes.iter().filter(|quote| !prose.iter().any(|text| text.contains(*quote)));
        objections.extend(invented.map(|quote| format!("{operation}: GitHub does not say {quote:?}")));
        let notes = texts.iter().flat_map(|text| notes(text));
        let forgotten = notes.filter(|note| !quotes.iter().any(|quote| note.contains(quote)));
        objections.extend(forgotten.map(|note| format!("{operation}: nothing is quoted of the note {note:?}")));
    }
    objections
}

/// The quotes by operation: the first cells of the rows below the line with the operation in backticks.
fn sections(document: &str) -> BTreeMap<&str, Vec<String>> {
    let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in document.lines() {
        let operation = line.strip_prefix('`').and_then(|line| line.strip_suffix('`'));
        if let Some(operation) = operation.filter(|operation| operation.contains(" /repos/")) {
            sections.entry(operation).or_default();
            current = Some(operation);
        }
        let quote = line.strip_prefix("| \"").and_then(|row| row.split_once("\" | "));
        if let (Some((quote, _)), Some(operation)) = (quote, current) {
            sections.entry(operation).or_default().push(quote.to_owned());
        }
    }
    sections
}

/// The prose of an operation: its description, and those of its parameters, fields and responses.
fn texts<'a>(description: &'a Value, operation: &'a Value) -> Vec<&'a str> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let fields = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
    let fields = fields.as_object().into_iter().flat_map(|fields| fields.values());
    let responses = operation["responses"].as_object().into_iter().flat_map(|responses| responses.values());
    let parts = parameters.chain(responses).map(|part| resolved(description, part)).chain(fields);
    std::iter::once(operation).chain(parts).filter_map(|part| part["description"].as_str()).collect()
}

/// The notes in a text: what follows `> [!NOTE]` or `**Notes:**`, bullet by bullet, or `_NOTE:`.
fn notes(text: &str) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if matches!(line, "> [!NOTE]" | "**Notes:**") {
            is_inside = true;
            notes.push(String::new());
            continue;
        }
        is_inside &= !line.is_empty();
        let line = line.trim_start_matches("> ");
        let bullet = line.strip_prefix("* ").or_else(|| line.strip_prefix("- "));
        match (is_inside, bullet, notes.last_mut()) {
            (true, Some(bullet), _) => notes.push(bullet.to_owned()),
            (true, None, Some(note)) => *note = format!("{note} {line}"),
            _ => {}
        }
    }
    notes.extend(text.split("_NOTE:").skip(1).map(str::to_owned));
    notes.into_iter().map(|note| plain(&note)).filter(|note| !note.is_empty()).collect()
}

/// A text with single spaces, without the marks of quoted lines, and with links as their words.
fn plain(text: &str) -> String {
    let text = text.replace("\n> ", "\n");
    let mut words = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        let (behind, word) = before.rsplit_once('[').unwrap_or(("", before));
        words += behind;
        words += word;
        rest = after.split_once(')').map_or("", |link| link.1);
    }
    words += rest;
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn description() -> Value {
        let prose = "Makes [a\nthing](https://docs.github.com).\n\n> [!NOTE]\n> - One is\n> refused.\n> - Two are not.\n\nMore.\n\n\
                     **Notes:**\n*   Names are\nchanged.\n\nLast.";
        json!({
            "paths": {"/repos/things": {"post": {
                "description": prose,
                "parameters": [{"$ref": "#/components/parameters/page"}],
                "requestBody": {"content": {"application/json": {"schema": {
                    "properties": {"owner": {"description": "The owner. _NOTE: It is dropped._"}},
                }}}},
                "responses": {"410": {"description": "Gone"}},
            }}},
            "components": {"parameters": {"page": {"description": "From 1 on."}}},
        })
    }

    fn used() -> BTreeSet<String> {
        ["POST /repos/things".to_owned()].into()
    }

    #[test]
    fn a_document_that_quotes_each_note_is_accepted() {
        let document = "## Make a thing\n\n`POST /repos/things`\n\n| GitHub | here |\n|---|---|\n\
            | \"Makes a thing.\" | a |\n| \"One is refused\" | b |\n| \"Two are not.\" | c |\n\
            | \"Names are changed.\" | d |\n| \"It is dropped.\" | e |\n| \"From 1 on.\" | f |\n| \"Gone\" | g |\n";
        assert_eq!(objections(document, &description(), &used()), [""; 0]);
    }

    #[test]
    fn what_is_invented_or_forgotten_is_an_objection() {
        assert_eq!(objections("", &description(), &used()), ["POST /repos/things has no section"]);
        let document = "`POST /repos/things`\n| \"One is refused.\" | b |\n| \"Names are kept.\" | d |\n";
        let expected = [
            "GitHub does not say \"Names are kept.\"",
            "nothing is quoted of the note \"Two are not.\"",
            "nothing is quoted of the note \"Names are changed.\"",
            "nothing is quoted of the note \"It is dropped._\"",
        ];
        let expected = expected.map(|objection| format!("POST /repos/things: {objection}"));
        assert_eq!(objections(document, &description(), &used()), expected);
    }
}
