//! Paragraphs of fields, as Debian's control files have them: `/var/lib/dpkg/status`, `copyright`.
//! Source: Debian Policy, 5.1 "Syntax of control files".

/// The fields of one paragraph, each with its name and its value.
#[derive(Debug, Default)]
pub struct Paragraph<'t>(Vec<(&'t str, String)>);

impl Paragraph<'_> {
    /// The value of a field. Its further lines follow as separate lines, without their indentation by one space, and
    /// empty where they are a single full stop.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// All paragraphs of a text. A line that is neither a field nor the next line of one is ignored.
pub fn paragraphs(text: &str) -> Vec<Paragraph<'_>> {
    let mut found = vec![Paragraph::default()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let last = found.last_mut().expect("there is always one");
        if line.trim().is_empty() {
            if !last.0.is_empty() {
                found.push(Paragraph::default());
            }
        } else if let Some(more) = line.strip_prefix([' ', '\t']) {
            if let Some((_, value)) = last.0.last_mut() {
                value.push('\n');
                value.push_str(if more.trim() == "." { "" } else { more.trim_end() });
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last.0.push((name, value.trim().to_owned()));
        }
    }
    found.retain(|paragraph| !paragraph.0.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    const SAMPLE: &str = "Package: a\nDescription: one\n two\n .\n  three\n# a comment\nVersion: 1:2\n\n\nPackage: b\n";

    #[test]
    fn fields_are_found_whatever_their_case() {
        let found = paragraphs(SAMPLE);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("version"), Some("1:2"));
        assert_eq!(found[0].get("Description"), Some("one\ntwo\n\n three"));
        assert_eq!((found[1].get("Package"), found[1].get("Version")), (Some("b"), None));
        assert!(paragraphs(" x\n\ny\n").is_empty());
    }

    #[test]
    fn a_mutated_text_gives_no_more_than_is_in_it() {
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, SAMPLE)?;
            let fields = |paragraph: &Paragraph<'_>| {
                paragraph.0.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            };
            assert!(paragraphs(&text).iter().map(fields).sum::<usize>() <= text.len());
            Ok(())
        });
    }
}
