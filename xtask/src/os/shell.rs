//! Words as a POSIX shell reads them.

/// A word in the form in which a shell reads it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
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
