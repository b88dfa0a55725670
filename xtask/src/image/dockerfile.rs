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

/// The same Dockerfile without its stage of emulators, and what is copied from it.
pub fn without_emulators(text: &str) -> String {
    let is_kept = |line: &&str| !line.contains(" AS emulators") && !line.contains("--from=emulators");
    text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

/// The same Dockerfile with a label at the beginning of its last stage: builders that make an image of each step give
/// the label to all of these images, and to the containers in which they run the steps.
pub fn labelled(text: &str, label: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    if let Some(last) = lines.iter().rposition(|line| line.starts_with("FROM ")) {
        lines.insert(last + 1, format!("LABEL {label}\n"));
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_and_comments_are_read_as_the_builder_reads_them() {
        let text = "ARG A=x\nFROM x AS one\nRUN first\nFROM ${A}\n# RUN not\nRUN a \\\n  # in between\n  && b\nENV C=d\nCOPY e f\n";
        assert_eq!(layers(text), ["RUN a && b", "COPY e f"]);
    }

    #[test]
    fn the_label_comes_before_every_step() {
        assert_eq!(labelled("FROM x AS y\nFROM ${B}\nRUN a\n", "l=1"), "FROM x AS y\nFROM ${B}\nLABEL l=1\nRUN a\n");
    }

    #[test]
    fn the_emulators_can_be_left_out() {
        let text =
            "ARG EMULATORS\nFROM ${EMULATORS} AS emulators\nFROM ${BASE}\nCOPY --from=emulators /a /b\nCOPY c d\n";
        assert_eq!(without_emulators(text), "ARG EMULATORS\nFROM ${BASE}\nCOPY c d\n");
        let ours = include_str!("../../../Dockerfile.buildkit-riscv64");
        assert!(layers(&without_emulators(ours)).len() + 1 == layers(ours).len(), "one layer is that of the emulators");
    }
}
