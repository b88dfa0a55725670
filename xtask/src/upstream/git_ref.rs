//! The refs that can be built: an upstream release tag, a branch or a commit, parsed into a type before
//! they are passed to git.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::upstream::version::ReleaseTag;

/// The branch whose builds are published under their own name, also on the day of a release.
const MASTER: &str = "master";
const LONGEST_REF_BYTES: usize = 200;
const FORMS: &str =
    "use a release tag (v0.14.0, v0.33.0-rc1), a branch (master) or a commit (7 to 40 hexadecimal digits)";

/// An upstream ref in one of the three forms that can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UpstreamRef {
    /// A release tag, such as `v0.14.0`.
    Release(ReleaseTag),
    /// A whole or abbreviated commit.
    Commit(CommitPrefix),
    /// Any other name that git allows for a branch.
    Branch(BranchName),
}

impl UpstreamRef {
    /// Whether it is upstream's development branch.
    pub fn is_master(&self) -> bool {
        matches!(self, Self::Branch(name) if name.as_str() == MASTER)
    }
}

impl TryFrom<String> for UpstreamRef {
    type Error = RefError;

    fn try_from(text: String) -> Result<Self, RefError> {
        text.parse()
    }
}

impl From<UpstreamRef> for String {
    fn from(r#ref: UpstreamRef) -> Self {
        r#ref.to_string()
    }
}

impl From<&CommitId> for UpstreamRef {
    fn from(commit: &CommitId) -> Self {
        Self::Commit(CommitPrefix(commit.0.clone()))
    }
}

impl FromStr for UpstreamRef {
    type Err = RefError;

    /// A release tag if it has the form of one, else a commit if it is 7 to 40 hexadecimal digits, else a
    /// branch.
    fn from_str(text: &str) -> Result<Self, RefError> {
        if let Ok(tag) = text.parse() {
            return Ok(Self::Release(tag));
        }
        if let Some(prefix) = CommitPrefix::parse(text) {
            return Ok(Self::Commit(prefix));
        }
        BranchName::parse(text).map(Self::Branch).map_err(|reason| RefError { text: text.to_owned(), reason })
    }
}

impl fmt::Display for UpstreamRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(tag) => tag.fmt(out),
            Self::Commit(prefix) => out.write_str(&prefix.0),
            Self::Branch(name) => out.write_str(&name.0),
        }
    }
}

/// One ref or a range of releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// One ref.
    Ref(UpstreamRef),
    /// `v0.26.0..v0.32.2`: all stable releases from the first to the second, both included.
    Releases(ReleaseTag, ReleaseTag),
}

impl FromStr for Selection {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        let Some((first, last)) = text.split_once("..") else { return text.parse().map(Self::Ref) };
        match (first.parse::<ReleaseTag>(), last.parse::<ReleaseTag>()) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self::Releases(first, last)),
            (Ok(_), Ok(_)) => {
                Err(RefError { text: text.to_owned(), reason: "the end of the range is before its start" })
            }
            _ => Err(RefError { text: text.to_owned(), reason: "a range must be from one release tag to another" }),
        }
    }
}

/// Why a text is not an upstream ref. The message lists the valid forms.
#[derive(Debug, PartialEq, Eq)]
pub struct RefError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for RefError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.text.chars().take(40).collect();
        let more = if start.len() < self.text.len() { "…" } else { "" };
        write!(out, "{start:?}{more} is not an upstream ref: {}; {FORMS}", self.reason)
    }
}

impl std::error::Error for RefError {}

/// 7 to 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPrefix(String);

impl CommitPrefix {
    fn parse(text: &str) -> Option<Self> {
        let fits = (7..=40).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(text.to_ascii_lowercase()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a branch by the rules of git (`git help check-ref-format`), and no longer than
/// 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchName(String);

impl BranchName {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\\"'".contains(c);
        match text {
            "" => Err("it is empty"),
            "@" | "HEAD" => Err("it is not the name of a branch"),
            _ if text.len() > LONGEST_REF_BYTES => Err("it is longer than 200 bytes"),
            _ if text.starts_with('-') => Err("it begins with a dash"),
            _ if text.contains("..") || text.contains("@{") => Err("it is a range or a revision expression"),
            _ if text.contains(forbidden) => Err("it has a character that git does not allow in a branch"),
            _ if !text.split('/').all(BranchName::is_component) => Err("git does not allow such a branch"),
            _ if text.starts_with("refs/") => Err("use the name of the branch without refs/"),
            _ => Ok(Self(text.to_owned())),
        }
    }

    fn is_component(part: &str) -> bool {
        !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock")
    }

    /// The name, without `refs/heads/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The full name of a commit: 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl FromStr for CommitId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 40 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a commit of 40 hexadecimal digits"))
        }
    }
}

oci::text_form!(CommitId);

impl AsRef<OsStr> for CommitId {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl CommitId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutation;

    #[test]
    fn each_form_is_recognized() {
        let kinds: Vec<_> = ["v0.14.0", "v0.33.0-rc1", "master", "v0.14", "991535e", "dependabot/go_modules/x"]
            .into_iter()
            .map(|text| match text.parse::<UpstreamRef>().expect(text) {
                UpstreamRef::Release(_) => "tag",
                UpstreamRef::Commit(_) => "commit",
                UpstreamRef::Branch(_) => "branch",
            })
            .collect();
        assert_eq!(kinds, ["tag", "tag", "branch", "branch", "commit", "branch"]);
    }

    #[test]
    fn what_git_must_not_be_given_is_refused_and_the_forms_are_listed() {
        let long = "a".repeat(10_000);
        for text in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "a\u{7f}b",
            "@",
            "HEAD",
            "a@{1}",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.",
            "a.lock",
            "refs/heads/master",
            "a\u{a0}b",
            long.as_str(),
        ] {
            let message = text.parse::<UpstreamRef>().expect_err(text).to_string();
            assert!(message.contains("release tag (v0.14.0"), "{message}");
            assert!(message.len() < 400, "{message}");
        }
    }

    #[test]
    fn a_range_is_of_releases_in_ascending_order() {
        let tag = |text: &str| text.parse::<ReleaseTag>().expect(text);
        let range = "v0.26.0..v0.32.2".parse::<Selection>().expect("parses");
        assert_eq!(range, Selection::Releases(tag("v0.26.0"), tag("v0.32.2")));
        assert_eq!("master".parse(), Ok(Selection::Ref("master".parse().expect("parses"))));
        for (text, reason) in [
            ("v0.32.2..v0.26.0", "end of the range is before its start"),
            ("v0.26.0...v0.32.2", "from one release tag to another"),
            ("v0.26.0..", "from one release tag to another"),
            ("master..v0.32.2", "from one release tag to another"),
        ] {
            let message = text.parse::<Selection>().expect_err(text).to_string();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn an_upper_case_commit_is_git_s_lower_case_one() {
        let UpstreamRef::Commit(prefix) = "ABCDEF1".parse().expect("parses") else { panic!("not a commit") };
        assert_eq!(prefix.as_str(), "abcdef1");
    }

    #[test]
    fn a_mutated_ref_is_refused_or_safe_for_git_and_reads_back() {
        for sample in ["v0.33.0-rc1", "dependabot/go_modules/x", "991535e0973488b6a429096d21fa13f81f2d89d8"] {
            arbtest::arbtest(|source| {
                let text = mutation::text(source, sample)?;
                match text.parse::<UpstreamRef>() {
                    Ok(r#ref) => {
                        let printed = r#ref.to_string();
                        assert_eq!(printed.parse(), Ok(r#ref));
                        assert!(
                            !printed.starts_with('-') && !printed.contains("..") && printed.len() <= LONGEST_REF_BYTES
                        );
                        assert!(!printed.contains(|c: char| c.is_whitespace() || c.is_control()), "{printed:?}");
                    }
                    Err(error) => assert!(error.to_string().len() < 800, "{error}"),
                }
                Ok(())
            });
        }
    }

    #[test]
    fn a_mutated_range_is_refused_or_in_ascending_order() {
        arbtest::arbtest(|source| {
            match mutation::text(source, "v0.26.0..v0.32.2")?.parse::<Selection>() {
                Ok(Selection::Releases(first, last)) => assert!(first <= last),
                Ok(Selection::Ref(r#ref)) => assert!(!r#ref.to_string().contains("..")),
                Err(error) => assert!(error.to_string().len() < 800, "{error}"),
            }
            Ok(())
        });
    }
}
