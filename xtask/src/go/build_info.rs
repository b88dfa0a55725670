//! The build information that Go writes into each binary, read from the section `.go.buildinfo`.
//!
//! Sources: Go's `debug/buildinfo` (the header and the framing) and `runtime/debug.BuildInfo`
//! (the text). Since 1.18, Go writes the form with inline strings.

use crate::go::version::GoVersion;

const MAGIC: &[u8] = b"\xff Go buildinf:";
const HEADER_BYTES: usize = 32;
const FLAGS_AT: usize = 15;
const FLAG_INLINE_STRINGS: u8 = 2;
const FRAME_BYTES: usize = 16;

/// Build information of one binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    pub go_version: GoVersion,
    /// Import path of the main package.
    pub path: String,
    /// The module of the main package.
    pub main: Module,
    /// Every linked module; a replacement is in place of the module that it replaces.
    pub dependencies: Vec<Module>,
    /// Build settings, such as `GOARCH`, in Go's order.
    pub settings: Vec<(String, String)>,
}

/// One Go module at one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Module {
    pub path: String,
    /// `v1.2.3` or `(devel)`.
    pub version: String,
}

impl BuildInfo {
    /// Parses the bytes of a `.go.buildinfo` section.
    pub fn parse(section: &[u8]) -> Result<Self, String> {
        if !section.starts_with(MAGIC) || section.len() < HEADER_BYTES {
            return Err("the section .go.buildinfo does not begin as Go writes it".to_owned());
        }
        if section[FLAGS_AT] & FLAG_INLINE_STRINGS == 0 {
            return Err("the build information is in the form of Go before 1.18".to_owned());
        }
        let (go_version, rest) = string(&section[HEADER_BYTES..])?;
        let (framed, _) = string(rest)?;
        let modules = framed
            .len()
            .checked_sub(FRAME_BYTES)
            .and_then(|end| framed.get(FRAME_BYTES..end))
            .ok_or("the build information names no modules")?;
        // A Go built with experiments lists them after its version, as in "go1.26.3 X:jsonv2".
        let go_version = utf8(go_version)?.split([' ', '-']).next().unwrap_or_default().parse()?;
        Ok(Self::from_text(go_version, utf8(modules)?))
    }

    fn from_text(go_version: GoVersion, text: &str) -> Self {
        let mut info = Self {
            go_version,
            path: String::new(),
            main: Module { path: String::new(), version: String::new() },
            dependencies: Vec::new(),
            settings: Vec::new(),
        };
        for line in text.lines() {
            let mut fields = line.split('\t');
            let kind = fields.next().unwrap_or_default();
            let mut field = || fields.next().unwrap_or_default().to_owned();
            match kind {
                "path" => info.path = field(),
                "mod" => info.main = Module { path: field(), version: field() },
                "dep" => info.dependencies.push(Module { path: field(), version: field() }),
                "=>" => {
                    info.dependencies.pop();
                    info.dependencies.push(Module { path: field(), version: field() });
                }
                "build" => {
                    let setting = field();
                    let (key, value) = setting.split_once('=').unwrap_or((&setting, ""));
                    info.settings.push((key.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
        info
    }

    /// The value of a build setting, or `None` if Go recorded none.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "the build information is not UTF-8".to_owned())
}

/// A string after its length, which is a varint (LEB128), and the bytes that follow it.
fn string(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let truncated = || "the build information is cut short".to_owned();
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes[index + 1..].split_at_checked(length).ok_or_else(truncated);
        }
    }
    Err(truncated())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::os::mutated_input;

    /// A section as Go's linker lays it out.
    pub fn section(go_version: &str, text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, FLAG_INLINE_STRINGS]);
        bytes.resize(HEADER_BYTES, 0);
        let framed = format!("{0}{text}{0}", "0123456789abcdef");
        for string in [go_version, &framed] {
            let mut length = string.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).expect("seven bits"));
            bytes.extend(string.as_bytes());
        }
        bytes
    }

    const TEXT: &str = "path\tgithub.com/moby/buildkit/cmd/buildkitd\nmod\tgithub.com/moby/buildkit\t(devel)\t\n\
        dep\ta.example/x\tv1.0.0\th1:x=\ndep\ta.example/y\tv2.0.0\n=>\tb.example/y\tv2.0.1\th1:y=\n\
        build\t-trimpath=true\nbuild\tGOARCH=riscv64\n";

    #[test]
    fn a_section_is_read_whole() {
        let info = BuildInfo::parse(&section("go1.26.3", TEXT)).expect("parses");
        let module = |path: &str, version: &str| Module { path: path.into(), version: version.into() };
        assert_eq!(info.go_version.to_string(), "1.26.3");
        assert_eq!(info.path, "github.com/moby/buildkit/cmd/buildkitd");
        assert_eq!(info.main, module("github.com/moby/buildkit", "(devel)"));
        assert_eq!(info.dependencies, [module("a.example/x", "v1.0.0"), module("b.example/y", "v2.0.1")]);
        assert_eq!((info.setting("GOARCH"), info.setting("GOOS")), (Some("riscv64"), None));
    }

    #[test]
    fn a_cut_section_is_refused_at_every_length() {
        let whole = section("go1.26.3", TEXT);
        for length in 0..whole.len() {
            BuildInfo::parse(&whole[..length]).expect_err("cut short");
        }
    }

    #[test]
    fn a_mutated_section_is_refused_or_gives_no_more_than_it_has() {
        let whole = section("go1.26.3", TEXT);
        arbtest::arbtest(|source| {
            let bytes = mutated_input::bytes(source, &whole)?;
            if let Ok(info) = BuildInfo::parse(&bytes) {
                let modules = info.dependencies.iter().chain([&info.main]);
                let of_modules: usize = modules.map(|module| module.path.len() + module.version.len()).sum();
                let of_settings: usize = info.settings.iter().map(|(key, value)| key.len() + value.len()).sum();
                assert!(info.path.len() + of_modules + of_settings <= bytes.len());
                assert!(info.dependencies.len() + info.settings.len() <= bytes.len() / "dep".len());
            }
            Ok(())
        });
    }
}
