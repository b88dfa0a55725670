//! What only a real account can show, point by point, and what came of each.

use anyhow::Result;
use console::style;
use serde::Serialize;

use crate::os::shell::one_line;
use crate::os::streams::print_stderr;

/// Declares [`Point`], its names and what is expected of each.
macro_rules! points {
    ($($point:ident $name:literal $expected:literal)*) => {
        /// One point. The table in `docs/dev/CANARY.md` is the same list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($point,)*
        }

        impl Point {
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }

            pub fn expected(self) -> &'static str {
                match self {
                    $(Self::$point => $expected,)*
                }
            }
        }
    };
}

points! {
    Token "token" "GitHub says that the token may push to the repository"
    RateLimit "rate-limit" "each answer names the limit, what remains and the reset, with a token and without"
    Draft "draft" "a draft is made without a target"
    ListAfterWrite "list-after-write" "the list shows the draft within half a minute"
    Target "target" "the target of that draft is the default branch"
    DraftHidden "draft-hidden" "nobody without credentials sees the draft"
    Upload "upload" "an asset is stored with the size and the SHA-256 of the file"
    Publish "publish" "the draft is published, and its git tag is made"
    ReadRelease "read-release" "anyone reads the release by its tag, and downloads the same bytes"
    Labels "labels" "an issue is filed with labels that did not exist, and has them"
    Author "author" "the author of the issue is a bot or has access to the repository"
    Comment "comment" "a comment is made, and the list shows it within half a minute"
    Close "close" "the issue is closed as completed"
    Dispatch "dispatch" "a run is started and listed by its title within half a minute"
    Push "push" "two blobs, a manifest and a tag are pushed, and the same bytes are read by the tag"
    Subject "subject" "a manifest with a subject is stored"
    Referrers "referrers" "the attachment is in the list of the referrers API if its push was acknowledged (OCI-Subject), else under the fallback tag"
    ReadImage "read-image" "without credentials, the image of a new package is refused, and that of a public one is read"
    Removed "removed" "the release, its git tag, the labels and earlier runs are gone, and the issue is closed"
    PackageRemoved "package-removed" "the package is gone"
}

/// What came of a point; with what the next points need, if it is as expected.
pub enum Found<T> {
    Expected(T, String),
    /// What came instead.
    Differs(String),
    /// Why it could not be done.
    NotDone(String),
}

/// As expected, and nothing for the next points.
pub fn expected(found: impl Into<String>) -> Found<()> {
    Found::Expected((), found.into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Ok,
    Differs,
    NotDone,
    /// Without `--execute`.
    Planned,
}

/// A row of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    point: &'static str,
    expected: &'static str,
    outcome: Outcome,
    found: String,
}

#[derive(Default)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Every point, before anything is done.
    pub fn planned() -> Self {
        let mut rows = Self::default();
        Point::ALL.iter().for_each(|point| rows.add(*point, Outcome::Planned, ""));
        rows
    }

    /// Does one point. An error is what came instead.
    pub fn check<T>(&mut self, point: Point, check: impl FnOnce() -> Result<Found<T>>) -> Option<T> {
        match check() {
            Ok(Found::Expected(value, found)) => {
                self.add(point, Outcome::Ok, &found);
                return Some(value);
            }
            Ok(Found::Differs(found)) => self.add(point, Outcome::Differs, &found),
            Ok(Found::NotDone(why)) => self.add(point, Outcome::NotDone, &why),
            Err(error) => self.add(point, Outcome::Differs, &format!("{error:#}")),
        }
        None
    }

    pub fn not_done(&mut self, points: &[Point], why: &str) {
        points.iter().for_each(|point| self.add(*point, Outcome::NotDone, why));
    }

    fn add(&mut self, point: Point, outcome: Outcome, found: &str) {
        let found = one_line(found);
        self.0.push(Row { point: point.name(), expected: point.expected(), outcome, found });
    }

    pub fn as_slice(&self) -> &[Row] {
        &self.0
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.0.iter().filter(|row| row.outcome == outcome).count()
    }

    /// Prints the table: what came, and where that differs, what was expected.
    pub fn print(&self) {
        for Row { point, expected, outcome, found } in &self.0 {
            let word = match outcome {
                Outcome::Ok => style("ok      ").for_stderr().green(),
                Outcome::Differs => style("DIFFERS ").for_stderr().red().bold(),
                Outcome::NotDone => style("not done").for_stderr().yellow(),
                Outcome::Planned => style("planned ").for_stderr(),
            };
            let text = if *outcome == Outcome::Planned { expected } else { found.as_str() };
            print_stderr(format_args!("  {word}  {point:<17} {text}"));
            if *outcome == Outcome::Differs {
                print_stderr(format_args!("  {:8}  {:17} expected: {expected}", "", ""));
            }
        }
    }
}
