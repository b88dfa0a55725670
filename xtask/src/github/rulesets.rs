//! Rulesets for tags, as far as they may stop the creation of the git tag of a release. GitHub applies them only when the
//! release is published, which is the last write but a few.
//! Source: GitHub's REST API, "Rules" (`repository-ruleset`). It takes read access only ("About rulesets").

use anyhow::Result;
use http::StatusCode;
use pattern::is_match;
use serde::Deserialize;
use serde_json::Value;

use crate::dist::ReleaseName;
use crate::github::GitHub;
use crate::github::repository::Repository;
use crate::http::RetryReason;
use crate::os::shell::one_line;

mod pattern;

/// Rules that stop no creation. Sources: their descriptions; M4i-Imaging-Mass-Spectrometry/thyra pull request 149.
const HARMLESS: [&str; 3] = ["update", "deletion", "non_fast_forward"];
/// One page of the list. A repository has at most 75 rulesets of all kinds ("About rulesets"), not counting its organization's.
const MOST_RULESETS: usize = 100;
/// What to do about a rule that stops the tag. Actions cannot be let past it: GitHub refuses it as a bypass actor
/// (artifact-keeper/artifact-keeper issue 4071, M4i-Imaging-Mass-Spectrometry/thyra pull request 149).
const EXCLUDE_TAGS: &str = "exclude the tags `buildkit-*` from it, or publish with the token of somebody who may bypass it; GITHUB_TOKEN of a \
     workflow cannot";

/// What rulesets have against a tag that does not exist yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TagRules {
    /// Why it cannot be created, a sentence each.
    pub refusals: Vec<String>,
    /// What may stop it, or is not known, a sentence each.
    pub notes: Vec<String>,
}

/// An entry of the list, which has no rules. Its example has no target either.
#[derive(Deserialize)]
struct Listed {
    id: u64,
    target: Option<String>,
    enforcement: String,
}

#[derive(Deserialize)]
struct Ruleset {
    name: String,
    /// The repository or the organization.
    source: String,
    target: Option<String>,
    enforcement: String,
    /// GitHub's own answer for the account or the app of the token.
    current_user_can_bypass: Option<String>,
    conditions: Option<Conditions>,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Conditions {
    ref_name: Option<RefName>,
}

#[derive(Deserialize)]
struct RefName {
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

#[derive(Deserialize)]
struct Rule {
    r#type: String,
    parameters: Option<Value>,
}

/// The parameters of `tag_name_pattern`.
#[derive(Deserialize)]
struct NamePattern {
    operator: String,
    pattern: String,
    #[serde(default)]
    negate: bool,
}

impl GitHub {
    /// What the rulesets of the repository and of its organization have against the tag of a release. What cannot be
    /// known is a note.
    pub fn tag_rules(&self, repository: &Repository, release: &ReleaseName) -> Result<TagRules> {
        let tag = release.to_string();
        let mut rules = TagRules::default();
        let list = format!("repos/{repository}/rulesets?targets=tag&per_page={MOST_RULESETS}");
        let listed: Vec<Listed> = self.known(&list, &mut rules)?.unwrap_or_default();
        if listed.len() >= MOST_RULESETS {
            rules.notes.push(format!("of the rulesets for tags, only {MOST_RULESETS} are read"));
        }
        for Listed { id, .. } in listed.iter().filter(|listed| applies(listed.target.as_deref(), &listed.enforcement)) {
            let found: Option<Ruleset> = self.known(&format!("repos/{repository}/rulesets/{id}"), &mut rules)?;
            if let Some(ruleset) = found {
                ruleset.judge(&tag, &mut rules);
            }
        }
        if !rules.refusals.is_empty()
            && self.read::<Value>(&format!("repos/{repository}/git/ref/tags/{tag}"))?.is_some()
        {
            return Ok(TagRules::default());
        }
        Ok(rules)
    }

    /// One document about rulesets. What GitHub does not show, or shows in another form, is a note, for not every server
    /// has rulesets.
    fn known<T: serde::de::DeserializeOwned>(&self, path: &str, rules: &mut TagRules) -> Result<Option<T>> {
        let response = self.get(path)?;
        let is_limited = matches!(response.retry_reason(), Some(RetryReason::Later(_)));
        let why = match response.status {
            StatusCode::OK => match response.json() {
                Ok(document) => return Ok(Some(document)),
                Err(error) => error,
            },
            _ if is_limited => return Err(self.error(&response)),
            _ => self.error(&response),
        };
        rules.notes.push(format!("whether a rule about tags stops the release is not known: {why:#}"));
        Ok(None)
    }
}

/// Whether a ruleset is about tags, and enforced. `evaluate` only reports.
fn applies(target: Option<&str>, enforcement: &str) -> bool {
    target.is_none_or(|target| target == "tag") && !["disabled", "evaluate"].contains(&enforcement)
}

impl Ruleset {
    fn judge(&self, tag: &str, rules: &mut TagRules) {
        let bypass = self.current_user_can_bypass.as_deref();
        let is_targeted = self.targets(tag);
        if !applies(self.target.as_deref(), &self.enforcement)
            || matches!(bypass, Some("always" | "exempt"))
            || is_targeted == Some(false)
        {
            return;
        }
        let is_known = is_targeted == Some(true) && matches!(bypass, Some("never" | "pull_requests_only"));
        let verdict =
            |wanted| self.rules.iter().filter(move |rule| rule.stops(tag) == wanted).map(|rule| one_line(&rule.r#type));
        let (certain, possible): (Vec<_>, Vec<_>) = (verdict(Some(true)).collect(), verdict(None).collect());
        let (name, source) = (one_line(&self.name), one_line(&self.source));
        if is_known && !certain.is_empty() {
            rules.refusals.push(format!(
                "the ruleset {name:?} of {source} stops the git tag {tag} ({}): {EXCLUDE_TAGS}",
                certain.join(", ")
            ));
        } else if !certain.is_empty() || !possible.is_empty() {
            rules.notes.push(format!(
                "the ruleset {name:?} of {source} may stop the git tag {tag} when the release is published ({})",
                [certain, possible].concat().join(", ")
            ));
        }
    }

    /// Whether the conditions name the tag: one pattern of `include` matches, and none of `exclude`.
    fn targets(&self, tag: &str) -> Option<bool> {
        let RefName { include, exclude } = self.conditions.as_ref()?.ref_name.as_ref()?;
        let reference = format!("refs/tags/{tag}");
        let any = |patterns: &[String]| {
            let matches: Vec<_> = patterns.iter().map(|pattern| is_match(pattern, &reference)).collect();
            if matches.contains(&Some(true)) {
                Some(true)
            } else if matches.contains(&None) {
                None
            } else {
                Some(false)
            }
        };
        match (any(include), any(exclude)) {
            (Some(false), _) | (_, Some(true)) => Some(false),
            (Some(true), Some(false)) => Some(true),
            _ => None,
        }
    }
}

impl Rule {
    /// Whether the rule stops the creation of a tag at a commit that exists; `None` if that depends on the commit, or on
    /// what is not known here.
    fn stops(&self, tag: &str) -> Option<bool> {
        match self.r#type.as_str() {
            "creation" => Some(true),
            "tag_name_pattern" => self.is_misnamed(tag),
            harmless if HARMLESS.contains(&harmless) => Some(false),
            _ => None,
        }
    }

    /// Whether the name of a tag breaks a `tag_name_pattern`. It is not said whether that is compared with the name or
    /// with the whole reference, so a name is only refused if both break it. Regular expressions (RE2) are not evaluated.
    fn is_misnamed(&self, tag: &str) -> Option<bool> {
        let NamePattern { operator, pattern, negate } = serde_json::from_value(self.parameters.clone()?).ok()?;
        let breaks = |name: &str| {
            let is_found = match operator.as_str() {
                "starts_with" => name.starts_with(&pattern),
                "ends_with" => name.ends_with(&pattern),
                "contains" => name.contains(&pattern),
                _ => return None,
            };
            Some(is_found == negate)
        };
        let (short, whole) = (breaks(tag)?, breaks(&format!("refs/tags/{tag}"))?);
        match (short, whole) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }
}

#[cfg(test)]
mod tests;
