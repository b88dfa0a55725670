//! The software bills of materials, SPDX 2.3 in JSON: one of the binaries, one of the image. What both share is here.
//!
//! Sources: <https://spdx.github.io/spdx-spec/v2.3/> and <https://github.com/package-url/purl-spec>.

use serde_json::{Value, json};

use crate::os::clock::Timestamp;

pub mod binaries;
pub mod contents;
mod control;
mod copyright;
pub mod image;
mod licenses;
mod packages;

/// What SPDX says where nothing is known.
const NOASSERTION: &str = "NOASSERTION";
/// Who supplies what this project builds. SPDX 2.3, 7.5: "the actual distribution source".
const SUPPLIER: &str = "Organization: docker-for-riscv64";
const DOCUMENT_ID: &str = "SPDXRef-DOCUMENT";

/// A document of this name. `unique` is different for each content, as SPDX requires of the namespace; nothing has to
/// be served there. The only time in it is the source date, so that the same content always has the same document.
fn document(name: &str, unique: &str, source_date: Timestamp, packages: &[Value], relationships: &[Value]) -> Value {
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT_ID,
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{name}-{unique}"),
        "creationInfo": { "created": source_date, "creators": ["Tool: docker-for-riscv64-xtask"] },
        "packages": packages,
        "relationships": relationships,
    })
}

/// A reference to a package URL.
fn purl(locator: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator })
}

/// Percent-encodes what a package URL reserves in a name, a version or a qualifier.
/// Source: purl-spec, "Character encoding": all but letters, digits, `.`, `-`, `_`, `~` and the colon.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    text.bytes().map(|byte| if is_plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect()
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_package_urls_reserve_is_encoded() {
        assert_eq!(encoded("v2.0.0+incompatible"), "v2.0.0%2Bincompatible");
        assert_eq!(encoded("(devel)"), "%28devel%29");
        assert_eq!(encoded("1:3.0~rc2-1+b1"), "1:3.0~rc2-1%2Bb1");
        assert_eq!(encoded("docker.io/a"), "docker.io%2Fa");
    }
}
