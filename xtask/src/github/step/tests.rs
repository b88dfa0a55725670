//! Compares what each step prints, interpreted as a shell and `gh` do, with what it sends.
#![allow(clippy::disallowed_methods, reason = "writes the file that is uploaded, and reads it back")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fakes::github::FakeGitHub;
use fakes::message::{Content, Request, Response, Service};
use fakes::server::{NoFaults, Server};
use oci::digest::sha256;
use serde_json::{Value, json};

use super::*;
use crate::github::tracking_issue::issue_title;
use crate::http::Authorization;

const TOKEN: &str = "secret";
const NOTES: &str = "What it is.\n";

/// A change as it is sent: method, path with query, and body.
type Sent = (String, String, Value);

/// The fake GitHub, with a record of the changes sent to it.
struct Recorder {
    fake: FakeGitHub,
    sent: Vec<Sent>,
}

impl Service for Recorder {
    fn handle(&mut self, request: &Request) -> Response {
        let Content::Memory(body) = request.body() else { panic!("a small body") };
        // Uploads go to a separate host, which the fake serves under a path.
        let target = request.uri().path_and_query().expect("a path").as_str().replace("/uploads/", "/");
        if !request.method().is_safe() {
            let body = serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
            self.sent.push((request.method().to_string(), target, body));
        }
        self.fake.handle(request)
    }
}

/// One step of each kind, in an order in which they can be executed.
fn every_step(path: Utf8PathBuf) -> Vec<GitHubStep> {
    let version: ReleaseTag = "v0.33.0-rc1".parse().expect("a version");
    let release = ReleaseName::Upstream(version.clone());
    let upload = GitHubStep::UploadAsset {
        release: release.clone(),
        asset: "VERSION.txt".to_owned(),
        path,
        size_bytes: 7,
        sha256: sha256(b"content"),
    };
    let (title, body) = (issue_title(&version), format!("It's \"new\" & `$HOME`. {}", issue_marker(&version)));
    let why = "7 bytes\nrm -rf /".to_owned();
    vec![
        GitHubStep::FileIssue { version: version.clone(), title, body },
        GitHubStep::Dispatch { version: version.clone(), known_runs: 0 },
        GitHubStep::RecordRun { version },
        GitHubStep::Comment { issue: 1, marker: "<!-- x -->".to_owned(), text: "It's `x`; $(x)".to_owned() },
        GitHubStep::CloseIssue { issue: 1 },
        GitHubStep::ReopenIssue { issue: 1 },
        GitHubStep::ReportChange {
            title: "It's \"changed\"".to_owned(),
            body: "<!-- xtask:changed -->\n$(x)".to_owned(),
        },
        GitHubStep::DraftRelease { release: release.clone(), notes: NOTES.to_owned() },
        GitHubStep::EditDraft { release: release.clone(), target: Some("main".to_owned()), notes: NOTES.to_owned() },
        upload.clone(),
        GitHubStep::RemoveAsset { release: release.clone(), asset: "VERSION.txt".to_owned(), why },
        upload,
        GitHubStep::PublishRelease { release: release.clone(), is_latest: false },
        GitHubStep::SendEvent { event: "buildkit-released".parse().expect("a type"), release },
    ]
}

/// A new kind of step fails to compile here, and then has to be added to [`every_step`].
fn kind(step: &GitHubStep) -> usize {
    match step {
        GitHubStep::FileIssue { .. } => 0,
        GitHubStep::ReopenIssue { .. } => 1,
        GitHubStep::Dispatch { .. } => 2,
        GitHubStep::RecordRun { .. } => 3,
        GitHubStep::Comment { .. } => 4,
        GitHubStep::CloseIssue { .. } => 5,
        GitHubStep::DraftRelease { .. } => 6,
        GitHubStep::EditDraft { .. } => 7,
        GitHubStep::RemoveAsset { .. } => 8,
        GitHubStep::UploadAsset { .. } => 9,
        GitHubStep::PublishRelease { .. } => 10,
        GitHubStep::SendEvent { .. } => 11,
        GitHubStep::ReportChange { .. } => 12,
    }
}
const KINDS: usize = 13;

/// The words of a command, and its flags with their values.
struct Command {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

impl Command {
    fn parse(words: &[String]) -> Self {
        let (mut command, mut rest) = (Self { words: Vec::new(), flags: Vec::new() }, words.iter());
        while let Some(word) = rest.next() {
            match (word.as_str(), word.split_once('=')) {
                ("--silent" | "--draft" | "--prerelease" | "--yes", _) => {
                    command.flags.push((word.clone(), "true".to_owned()));
                }
                (_, Some((flag, value))) if flag.starts_with("--") => {
                    command.flags.push((flag.to_owned(), value.to_owned()));
                }
                _ if word.starts_with('-') => {
                    command.flags.push((word.clone(), rest.next().expect("the flag has a value").clone()));
                }
                _ => command.words.push(word.clone()),
            }
        }
        command
    }

    fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// The parameters of `-f NAME=VALUE`; those named `NAME[]` are a list, those named `NAME[KEY]` an object.
    fn fields(&self) -> Value {
        let mut fields = json!({});
        for (_, field) in self.flags.iter().filter(|(flag, _)| flag == "-f") {
            let (name, value) = field.split_once('=').expect("a name and a value");
            if let Some((name, key)) =
                name.strip_suffix(']').and_then(|name| name.split_once('[')).filter(|part| !part.1.is_empty())
            {
                fields[name][key] = json!(value);
                continue;
            }
            match name.strip_suffix("[]") {
                None => fields[name] = json!(value),
                Some(name) => match fields[name].as_array_mut() {
                    Some(list) => list.push(json!(value)),
                    None => fields[name] = json!([value]),
                },
            }
        }
        fields
    }

    /// The request that `gh` sends, according to its manual. It looks up the ids first.
    fn sent(&self, ids: &Ids) -> Sent {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let is = |flag: &str| self.flag(flag).map(|value| json!(value == "true"));
        let notes = || {
            self.flag("--notes-file").map(|path| {
                assert_eq!(path, "target/release-notes/buildkit-v0.33.0-rc1-riscv64.md");
                json!(NOTES)
            })
        };
        let text = |flag: &str| self.flag(flag).map(|value| json!(value));
        let document = |fields: &[(&str, Option<Value>)]| {
            let present = fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
            Value::Object(present.collect())
        };
        let (method, path, body) = match words[..] {
            ["gh", "api", path] => ("POST", path.replace("repos/{owner}/{repo}/", ""), self.fields()),
            ["gh", "issue", "reopen", issue] => ("PATCH", format!("issues/{issue}"), json!({ "state": "open" })),
            ["gh", "issue", "close", issue] => {
                let reason = self.flag("--reason");
                ("PATCH", format!("issues/{issue}"), json!({ "state": "closed", "state_reason": reason }))
            }
            ["gh", "issue", "comment", issue] => {
                ("POST", format!("issues/{issue}/comments"), document(&[("body", text("--body"))]))
            }
            ["gh", "workflow", "run", file] => {
                let path = format!("actions/workflows/{file}/dispatches");
                ("POST", path, json!({ "ref": "main", "inputs": self.fields() }))
            }
            ["gh", "release", "create", tag] => {
                let body = document(&[
                    ("tag_name", Some(json!(tag))),
                    ("name", text("--title")),
                    ("body", notes()),
                    ("draft", is("--draft")),
                    ("prerelease", is("--prerelease").or(Some(json!(false)))),
                ]);
                ("POST", "releases".to_owned(), body)
            }
            ["gh", "release", "edit", tag] => {
                assert_eq!(tag, ids.tag);
                let body = document(&[
                    ("name", text("--title")),
                    ("body", notes()),
                    ("draft", is("--draft")),
                    ("prerelease", is("--prerelease")),
                    ("make_latest", text("--latest")),
                    ("target_commitish", text("--target")),
                ]);
                ("PATCH", format!("releases/{}", ids.release), body)
            }
            ["gh", "release", "delete-asset", tag, asset] => {
                assert_eq!((tag, asset, self.flag("--yes")), (ids.tag.as_str(), "VERSION.txt", Some("true")));
                ("DELETE", format!("releases/assets/{}", ids.asset), json!(""))
            }
            ["gh", "release", "upload", tag, path] => {
                assert_eq!(tag, ids.tag);
                let name = Utf8PathBuf::from(path).file_name().expect("a name").to_owned();
                let content = std::fs::read_to_string(path).expect("is read");
                ("POST", format!("releases/{}/assets?name={name}", ids.release), json!(content))
            }
            _ => panic!("{words:?} is not a `gh` command that this test knows"),
        };
        (method.to_owned(), format!("/repos/o/n/{path}"), body)
    }
}

/// What `gh` looks up by a tag and by the name of an asset.
#[derive(Default)]
struct Ids {
    tag: String,
    release: u64,
    asset: u64,
}

/// The request that the command for recording a run sends: its jq programs are interpreted here.
fn recorded(line: &str, run: (u64, &str)) -> Sent {
    let words = shlex::split(line).expect("a line for a shell");
    let after = |flag: &str| {
        let found = words.iter().zip(&words[1..]).filter(|(word, _)| *word == flag);
        found.map(|(_, value)| value.trim_end_matches(')').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(after("--workflow"), [BUILD_WORKFLOW]);
    let [run_program, issue_program] = &after("--jq")[..] else { panic!("two programs: {line}") };
    let expected = r#"select(((.body//"")|contains("<!-- xtask:tracking v0.33.0-rc1 -->")) or .title=="Building BuildKit v0.33.0-rc1 for RISC-V64").number"#;
    assert!(issue_program.ends_with(expected), "{issue_program}");
    assert!(
        line.contains("issue=$(gh api 'repos/{owner}/{repo}/issues?state=all&per_page=100' --paginate --jq "),
        "{line}"
    );
    assert!(line.contains("' | sort -n | head -n 1) && "), "{line}");
    assert!(line.ends_with(r#" && gh issue comment "${issue:?}" --body "${body:?}""#), "{line}");
    let (select, body) = run_program.split_once('|').and_then(|(_, rest)| rest.split_once(")|")).expect("two parts");
    assert_eq!(select, r#"select(.displayTitle=="BuildKit v0.33.0-rc1")"#);
    let body = body.replace(r"\(.databaseId)", &run.0.to_string()).replace(r"\(.url)", run.1);
    let body: String = serde_json::from_str(&body).expect("a jq string");
    ("POST".to_owned(), "/repos/o/n/issues/1/comments".to_owned(), json!({ "body": body }))
}

#[test]
fn each_step_prints_a_command_that_makes_the_same_change() {
    let directory = std::env::temp_dir().join(format!("xtask's steps {}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("is created");
    let path = Utf8PathBuf::try_from(directory.join("VERSION.txt")).expect("a UTF-8 path");
    std::fs::write(&path, "content").expect("is written");
    let mut fake = FakeGitHub::new("o/n");
    fake.allow(TOKEN, &["contents=write", "issues=write", "actions=write"]);
    let recorder = Arc::new(Mutex::new(Recorder { fake, sent: Vec::new() }));
    let server = Server::start(recorder.clone(), Utf8PathBuf::new(), Arc::new(NoFaults)).expect("starts");
    let token = Authorization::bearer(TOKEN).expect("a token");
    let github = GitHub::new(server.url().parse().expect("a URL"), Some(token));
    let repository = "o/n".parse().expect("a repository");

    let steps = every_step(path);
    assert_eq!(steps.iter().map(kind).collect::<BTreeSet<_>>(), (0..KINDS).collect());
    let mut executor = Executor::new(&github, &repository);
    for step in &steps {
        let line = step.to_string();
        let mut ids = Ids::default();
        if let GitHubStep::RemoveAsset { release, .. }
        | GitHubStep::EditDraft { release, .. }
        | GitHubStep::UploadAsset { release, .. }
        | GitHubStep::PublishRelease { release, .. } = step
        {
            let releases = Releases { github: &github, repository: &repository };
            let found = releases.find(release).expect("answers").expect("exists");
            let asset = found.assets.first().map_or(0, |asset| asset.id);
            ids = Ids { tag: release.to_string(), release: found.id, asset };
        }
        executor.execute(step).expect(&line);
        let mut sent = std::mem::take(&mut recorder.lock().expect("no panic").sent);
        assert_eq!(sent.len(), 1, "{line}: {sent:?}");
        let (_, _, body) = &mut sent[0];
        if let Some(fields) = body.as_object_mut() {
            // `gh` does not send this reason; GitHub sets it.
            fields.retain(|_, value| *value != json!("reopened"));
        }
        let printed = match step {
            GitHubStep::RecordRun { .. } => {
                let run = executor.runs.values().next().expect("was started");
                recorded(&line, (run.0, &run.1))
            }
            _ => Command::parse(&shlex::split(&line).expect("a line for a shell")).sent(&ids),
        };
        assert_eq!(printed, sent[0], "{line}");
    }
    assert_eq!(recorder.lock().expect("no panic").fake.violations(), [""; 0]);
    std::fs::remove_dir_all(directory).expect("is removed");
}
