//! Rulesets for tags, which stop the publication of a release whose tag they forbid.

use http::StatusCode;
use serde_json::{Value, json};

use crate::github::response::{Outcome, Response};
use crate::github::shapes;
use crate::github::{Call, FakeGitHub, State};

/// What one person may set in a ruleset for tags. Source: "REST API endpoints for rules", `repository-ruleset`.
#[derive(Clone)]
pub struct TagRuleset {
    pub name: &'static str,
    /// `active`, `evaluate` or `disabled`.
    pub enforcement: &'static str,
    /// `~ALL`, or `refs/tags/…` with up to one `*`, at the end: this fake knows no other patterns.
    pub include: &'static [&'static str],
    pub exclude: &'static [&'static str],
    /// `creation` and others, as the API has them.
    pub rules: Value,
    /// `current_user_can_bypass`, "GitHub's own evaluation of the caller" (max-sixty/tend pull request 976).
    pub bypass: Option<&'static str>,
}

impl Default for TagRuleset {
    /// Nobody but those who may bypass it creates a tag. Such a ruleset GitHub made of each earlier protection of tags
    /// (oras-project/oras-go issue 1361).
    fn default() -> Self {
        Self {
            name: "Auto-imported tag create protections",
            enforcement: "active",
            include: &["~ALL"],
            exclude: &[],
            rules: json!([{"type": "creation"}, {"type": "update"}]),
            bypass: Some("never"),
        }
    }
}

impl TagRuleset {
    /// Whether it stops the creation of a tag. Sources: `repository-rule-creation`: "Only allow users with bypass
    /// permission to create matching refs"; of other rules, `deletion` and `non_fast_forward` were seen to stop no
    /// push of something new (M4i-Imaging-Mass-Spectrometry/thyra pull request 149).
    fn stops(&self, tag: &str) -> bool {
        let name = format!("refs/tags/{tag}");
        let is_match = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => name.strip_prefix(start).is_some_and(|rest| !rest.contains('/')),
            None => *pattern == "~ALL" || *pattern == name,
        };
        let is_matched = self.include.iter().any(&is_match) && !self.exclude.iter().any(is_match);
        let forbids = self.rules.as_array().into_iter().flatten().any(|rule| rule["type"] == "creation");
        let is_bypassed = matches!(self.bypass, Some("always" | "exempt"));
        self.enforcement == "active" && is_matched && forbids && !is_bypassed
    }

    fn to_json(&self, call: &Call, id: usize) -> Value {
        let page = format!("https://github.com/{}/rules/{id}", call.repository);
        json!({
            "id": id,
            "name": self.name,
            "target": "tag",
            "source_type": "Repository",
            "source": call.repository,
            "enforcement": self.enforcement,
            "node_id": format!("RRS_{id}"),
            "_links": {"self": {"href": format!("{}/rulesets/{id}", call.api())}, "html": {"href": page}},
            "created_at": shapes::time(0),
            "updated_at": shapes::time(0),
        })
    }
}

impl FakeGitHub {
    pub fn add_tag_ruleset(&mut self, ruleset: TagRuleset) {
        self.state.rulesets.push(ruleset);
    }

    /// Answers requests for rulesets with 404, as a server that has none.
    pub fn hide_rulesets(&mut self) {
        self.state.hides_rulesets = true;
    }
}

impl State {
    /// "Get all repository rulesets", whose entries have neither conditions nor rules (its example).
    pub fn list_rulesets(&mut self, call: &Call) -> Outcome {
        if self.hides_rulesets {
            return Err(Response::not_found());
        }
        let is_wanted =
            call.parameter("targets").is_none_or(|targets| targets.split(',').any(|target| target == "tag"));
        let all = self.rulesets.iter().filter(|_| is_wanted && !call.is_upstream).zip(1..);
        Ok(call.list_response(all.map(|(ruleset, id)| ruleset.to_json(call, id)).collect(), "rulesets"))
    }

    /// "Get a repository ruleset". The `bypass_actors` are "only returned if the user making the API request has write
    /// access to the ruleset".
    pub fn get_ruleset(&mut self, call: &Call, id: &str) -> Outcome {
        let found = self.rulesets.iter().zip(1..).find(|(_, known)| known.to_string() == id);
        let (ruleset, id) = found.filter(|_| !call.is_upstream).ok_or_else(Response::not_found)?;
        let mut document = ruleset.to_json(call, id);
        document["conditions"] = json!({"ref_name": {"include": ruleset.include, "exclude": ruleset.exclude}});
        document["rules"] = ruleset.rules.clone();
        if let Some(bypass) = ruleset.bypass {
            document["current_user_can_bypass"] = bypass.into();
        }
        Ok(Response::ok(&document))
    }

    /// Fails if a ruleset stops the creation of a tag, in the words of
    /// googleapis/release-please-action issue 1194.
    pub fn check_tag_rules(&self, tag: &str) -> Result<(), Response> {
        if self.tags.contains_key(tag) || !self.rulesets.iter().any(|ruleset| ruleset.stops(tag)) {
            return Ok(());
        }
        let rule =
            "pre_receive Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n";
        let document = json!({
            "message": "Validation Failed",
            "errors": [
                {"resource": "Release", "code": "custom", "field": "pre_receive", "message": rule},
                {"resource": "Release", "code": "custom", "message": "Published releases must have a valid tag"},
            ],
            "documentation_url": "https://docs.github.com/rest",
            "status": "422",
        });
        Err(Response::new(StatusCode::UNPROCESSABLE_ENTITY, &document))
    }
}
