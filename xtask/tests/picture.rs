//! The picture in the README is what a rehearsal prints: the test runs one, draws some of its lines, and compares the
//! drawing with the file. `UPDATE_EXPECT=1 cargo test -p xtask --test picture` draws it again.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "starts processes and reads the environment")]

use std::fmt::Write;
use std::process::Command;

use expect_test::expect_file;

mod support;

const COLUMNS: usize = 112;
/// Sizes in pixels. A character of a monospaced font is about 0.6 of its size wide.
const FONT: usize = 14;
const LINE: usize = 19;
const MARGIN: usize = 18;
const BACKGROUND: &str = "#0d1117";
const FOREGROUND: &str = "#c9d1d9";

/// What a terminal shows for `ESC [ code m`, as attributes of SVG. Codes: ECMA-48, "select graphic rendition".
fn attributes(codes: &[u8]) -> String {
    let mut attributes = String::new();
    for code in codes {
        let attribute = match code {
            1 => " font-weight=\"bold\"",
            2 => " opacity=\"0.6\"",
            31 => " fill=\"#ff7b72\"",
            32 => " fill=\"#3fb950\"",
            33 => " fill=\"#d29922\"",
            36 => " fill=\"#39c5cf\"",
            other => panic!("no attribute is known for the code {other}"),
        };
        attributes.push_str(attribute);
    }
    attributes
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One line of output as spans. `codes` are those in force, and stay so for the next line.
fn spans(line: &str, codes: &mut Vec<u8>) -> String {
    let (mut drawn, mut left) = (String::new(), COLUMNS);
    for (index, part) in line.split("\x1b[").enumerate() {
        let text = if index == 0 {
            part
        } else {
            let (list, text) = part.split_once('m').expect("an escape sequence that ends in m");
            match list {
                "0" | "" => codes.clear(),
                list => codes.extend(list.split(';').map(|code| code.parse::<u8>().expect("a number"))),
            }
            text
        };
        let mut shown: String = text.chars().take(left).collect();
        left -= shown.chars().count();
        if shown.len() < text.len() {
            shown.pop();
            shown.push('…');
        }
        if !shown.is_empty() {
            write!(drawn, "<tspan{}>{}</tspan>", attributes(codes), escape(&shown)).expect("memory can be written to");
        }
    }
    drawn
}

fn svg(lines: &[String]) -> String {
    let (width, height) = (COLUMNS * FONT * 6 / 10 + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title>Some lines of cargo xtask rehearse</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"{FONT}\" \
         fill=\"{FOREGROUND}\" xml:space=\"preserve\">\n"
    );
    let mut codes = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let y = MARGIN + index * LINE + FONT;
        let spans = spans(line, &mut codes);
        writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\">{spans}</text>").expect("memory can be written to");
    }
    svg + "</g>\n</svg>\n"
}

/// Every headline, but one alone of the plans of `release` that are empty at the end; below those of the first release,
/// what leads from upstream's tag to it.
fn chosen(output: &str) -> Vec<String> {
    let is_told = |line: &str| {
        let facts = ["gh workflow run ", "  missing  ", "  building  ", "all was compared again", " is published: "];
        facts.iter().any(|fact| line.contains(fact))
    };
    let mut lines = vec!["$ cargo xtask rehearse".to_owned()];
    let mut headlines = 0;
    for line in output.lines() {
        let is_another_plan = line.contains("the plan of release, ") && !line.contains("for build 1,");
        let is_headline = line.starts_with("\x1b[") && !is_another_plan;
        headlines += usize::from(is_headline);
        if is_headline || headlines <= 3 && is_told(line) {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn the_picture_is_what_a_rehearsal_prints() {
    // In a checkout of its own: a build in dist/ would be shown.
    let checkout = std::env::temp_dir().join(format!("xtask-picture-{}", std::process::id()));
    support::empty_checkout(&checkout);
    support::compile_packager();
    let mut rehearsal = Command::new(env!("CARGO_BIN_EXE_xtask"));
    rehearsal.args(["rehearse", "--color", "always"]).current_dir(&checkout);
    let output = rehearsal.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_REPOSITORY").output().expect("starts");
    std::fs::remove_dir_all(&checkout).expect("is removed");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let lines = chosen(&printed);
    assert!((25..40).contains(&lines.len()), "{} lines were chosen", lines.len());
    expect_file!["../../docs/images/rehearse.svg"].assert_eq(&svg(&lines));
}

#[test]
fn a_line_is_drawn_as_a_terminal_shows_it() {
    let mut codes = Vec::new();
    let drawn = spans("\x1b[32m\x1b[1m 1 of 2\x1b[0m a <b> & c", &mut codes);
    assert_eq!(
        drawn,
        "<tspan fill=\"#3fb950\" font-weight=\"bold\"> 1 of 2</tspan><tspan> a &lt;b&gt; &amp; c</tspan>"
    );
    let long = spans(&"x".repeat(COLUMNS + 1), &mut codes);
    assert!(long.contains(&format!("{}…</tspan>", "x".repeat(COLUMNS - 1))), "{long}");
}
