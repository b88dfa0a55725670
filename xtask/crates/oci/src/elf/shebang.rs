//! The first line of a script, as Linux reads it.

use crate::limits::SCRIPT_LINE_BYTES;

/// The `#!` line of a script, as Linux reads it (`fs/binfmt_script.c`, `load_script`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang {
    pub interpreter: String,
    /// All that follows the interpreter, blanks at both ends removed: it becomes one argument.
    pub argument: Option<String>,
}

impl Shebang {
    /// `None` if the kernel finds no interpreter in it. `head` is no longer than the kernel's buffer.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let is_blank = |byte: &u8| b" \t".contains(byte);
        let rest = head.strip_prefix(b"#!")?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let line = &line[line.iter().position(|byte| !is_blank(byte))?..];
        let separator = line.iter().position(|byte| is_blank(byte) || *byte == 0);
        if end.is_none() && separator.is_none() && head.len() >= SCRIPT_LINE_BYTES {
            // The kernel does not start an interpreter whose name it cannot see to the end.
            return None;
        }
        let (interpreter, argument) = line.split_at(separator.unwrap_or(line.len()));
        let argument = argument.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let argument = text(argument).trim_matches([' ', '\t']).to_owned();
        Some(Self { interpreter: text(interpreter), argument: Some(argument).filter(|argument| !argument.is_empty()) })
    }

    /// Whether the file has the line ends of Windows: the carriage return becomes part of a name.
    pub fn ends_with_carriage_return(&self) -> bool {
        self.argument.as_ref().unwrap_or(&self.interpreter).ends_with('\r')
    }
}

impl std::fmt::Display for Shebang {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.interpreter.escape_debug())
    }
}
