//! Words and texts as a shell and a terminal may have them: quoted, on one line, and not too long.

use std::borrow::Cow;

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

/// A text without its middle, if it has more than `most_bytes`.
pub fn abridged(text: &str, most_bytes: usize) -> Cow<'_, str> {
    if text.len() <= most_bytes {
        return text.into();
    }
    let head = text.floor_char_boundary(most_bytes / 2);
    let tail = text.ceil_char_boundary(text.len() - most_bytes / 2);
    format!("{}… ({} bytes left out) …{}", &text[..head], tail - head, &text[tail..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        let words = ["a-b=/c", "a b", "it's", "", "$HOME", "x;y"].map(quoted);
        assert_eq!(words, ["a-b=/c", "'a b'", r"'it'\''s'", "''", "'$HOME'", "'x;y'"]);
    }
    #[test]
    fn a_long_text_keeps_both_its_ends() {
        assert_eq!(abridged("abcdef", 6), "abcdef");
        assert_eq!(abridged("abcdefgh", 4), "ab… (4 bytes left out) …gh");
        assert_eq!(abridged("aéééb", 4), "a… (6 bytes left out) …b");
    }
}
