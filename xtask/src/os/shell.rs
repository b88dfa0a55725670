//! Quoting for a POSIX shell.

/// A word, quoted if necessary, so that a shell reads it unchanged.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A text without line breaks, for a comment after a command.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        let words = ["a-b=/c", "a b", "it's", "", "$HOME", "x;y"].map(quoted);
        assert_eq!(words, ["a-b=/c", "'a b'", r"'it'\''s'", "''", "'$HOME'", "'x;y'"]);
    }
}
