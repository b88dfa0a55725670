//! The two files that a user puts on a machine: the repository's address and its key, for APT and for DNF.

use crate::http::Url;

/// For `/etc/apt/sources.list.d/`, with the key in it: sources.list(5), "DEB822-STYLE FORMAT".
pub fn apt_sources(url: &Url, public_key: Option<&str>) -> String {
    let signed_by = |key: &str| {
        let line = |line: &str| if line.trim().is_empty() { " .\n".to_owned() } else { format!(" {line}\n") };
        format!("Signed-By:\n{}", key.lines().map(line).collect::<String>())
    };
    let trust = public_key.map_or_else(|| "Trusted: yes\n".to_owned(), signed_by);
    format!("Types: deb\nURIs: {url}/apt/\nSuites: stable\nComponents: main\nArchitectures: riscv64\n{trust}")
}

/// For `/etc/yum.repos.d/`: dnf.conf(5). The signed index has the digest of every package, so that packages need no
/// signatures of their own, and have the same bytes from every machine.
pub fn dnf_repo(url: &Url, public_key: Option<&str>) -> String {
    let check = if public_key.is_some() {
        format!("repo_gpgcheck=1\ngpgkey={url}/{}\n", super::plan::PUBLIC_KEY)
    } else {
        "repo_gpgcheck=0\n".to_owned()
    };
    format!("[buildkit]\nname=BuildKit for RISC-V\nbaseurl={url}/rpm/stable/\nenabled=1\ngpgcheck=0\n{check}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_key_is_in_the_file_or_nothing_is_checked() {
        let url: Url = "https://owner.github.io/name".parse().expect("a URL");
        expect![[r"
            Types: deb
            URIs: https://owner.github.io/name/apt/
            Suites: stable
            Components: main
            Architectures: riscv64
            Signed-By:
             -----BEGIN
             .
             abc
        "]]
        .assert_eq(&apt_sources(&url, Some("-----BEGIN\n\nabc\n")));
        assert!(apt_sources(&url, None).ends_with("\nTrusted: yes\n"));
        assert!(dnf_repo(&url, Some("x")).contains("gpgkey=https://owner.github.io/name/buildkit.asc\n"));
        assert!(dnf_repo(&url, None).contains("repo_gpgcheck=0\n"));
    }
}
