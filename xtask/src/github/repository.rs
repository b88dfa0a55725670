//! A repository on GitHub: `OWNER/NAME`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Owner and name. GitHub ignores the case of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    /// The repository of the project itself.
    pub fn of_project() -> Self {
        Self { owner: "gounthar".to_owned(), name: "docker-for-riscv64".to_owned() }
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its page.
    pub fn page(&self) -> String {
        format!("https://github.com/{self}")
    }

    /// That of a page below its own, such as that of a package.
    pub fn of_page(url: &str) -> Option<Self> {
        let mut parts = url.strip_prefix("https://github.com/")?.split('/');
        format!("{}/{}", parts.next()?, parts.next()?).parse().ok()
    }

    /// Where GitHub Pages serves the repository.
    pub fn pages(&self) -> String {
        let host = format!("{}.github.io", self.owner.to_ascii_lowercase());
        if self.name.to_ascii_lowercase() == host {
            format!("https://{host}")
        } else {
            format!("https://{host}/{}", self.name)
        }
    }

    /// Parses the URL of a git remote: `https://HOST/OWNER/NAME[.git]`, `ssh://git@HOST/…` or
    /// `git@HOST:OWNER/NAME[.git]`.
    pub fn of_remote(url: &str) -> Result<Self, String> {
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.split_once('/'),
            None => url.split_once(':'),
        };
        let path = path.filter(|(host, _)| !host.is_empty()).map(|(_, path)| path);
        let path = path.map(|path| path.trim_end_matches('/'));
        let path = path.map(|path| path.strip_suffix(".git").unwrap_or(path));
        path.and_then(|path| path.parse().ok())
            .ok_or_else(|| format!("the remote {url:?} is not a GitHub repository; use --repo OWNER/NAME"))
    }
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |part: &str| {
            let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=100).contains(&part.len()) && part.bytes().all(is_legal) && ![".", ".."].contains(&part)
        };
        match text.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} is not a GitHub repository (OWNER/NAME)")),
        }
    }
}

oci::text_form!(Repository);

impl fmt::Display for Repository {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.owner, self.name)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_form_of_a_remote_is_parsed() {
        for url in [
            "https://github.com/gounthar/docker-for-riscv64.git",
            "https://github.com/gounthar/docker-for-riscv64/",
            "git@github.com:gounthar/docker-for-riscv64.git",
            "ssh://git@github.com/gounthar/docker-for-riscv64",
        ] {
            assert_eq!(Repository::of_remote(url).expect(url).to_string(), "gounthar/docker-for-riscv64");
        }
        for url in ["", "/srv/git/x.git", "file:///srv/git", "https://github.com/a/b/c", "https://github.com/../b"] {
            Repository::of_remote(url).expect_err(url);
        }
    }

    #[test]
    fn a_page_is_below_that_of_its_repository() {
        let page = Repository::of_project().page();
        for below in ["", "/", "/pkgs/container/buildkit-riscv64"] {
            assert_eq!(Repository::of_page(&format!("{page}{below}")), Some(Repository::of_project()), "{below}");
        }
        for url in
            ["", "https://github.com/", "https://github.com/a", "https://github.com/../b", "https://example.org/a/b"]
        {
            assert_eq!(Repository::of_page(url), None, "{url}");
        }
    }

    #[test]
    fn errors_name_the_form_and_the_option() {
        expect![[r#""moby" is not a GitHub repository (OWNER/NAME)"#]]
            .assert_eq(&"moby".parse::<Repository>().expect_err("no name"));
        expect![[r#"the remote "/srv/git/x.git" is not a GitHub repository; use --repo OWNER/NAME"#]]
            .assert_eq(&Repository::of_remote("/srv/git/x.git").expect_err("no host"));
    }
}
