//! Which instructions of our Dockerfile make layers, in order.

/// The instructions of the last stage that make a layer, each on one line.
pub fn layers(text: &str) -> Vec<String> {
    let mut instructions = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, goes_on) = line.strip_suffix('\\').map_or((line, false), |part| (part.trim_end(), true));
        let whole = open.take().map_or_else(|| part.to_owned(), |before| format!("{before} {part}"));
        if goes_on {
            open = Some(whole);
            continue;
        }
        match whole.split_whitespace().next() {
            Some("FROM") => instructions.clear(),
            Some("RUN" | "COPY" | "ADD") => instructions.push(whole),
            _ => {}
        }
    }
    instructions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_and_comments_are_read_as_the_builder_reads_them() {
        let text = "ARG A=x\nFROM x AS one\nRUN first\nFROM ${A}\n# RUN not\nRUN a \\\n  # in between\n  && b\nENV C=d\nCOPY e f\n";
        assert_eq!(layers(text), ["RUN a && b", "COPY e f"]);
    }
}
