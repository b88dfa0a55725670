//! The output of `docker buildx inspect`.

/// A builder with one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// `running`.
    pub status: String,
    /// Version of the BuildKit in it, if buildx shows one.
    pub version: Option<String>,
    /// Platforms that it builds for.
    pub platforms: Vec<String>,
}

impl Inspection {
    /// Reads the lines `Key: value`, as buildx has written them since 0.6. Fails if the builder is not running.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = |keys: &[&str]| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| keys.contains(&key.trim())).map(|(_, value)| value.trim().to_owned())
        };
        let status = value(&["Status"]).unwrap_or_else(|| "of unknown status".to_owned());
        if status != "running" {
            return Err(format!("the builder is {status}: {}", value(&["Error"]).unwrap_or_default()));
        }
        let platforms = value(&["Platforms"]).unwrap_or_default();
        // A star marks a platform that the user asked for.
        let platforms = platforms.split(", ").map(|platform| platform.trim_end_matches('*').to_owned());
        Ok(Self {
            status,
            version: value(&["BuildKit version", "BuildKit", "Buildkit"]),
            platforms: platforms.filter(|platform| !platform.is_empty()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    #[test]
    fn old_and_new_output_of_buildx_is_read() {
        for key in ["Buildkit:  ", "BuildKit version:"] {
            let text = format!(
                "Name:          b\nDriver:        docker-container\n\nNodes:\nName:      b0\nEndpoint:  unix:///x\n\
                 Status:    running\n{key} v0.32.2\nPlatforms: linux/riscv64*, linux/amd64\n"
            );
            let expected = Inspection {
                status: "running".to_owned(),
                version: Some("v0.32.2".to_owned()),
                platforms: vec!["linux/riscv64".to_owned(), "linux/amd64".to_owned()],
            };
            assert_eq!(Inspection::parse(&text), Ok(expected));
        }
        let error = Inspection::parse("Status: inactive\nError: no: such file\n").expect_err("is not running");
        assert_eq!(error, "the builder is inactive: no: such file");
    }

    #[test]
    fn mutated_output_gives_a_running_builder_made_of_its_own_words_or_an_error() {
        let sample = "Name:          b\nDriver:        docker-container\n\nNodes:\nName:      b0\n\
            Status:    running\nBuildKit version: v0.32.2\nPlatforms: linux/riscv64*, linux/amd64\n";
        arbtest::arbtest(|source| {
            let text = mutated_input::text(source, sample)?;
            if let Ok(found) = Inspection::parse(&text) {
                assert_eq!(found.status, "running");
                assert!(found.version.iter().chain(&found.platforms).all(|word| text.contains(word.as_str())));
                let length: usize = found.platforms.iter().map(String::len).sum();
                assert!(length <= text.len() && found.platforms.iter().all(|it| !it.is_empty() && !it.ends_with('*')));
            }
            Ok(())
        });
    }
}
