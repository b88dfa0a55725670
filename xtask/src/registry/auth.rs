//! How a registry asks for credentials: the `WWW-Authenticate` header, and the URL to get a token from.

use crate::http::Url;
use crate::registry::ImageRepository;

/// The authentication that a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// User and password with each request (RFC 7617).
    Basic,
    /// A token from a token service.
    /// Source: CNCF Distribution, "Token Authentication Specification".
    Bearer {
        /// Address of the token service, as the registry wrote it.
        realm: String,
        /// Name of the registry at the token service.
        service: Option<String>,
        /// The access that the request needs.
        scopes: Vec<String>,
    },
}

impl AuthScheme {
    /// Selects one challenge of a header, which may have several: a token before a password.
    pub fn select(header: &str) -> Option<Self> {
        let mut found = None;
        let mut rest = header;
        while let Some(next) = Parsed::first(rest) {
            if next.scheme.eq_ignore_ascii_case("bearer") {
                let scopes = next.parameter("scope").unwrap_or_default();
                let scopes = scopes.split_ascii_whitespace().map(str::to_owned).collect();
                let (realm, service) = (next.parameter("realm")?, next.parameter("service").map(str::to_owned));
                return Some(Self::Bearer { realm: realm.to_owned(), service, scopes });
            }
            if next.scheme.eq_ignore_ascii_case("basic") {
                found = Some(Self::Basic);
            }
            rest = next.rest;
        }
        found
    }
}

/// One challenge of any scheme, and the text after it.
struct Parsed<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
    rest: &'a str,
}

impl<'a> Parsed<'a> {
    /// Source: RFC 9110, sections 11.2 and 11.6.1, "WWW-Authenticate".
    fn first(text: &'a str) -> Option<Self> {
        let (scheme, mut rest) = word(text.trim_start_matches(SEPARATORS))?;
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches(SEPARATORS);
            let parameter = word(rest).and_then(|(name, tail)| Some((name, tail.trim_start().strip_prefix('=')?)));
            // A word without `=` after it is the scheme of the next challenge.
            let Some((name, tail)) = parameter else { return Some(Self { scheme, parameters, rest }) };
            let (value, tail) = value(tail.trim_start());
            parameters.push((name, value));
            rest = tail;
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let has_name = |(key, _): &&(&str, String)| key.eq_ignore_ascii_case(name);
        self.parameters.iter().find(has_name).map(|(_, value)| value.as_str())
    }
}

/// A request needs one or two scopes.
const MOST_SCOPES: usize = 16;
/// What separates parameters, and challenges.
const SEPARATORS: [char; 3] = [' ', '\t', ','];

fn word(text: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A word, or a quoted string, in which a comma is text and a backslash escapes the next character.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(SEPARATORS).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

/// The URL to get a token from, for a registry that asks for one from `realm` with `scopes`.
///
/// For our own repository it requests all scopes that a push needs, so that one token is enough. Scopes
/// of other repositories are passed on as the registry wrote them.
///
/// # Errors
/// If credentials would leave TLS or this machine, or if there are too many scopes.
pub fn token_url(
    repository: &ImageRepository,
    may_push: bool,
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
) -> Result<Url, String> {
    let registry = repository.endpoint();
    if scopes.len() > MOST_SCOPES {
        return Err(format!("{registry} asks for a token with {} scopes; {MOST_SCOPES} is the limit", scopes.len()));
    }
    let realm = registry.resolve(realm);
    let realm = realm.map_err(|error| format!("{registry} names a token service that cannot be trusted: {error}"))?;
    if registry.is_loopback() && !realm.is_loopback() {
        return Err(format!("{registry} is on this machine, but its token service is not: {}", realm.origin()));
    }
    let own = format!("repository:{}:", repository.path());
    let scope = format!("{own}{}", if may_push { "pull,push" } else { "pull" });
    let url = service.map_or_else(|| realm.clone(), |service| realm.with("service", service));
    let others = scopes.iter().filter(|scope| !scope.starts_with(&own));
    Ok(others.fold(url.with("scope", &scope), |url, scope| url.with("scope", scope)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mutated_input;

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> AuthScheme {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        AuthScheme::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned), scopes }
    }

    #[test]
    fn a_comma_in_quotes_is_text() {
        let header = r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            AuthScheme::select(header),
            Some(bearer("https://ghcr.io/token", Some("ghcr.io"), &["repository:a/b:pull,push"]))
        );
        let header = r#"Bearer realm="https://x/\"t", scope="repository:a:pull,push repository:b:pull""#;
        let scopes = ["repository:a:pull,push", "repository:b:pull"];
        assert_eq!(AuthScheme::select(header), Some(bearer("https://x/\"t", None, &scopes)));
    }

    #[test]
    fn names_are_case_insensitive_and_whitespace_is_skipped() {
        let header = "bEARER Realm = https://x/t ,SERVICE=\"s\" , error=\"invalid_token\"";
        assert_eq!(AuthScheme::select(header), Some(bearer("https://x/t", Some("s"), &[])));
        assert_eq!(AuthScheme::select("BASIC realm=\"x\""), Some(AuthScheme::Basic));
    }

    #[test]
    fn a_token_is_preferred_among_several_challenges() {
        for header in [
            r#"Basic realm="a, Bearer b", Bearer realm="https://x/t",service="s""#,
            r#"Bearer realm="https://x/t",service="s", Basic realm="a""#,
            r#"Negotiate, Digest realm="d", nonce="n=,", Bearer realm="https://x/t" , service=s"#,
        ] {
            assert_eq!(AuthScheme::select(header), Some(bearer("https://x/t", Some("s"), &[])), "{header}");
        }
        assert_eq!(AuthScheme::select("Negotiate abc, Basic"), Some(AuthScheme::Basic));
        for header in ["", ",", "Negotiate", "Bearer service=\"s\"", "=\"", "\u{e4}"] {
            assert_eq!(AuthScheme::select(header), None, "{header}");
        }
    }

    #[test]
    fn one_token_has_all_scopes_that_a_push_needs() {
        let repository = "ghcr.io/a/b".parse().expect("parses");
        let scopes = ["repository:a/b:pull".to_owned(), "repository:c/d:pull".to_owned()];
        let url = token_url(&repository, true, "https://ghcr.io/token", Some("ghcr.io"), &scopes).expect("a URL");
        let expected = "https://ghcr.io/token?service=ghcr.io&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%2Fd%3Apull";
        assert_eq!(url.as_str(), expected);
        let url = token_url(&repository, false, "https://x/t?a=b", None, &[]).expect("a URL");
        assert_eq!(url.as_str(), "https://x/t?a=b&scope=repository%3Aa%2Fb%3Apull");
    }

    #[test]
    fn credentials_stay_in_tls_and_local_ones_on_this_machine() {
        let of =
            |repository: &str, realm: &str| token_url(&repository.parse().expect("parses"), true, realm, None, &[]);
        of("127.0.0.1:1/a", "http://localhost:2/token").expect("both are this machine");
        let relative = of("ghcr.io/a", "token").expect("is at the registry itself");
        assert_eq!(relative.as_str(), "https://ghcr.io/token?scope=repository%3Aa%3Apull%2Cpush");
        for (repository, realm) in [
            ("ghcr.io/a", "http://ghcr.io/token"),
            ("ghcr.io/a", "http://127.0.0.1/token"),
            ("127.0.0.1:1/a", "//evil.example/token"),
            ("127.0.0.1:1/a", "https://evil.example/token"),
        ] {
            of(repository, realm).expect_err(realm);
        }
    }

    #[test]
    fn the_number_of_scopes_has_a_limit() {
        let of =
            |count| token_url(&"ghcr.io/a".parse().expect("parses"), true, "/t", None, &vec!["s".to_owned(); count]);
        of(MOST_SCOPES).expect("is taken");
        of(MOST_SCOPES + 1).expect_err("is too many");
    }

    #[test]
    fn any_header_gives_a_scheme_no_larger_than_itself_and_a_trusted_token_service() {
        let repository: ImageRepository = "ghcr.io/a/b".parse().expect("parses");
        arbtest::arbtest(|source| {
            let sample = r#"Negotiate, Basic realm="a\"b", Bearer realm="https://ghcr.io/token",service="s",scope="repository:a:pull c:d""#;
            let header = mutated_input::text(source, sample)?;
            let Some(AuthScheme::Bearer { realm, service, scopes }) = AuthScheme::select(&header) else {
                return Ok(());
            };
            let length =
                realm.len() + service.as_deref().map_or(0, str::len) + scopes.iter().map(String::len).sum::<usize>();
            assert!(length + scopes.len() <= header.len() + 1, "{header:?}");
            if let Ok(url) = token_url(&repository, true, &realm, service.as_deref(), &scopes) {
                assert!(url.as_str().starts_with("https://") && scopes.len() <= MOST_SCOPES, "{url}");
                assert!(url.as_str().len() <= 3 * header.len() + 200, "{url}");
            }
            Ok(())
        });
    }
}
