//! The bill of materials of the image: the Debian packages in it, both binaries with their Go modules, and the
//! emulators.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use oci::digest::{Sha256, sha256};
use oci::image_name::ImageName;
use serde_json::{Value, json};

use crate::dist::record::ImageRecord;
use crate::dist::sbom::contents::Contents;
use crate::dist::sbom::copyright::Declared;
use crate::dist::sbom::packages::{Distribution, Package};
use crate::dist::sbom::{DOCUMENT_ID, NOASSERTION, SUPPLIER, encoded, purl, relationship};
use crate::upstream::Source;

const NAME: &str = "buildkit-riscv64";
const ID: &str = "SPDXRef-Image";
const SYSTEM_ID: &str = "SPDXRef-OperatingSystem";
/// QEMU's file `LICENSE`: "QEMU as a whole is released under the GNU General Public License, version 2".
const LICENSE_OF_QEMU: &str = "GPL-2.0-only";

/// The document for the image of this record. `binaries` is the SBOM of the binaries in it.
///
/// Fails if `binaries` is no such document.
pub fn document(source: &Source, record: &ImageRecord, contents: &Contents, binaries: &Value) -> Result<Value> {
    let mut packages = vec![image(source, record), system(&contents.distribution)];
    let mut relationships = vec![relationship(DOCUMENT_ID, "DESCRIBES", ID), relationship(ID, "CONTAINS", SYSTEM_ID)];
    let mut references = References::default();
    for (index, (package, declared)) in contents.packages.iter().enumerate() {
        let id = format!("SPDXRef-Package-{index}");
        let license = declared.as_ref().map(|declared| references.expression(&package.name, declared));
        packages.push(debian(&id, package, license, &contents.distribution));
        relationships.push(relationship(SYSTEM_ID, "CONTAINS", &id));
    }
    let list = |key: &str| binaries[key].as_array().with_context(|| format!("the SBOM of the binaries has no {key}"));
    packages.extend(list("packages")?.iter().cloned());
    for known in list("relationships")? {
        let (from, to) = (known["spdxElementId"].as_str(), known["relatedSpdxElement"].as_str());
        let of_document = to.filter(|_| from == Some(DOCUMENT_ID));
        relationships.push(of_document.map_or_else(|| known.clone(), |to| relationship(ID, "CONTAINS", to)));
    }
    for (index, (name, sha256)) in contents.emulators.iter().enumerate() {
        let id = format!("SPDXRef-Emulator-{index}");
        packages.push(emulator(&id, name, sha256, record.emulators.as_ref()));
        relationships.push(relationship(ID, "CONTAINS", &id));
    }
    let licenses = references.texts();
    let unique = sha256(json!([packages, relationships, licenses]).to_string().as_bytes()).to_string();
    let name = format!("buildkit-{}.linux-riscv64.image", source.version);
    let mut document = super::document(&name, &unique, source.source_date, &packages, &relationships);
    document["hasExtractedLicensingInfos"] = licenses.into();
    Ok(document)
}

fn image(source: &Source, record: &ImageRecord) -> Value {
    let digest = &record.digest;
    json!({
        "SPDXID": ID,
        "name": NAME,
        "versionInfo": source.version,
        "supplier": SUPPLIER,
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": digest.sha256() }],
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": NOASSERTION,
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": "CONTAINER",
        "externalRefs": [purl(&format!("pkg:oci/{NAME}@{digest}?arch=riscv64"))],
    })
}

/// The distribution: by it scanners know which advisories are about the packages.
fn system(distribution: &Distribution) -> Value {
    json!({
        "SPDXID": SYSTEM_ID,
        "name": distribution.id,
        "versionInfo": distribution.version.as_deref().unwrap_or(NOASSERTION),
        "supplier": supplier(distribution),
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": NOASSERTION,
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })
}

fn supplier(distribution: &Distribution) -> &'static str {
    if distribution.id == "debian" { "Organization: Debian" } else { NOASSERTION }
}

/// Source: purl-spec, the type `deb`. The words before the source package are those by which Trivy finds it in SPDX
/// (aquasecurity/trivy, `pkg/sbom/spdx/marshal.go`); Debian's advisories name source packages.
fn debian(id: &str, package: &Package, license: Option<String>, distribution: &Distribution) -> Value {
    let (source, of_source) = &package.source;
    let [vendor, name, version] = [&distribution.id, &package.name, &package.version].map(|text| encoded(text));
    let mut locator = format!("pkg:deb/{vendor}/{name}@{version}?arch={}", encoded(&package.architecture));
    if let Some(codename) = &distribution.codename {
        // Writing to a String cannot fail.
        let _ = write!(locator, "&distro={}", encoded(codename));
    }
    let mut found = json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": package.version,
        "supplier": supplier(distribution),
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": false,
        "sourceInfo": format!("built package from: {source} {of_source}"),
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": license.unwrap_or_else(|| NOASSERTION.to_owned()),
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": "LIBRARY",
        "externalRefs": [purl(&locator)],
    });
    if let Some(homepage) = &package.homepage {
        found["homepage"] = json!(homepage);
    }
    found
}

/// Upstream's Dockerfile takes them from Tõnis Tiigi's image, whose name on Docker Hub this is. Of another image it is
/// not known who is behind its name.
fn supplier_of_emulators(from: &ImageName) -> &'static str {
    if from.repository() == "docker.io/tonistiigi/binfmt" { "Person: tonistiigi" } else { NOASSERTION }
}

/// Source: purl-spec, the type `oci`; qualifiers are sorted by their names.
fn emulator(id: &str, name: &str, sha256: &Sha256, from: Option<&ImageName>) -> Value {
    let version = from.and_then(|from| from.tag().or_else(|| from.digest()));
    let mut found = json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version.unwrap_or(NOASSERTION),
        "packageFileName": name,
        "supplier": from.map_or(NOASSERTION, supplier_of_emulators),
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": sha256 }],
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": LICENSE_OF_QEMU,
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": "APPLICATION",
    });
    if let Some(from) = from {
        let repository = from.repository();
        let last = repository.rsplit('/').next().unwrap_or_default();
        let at = from.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
        let tag = from.tag().map(|tag| format!("&tag={}", encoded(tag))).unwrap_or_default();
        let of_image = format!("pkg:oci/{}{at}?repository_url={}{tag}", encoded(last), encoded(&repository));
        found["sourceInfo"] = json!(format!("copied from the image {from}"));
        found["externalRefs"] = json!([purl(&format!("{of_image}#{}", encoded(name)))]);
    }
    found
}

/// The licenses that SPDX does not list. Packages use the same name for different texts, so that each text gets an
/// identifier of its own.
#[derive(Default)]
struct References {
    /// Identifier by name and text.
    known: BTreeMap<(String, String), String>,
}

impl References {
    fn expression(&mut self, package: &str, declared: &Declared) -> String {
        declared.expression(&mut |name, text| {
            let text =
                text.map_or_else(|| format!("See /usr/share/doc/{package}/copyright in the image."), str::to_owned);
            self.of(name, text)
        })
    }

    fn of(&mut self, name: &str, text: String) -> String {
        let legal: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let next = self.known.len() + 1;
        let identifier = || format!("LicenseRef-Debian-{next}-{}", legal.trim_matches('-'));
        self.known.entry((name.to_owned(), text)).or_insert_with(identifier).clone()
    }

    fn texts(&self) -> Vec<Value> {
        let of = |((name, text), id): (&(String, String), &String)| json!({ "licenseId": id, "name": name, "extractedText": text });
        self.known.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dist::sbom::packages;
    use crate::dist::{names, samples};

    const STATUS: &str = "Package: libstdc++6\nArchitecture: riscv64\nSource: gcc-14 (14.2.0-19)\nVersion: 14.2.0-19+b1\n\n\
        Package: adduser\nArchitecture: all\nVersion: 3.152\nHomepage: https://x\n";

    fn contents() -> Contents {
        let declared = |license: &str| {
            Declared::parse(&format!("Format: https://x/copyright-format/1.0/\n\nFiles: *\nLicense: {license}\n"))
        };
        let installed = packages::installed(STATUS).expect("a database");
        Contents {
            distribution: Distribution::parse("ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie").expect("Debian"),
            packages: installed.into_iter().zip([declared("GPL-2+ and Odd\n Text"), None]).collect(),
            emulators: vec![("buildkit-qemu-x86_64".to_owned(), Sha256::from_bytes(&[8; 32]))],
        }
    }

    fn sample(emulators: Option<&str>, contents: &Contents) -> Value {
        let record = samples::proved_record();
        let files =
            names::COMMANDS.map(|name| record.files.iter().find(|file| file.name == name).expect("is recorded"));
        let commands: Vec<_> = files.iter().map(|file| (*file, samples::build_info(&file.name))).collect();
        let binaries = crate::dist::sbom::binaries::document(&record.source, &commands);
        let image = record.image.expect("an image");
        let image = ImageRecord { emulators: emulators.map(|name| name.parse().expect("a name")), ..image };
        document(&record.source, &image, contents, &binaries).expect("a document")
    }

    fn package<'d>(document: &'d Value, name: &str) -> &'d Value {
        let packages = document["packages"].as_array().expect("a list");
        packages.iter().find(|package| package["name"] == name).expect(name)
    }

    fn locator(document: &Value, name: &str) -> String {
        package(document, name)["externalRefs"][0]["referenceLocator"].as_str().expect("a purl").to_owned()
    }

    #[test]
    fn packages_binaries_and_emulators_are_in_it_with_their_package_urls() {
        let found = sample(Some("tonistiigi/binfmt:buildkit-v10.2.3-66@sha256:60"), &contents());
        let names = ["libstdc++6", "adduser", "buildkitd", "buildkit-qemu-x86_64", NAME];
        let image = format!("pkg:oci/buildkit-riscv64@sha256:{}?arch=riscv64", "e2".repeat(32));
        let expected = [
            "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19%2Bb1?arch=riscv64&distro=trixie",
            "pkg:deb/debian/adduser@3.152?arch=all&distro=trixie",
            "pkg:golang/github.com/moby/buildkit@v0.32.2#cmd/buildkitd",
            "pkg:oci/binfmt@sha256:60?repository_url=docker.io%2Ftonistiigi%2Fbinfmt&tag=buildkit-v10.2.3-66#buildkit-qemu-x86_64",
            &image,
        ];
        assert_eq!(names.map(|name| locator(&found, name)), expected);
        assert_eq!(package(&found, "libstdc++6")["sourceInfo"], "built package from: gcc-14 14.2.0-19");
        let emulator = package(&found, "buildkit-qemu-x86_64");
        assert_eq!(
            (&emulator["licenseDeclared"], &emulator["versionInfo"]),
            (&json!("GPL-2.0-only"), &json!("buildkit-v10.2.3-66"))
        );
        assert!(package(&sample(None, &contents()), "buildkit-qemu-x86_64").get("externalRefs").is_none());
    }

    #[test]
    fn a_license_is_declared_or_not_asserted_and_each_reference_has_its_text() {
        let found = sample(None, &contents());
        assert_eq!(package(&found, "adduser")["licenseDeclared"], "GPL-2.0-or-later AND LicenseRef-Debian-1-Odd");
        assert_eq!(package(&found, "libstdc++6")["licenseDeclared"], NOASSERTION);
        let text = json!([{ "licenseId": "LicenseRef-Debian-1-Odd", "name": "Odd", "extractedText": "See /usr/share/doc/adduser/copyright in the image." }]);
        assert_eq!(found["hasExtractedLicensingInfos"], text);
    }

    #[test]
    fn each_component_has_the_supplier_that_is_known_of_it() {
        let found = sample(Some("tonistiigi/binfmt:buildkit-v10.2.3-66"), &contents());
        for package in found["packages"].as_array().expect("a list") {
            assert!(package["supplier"].as_str().is_some_and(|supplier| supplier.contains(": ")), "{package}");
        }
        let supplier = |name: &str| package(&found, name)["supplier"].clone();
        assert_eq!(supplier("adduser"), "Organization: Debian");
        assert_eq!(supplier("buildkit-qemu-x86_64"), "Person: tonistiigi");
        assert_eq!(package(&sample(Some("me/binfmt:x"), &contents()), "buildkit-qemu-x86_64")["supplier"], NOASSERTION);
    }

    #[test]
    fn every_element_is_related_and_the_image_is_what_is_described() {
        let found = sample(None, &contents());
        let list = |key: &str| found[key].as_array().expect("a list").clone();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let ids: Vec<String> = list("packages").iter().map(|package| text(&package["SPDXID"])).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let related: BTreeSet<String> =
            list("relationships").iter().map(|relation| text(&relation["relatedSpdxElement"])).collect();
        assert_eq!(related, ids.iter().cloned().collect());
        let described =
            list("relationships").into_iter().filter(|relation| relation["relationshipType"] == "DESCRIBES");
        assert_eq!(described.collect::<Vec<_>>(), [relationship(DOCUMENT_ID, "DESCRIBES", ID)]);
    }

    #[test]
    fn the_same_image_has_the_same_document_and_another_one_another_namespace() {
        let one = sample(None, &contents());
        assert_eq!(one, sample(None, &contents()));
        let other = sample(None, &Contents { emulators: Vec::new(), ..contents() });
        assert_ne!(one["documentNamespace"], other["documentNamespace"]);
    }
}
