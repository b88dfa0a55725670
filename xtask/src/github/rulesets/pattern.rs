//! The patterns that name the tags of a ruleset: Ruby's `File.fnmatch` with `File::FNM_PATHNAME`.
//! Source: GitHub Docs, "Creating rulesets for a repository", "Using `fnmatch` syntax"; Ruby's documentation of
//! `File.fnmatch`.

/// GitHub's names of references are shorter. What is longer is not evaluated.
const LONGEST_BYTES: usize = 1000;

/// A part of a pattern between two slashes.
enum Segment<'a> {
    /// `**/`: any number of directories.
    Directories,
    One(&'a str),
}

/// One element of a segment.
enum Token {
    /// `*`
    Any,
    /// `?`
    One,
    /// `[a-z]`
    Set(Vec<(char, char)>),
    Exactly(char),
}

/// Whether a pattern matches a reference such as `refs/tags/v1`; `None` for what GitHub does not support or describe:
/// a backslash, braces, the complement of a set.
pub fn is_match(pattern: &str, reference: &str) -> Option<bool> {
    match pattern {
        "~ALL" => return Some(true),
        "~DEFAULT_BRANCH" => return Some(false),
        _ if pattern.starts_with('~') || pattern.len().max(reference.len()) > LONGEST_BYTES => return None,
        _ => {}
    }
    let parts: Vec<&str> = pattern.split('/').collect();
    let (last, directories) = parts.split_last()?;
    let mut segments: Vec<Segment> =
        directories.iter().map(|part| if *part == "**" { Segment::Directories } else { Segment::One(part) }).collect();
    segments.push(Segment::One(last));

    // `reached[i]`: the segments so far match the first `i` parts of the reference.
    let names: Vec<&str> = reference.split('/').collect();
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for segment in &segments {
        reached = match segment {
            Segment::Directories => {
                let first = reached.iter().position(|is_reached| *is_reached).unwrap_or(reached.len());
                (0..reached.len()).map(|index| index >= first).collect()
            }
            Segment::One(segment) => {
                let tokens = tokens(segment)?;
                let mut next = vec![false; reached.len()];
                for (index, name) in names.iter().enumerate() {
                    next[index + 1] = reached[index] && is_segment(&tokens, name);
                }
                next
            }
        };
    }
    reached.last().copied()
}

/// The elements of a segment, `None` if one is not supported.
fn tokens(segment: &str) -> Option<Vec<Token>> {
    let mut rest = segment.chars();
    let mut tokens = Vec::new();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '[' => {
                let (inside, after) = rest.as_str().split_once(']')?;
                rest = after.chars();
                Token::Set(ranges(inside)?)
            }
            '\\' | '{' | '}' => return None,
            other => Token::Exactly(other),
        });
    }
    Some(tokens)
}

/// The ranges of a set. An empty one, a complement and a range without an end are not supported.
fn ranges(inside: &str) -> Option<Vec<(char, char)>> {
    let mut rest = inside.chars().peekable();
    let mut ranges = Vec::new();
    while let Some(from) = rest.next() {
        let is_complement = ranges.is_empty() && ['^', '!'].contains(&from);
        if is_complement || ['\\', '-', '['].contains(&from) {
            return None;
        }
        let to = if rest.next_if_eq(&'-').is_some() { rest.next()? } else { from };
        ranges.push((from, to));
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// Whether a segment matches the whole of a name without slashes.
fn is_segment(tokens: &[Token], name: &str) -> bool {
    let characters: Vec<char> = name.chars().collect();
    // `reached[i]`: the tokens so far match the first `i` characters.
    let mut reached = vec![false; characters.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; reached.len()];
        for index in 0..reached.len() {
            let is_character =
                |is_wanted: &dyn Fn(char) -> bool| index > 0 && reached[index - 1] && is_wanted(characters[index - 1]);
            next[index] = match token {
                Token::Any => reached[index] || (index > 0 && next[index - 1]),
                Token::One => is_character(&|_| true),
                Token::Exactly(wanted) => is_character(&|found| found == *wanted),
                Token::Set(ranges) => {
                    is_character(&|found| ranges.iter().any(|(from, to)| (*from..=*to).contains(&found)))
                }
            };
        }
        reached = next;
    }
    reached[characters.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn a_pattern_matches_as_github_describes_it() {
        for (pattern, reference, expected) in [
            ("~ALL", "refs/tags/x", Some(true)),
            ("~DEFAULT_BRANCH", "refs/tags/x", Some(false)),
            ("~NEW", "refs/tags/x", None),
            ("refs/tags/v1", "refs/tags/v1", Some(true)),
            ("refs/tags/v*", "refs/tags/v1.0", Some(true)),
            ("refs/tags/v*", "refs/tags/buildkit-v1", Some(false)),
            ("refs/tags/*", "refs/tags/a/b", Some(false)),
            ("refs/tags/**", "refs/tags/a", Some(true)),
            ("refs/tags/**", "refs/tags/a/b", Some(false)),
            ("refs/tags/**/*", "refs/tags/a", Some(true)),
            ("**/*", "refs/tags/a", Some(true)),
            ("*", "refs/tags/a", Some(false)),
            // The examples of GitHub.
            ("qa/*", "qa/foo", Some(true)),
            ("qa/*", "qa/foo/bar", Some(false)),
            ("qa/**/*", "qa/foo/bar/foobar/hello-world", Some(true)),
            ("qa**/**/*", "qa2/foo", Some(true)),
            ("refs/tags/v?", "refs/tags/v1", Some(true)),
            ("refs/tags/v?", "refs/tags/v", Some(false)),
            ("refs/tags/[a-cx]1", "refs/tags/b1", Some(true)),
            ("refs/tags/[a-cx]1", "refs/tags/d1", Some(false)),
            ("refs/tags/[^v]*", "refs/tags/b1", None),
            ("refs/tags/[!v]*", "refs/tags/b1", None),
            ("refs/tags/[v", "refs/tags/v", None),
            ("refs/tags/[]", "refs/tags/v", None),
            ("refs/tags/\\*", "refs/tags/*", None),
            ("refs/tags/{a,b}", "refs/tags/a", None),
            ("", "refs/tags/a", Some(false)),
        ] {
            assert_eq!(is_match(pattern, reference), expected, "{pattern} {reference}");
        }
    }

    /// Tries everything. Needs exponential time.
    fn is_match_simply(pattern: &[char], text: &[char], is_start: bool) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', '*', '/', rest @ ..] if is_start => {
                let ends = text.iter().enumerate().filter(|(_, character)| **character == '/');
                is_match_simply(rest, text, true)
                    || ends.into_iter().any(|(end, _)| is_match_simply(rest, &text[end + 1..], true))
            }
            ['*', rest @ ..] => {
                is_match_simply(rest, text, false)
                    || matches!(text, [first, after @ ..] if *first != '/' && is_match_simply(pattern, after, false))
            }
            [wanted, rest @ ..] => {
                matches!(text, [first, after @ ..]
                    if (wanted == first || (*wanted == '?' && *first != '/')) && is_match_simply(rest, after, *first == '/'))
            }
        }
    }

    #[test]
    fn any_pattern_is_judged_as_by_trying_everything() {
        arbtest::arbtest(|source| {
            let mut text = |alphabet: &[char], most: usize| {
                let length = source.int_in_range(0..=most)?;
                (0..length).map(|_| source.choose(alphabet).copied()).collect::<Result<Vec<char>, _>>()
            };
            let (pattern, name) = (text(&['*', '*', '/', '?', 'a', 'b'], 8)?, text(&['/', 'a', 'b'], 8)?);
            let expected = is_match_simply(&pattern, &name, true);
            let [pattern, name] = [pattern, name].map(String::from_iter);
            assert_eq!(is_match(&pattern, &name), Some(expected), "{pattern:?} {name:?}");
            Ok(())
        });
    }

    #[test]
    fn whatever_a_pattern_is_it_is_judged_in_a_bounded_time() {
        arbtest::arbtest(|source| {
            let pattern = mutated_input::bytes(source, b"refs/tags/**/v[0-9]*.?")?;
            is_match(&String::from_utf8_lossy(&pattern), "refs/tags/buildkit-v0.32.2-riscv64");
            Ok(())
        });
        // A search with backtracking would not end.
        for pattern in ["*a".repeat(500), "**/".repeat(333), "[a-z]".repeat(200), "*".repeat(1000)] {
            assert!(is_match(&pattern, &"a".repeat(1000)).is_some(), "{pattern}");
        }
        assert_eq!(is_match(&"*".repeat(1001), "a"), None);
    }
}
