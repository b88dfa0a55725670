//! What `docker buildx inspect` says of a builder.

/// One builder of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// `running`.
    pub status: String,
    /// Version of the BuildKit in it, where buildx tells it.
    pub version: Option<String>,
    /// What it builds for.
    pub platforms: Vec<String>,
}

impl Inspection {
    /// Reads the lines `Key: value`, as buildx has written them since 0.6.
    ///
    /// # Errors
    /// Where the builder is not running.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = |wanted: &[&str]| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| wanted.contains(&key.trim())).map(|(_, value)| value.trim().to_owned())
        };
        let status = value(&["Status"]).unwrap_or_else(|| "of no status".to_owned());
        if status != "running" {
            return Err(format!("the builder is {status}: {}", value(&["Error"]).unwrap_or_default()));
        }
        let platforms = value(&["Platforms"]).unwrap_or_default();
        // A star marks what the user asked for.
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

    #[test]
    fn old_and_new_forms_are_read() {
        for key in ["Buildkit:  ", "BuildKit version:"] {
            let text = format!(
                "Name:          b\nDriver:        docker-container\n\nNodes:\nName:      b0\nEndpoint:  unix:///x\n\
                 Status:    running\n{key} v0.32.2\nPlatforms: linux/riscv64*, linux/amd64\n"
            );
            let wanted = Inspection {
                status: "running".to_owned(),
                version: Some("v0.32.2".to_owned()),
                platforms: vec!["linux/riscv64".to_owned(), "linux/amd64".to_owned()],
            };
            assert_eq!(Inspection::parse(&text), Ok(wanted));
        }
        let error = Inspection::parse("Status: inactive\nError: no: such file\n").expect_err("is not running");
        assert_eq!(error, "the builder is inactive: no: such file");
    }
}
