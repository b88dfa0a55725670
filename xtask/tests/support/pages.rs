//! The documents of this project as the tests read them: their fenced blocks, and what each says of how it is run.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block of a page.
pub struct Block {
    /// The page and the line of the fence, for messages.
    pub place: String,
    /// `console`, `sh`, `toml` …; empty if the fence names none.
    pub language: String,
    /// The words behind the language: GitHub shows none of them.
    pub marks: Vec<String>,
    pub lines: Vec<String>,
    /// The text of its section, from one heading to the next, without the blocks.
    pub section: String,
}

impl Block {
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The value of the mark `name=…`.
    pub fn mark(&self, name: &str) -> Option<&str> {
        self.marks.iter().find_map(|mark| mark.strip_prefix(name)?.strip_prefix('='))
    }

    /// What a reader types: all lines of a script, and the lines of a console that begin with `$ `, with those that
    /// continue them.
    pub fn commands(&self) -> Vec<String> {
        match self.language.as_str() {
            "sh" => vec![self.text()],
            "console" => {
                let mut commands: Vec<String> = Vec::new();
                let mut is_continued = false;
                for line in &self.lines {
                    if let Some(command) = line.strip_prefix("$ ") {
                        commands.push(command.to_owned());
                    } else if let Some(command) = commands.last_mut().filter(|_| is_continued) {
                        command.push('\n');
                        command.push_str(line);
                    }
                    is_continued = line.ends_with('\\');
                }
                commands
            }
            _ => Vec::new(),
        }
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout")
}

/// Every page, with its text.
pub fn all() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "docs/dev", "docs/upstream", "xtask"].map(|folder| root().join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("lists").flatten());
    let pages = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut pages: Vec<_> = pages.map(|path| (path.clone(), fs::read_to_string(path).expect("is read"))).collect();
    pages.sort();
    pages
}

/// The blocks of one page, in order.
pub fn blocks(page: &Path, text: &str) -> Vec<Block> {
    let name = page.strip_prefix(root()).expect("in the checkout").display();
    let mut blocks: Vec<Block> = Vec::new();
    let (mut section, mut first_of_section, mut indent) = (String::new(), 0, None);
    for (number, line) in text.lines().enumerate().chain([(usize::MAX, "# ")]) {
        let bare = line.trim_start();
        match (indent, bare.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split(' ').map(str::to_owned);
                let language = words.next().unwrap_or_default();
                let place = format!("{name}:{}", number + 1);
                let (marks, lines) = (words.collect(), Vec::new());
                blocks.push(Block { place, language, marks, lines, section: String::new() });
                indent = Some(line.len() - bare.len());
            }
            (Some(_), Some("")) => indent = None,
            (Some(width), _) => {
                let block = blocks.last_mut().expect("a block was begun");
                block.lines.push(line.get(width..).unwrap_or_default().to_owned());
            }
            (None, None) => {
                if line.starts_with('#') {
                    blocks[first_of_section..].iter_mut().for_each(|block| block.section.clone_from(&section));
                    first_of_section = blocks.len();
                    section.clear();
                }
                section.push_str(line);
                section.push('\n');
            }
        }
    }
    assert!(indent.is_none(), "{name} has a fence that does not end");
    blocks
}

/// The blocks of a page that are marked `test=NAME`, as one script.
pub fn script(page: &str, test: &str) -> String {
    let path = root().join(page);
    let text = fs::read_to_string(&path).expect("the page is there");
    let blocks = blocks(&path, &text);
    let marked = blocks.iter().filter(|block| block.mark("test") == Some(test));
    let commands: String = marked.flat_map(Block::commands).map(|command| command + "\n").collect();
    assert!(!commands.is_empty(), "{page} has no commands for the test {test}");
    commands
}
