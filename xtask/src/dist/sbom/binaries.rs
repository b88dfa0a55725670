//! The bill of materials of the binaries, from the build information in them.
//!
//! Each command is a package that depends on the Go modules linked into it and on Go's standard library.
//! Source: purl-spec, the type `golang`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::dist::record::FileRecord;
use crate::dist::sbom::{DOCUMENT_ID, NOASSERTION, SUPPLIER, encoded, purl, relationship};
use crate::go::{BuildInfo, Module};
use crate::upstream::Source;

/// The repository of upstream, in the form of an SPDX download location.
const UPSTREAM: &str = "git+https://github.com/moby/buildkit.git";
/// What SPDX calls a package that others are made with.
const LIBRARY: &str = "LIBRARY";
const UPSTREAM_NAME: &str = "Organization: moby";
const STANDARD_LIBRARY: &str = "stdlib";

/// The document for these commands, each with its file.
pub fn document(source: &Source, commands: &[(&FileRecord, BuildInfo)]) -> Value {
    let modules: BTreeSet<Module> = commands.iter().flat_map(|(_, info)| linked(info)).collect();
    let id_of = |module: &Module| {
        let index = modules.iter().position(|known| known == module).expect("every linked module is in the set");
        format!("SPDXRef-Module-{index}")
    };
    let packages: Vec<Value> = commands
        .iter()
        .map(|(file, _)| command_package(source, file))
        .chain(modules.iter().map(|module| module_package(&id_of(module), module)))
        .collect();
    let relationships: Vec<Value> = commands
        .iter()
        .flat_map(|(file, info)| {
            let described = relationship(DOCUMENT_ID, "DESCRIBES", &command_id(file));
            let depends =
                linked(info).into_iter().map(|module| relationship(&command_id(file), "DEPENDS_ON", &id_of(&module)));
            std::iter::once(described).chain(depends.collect::<Vec<_>>())
        })
        .collect();
    let digests: Vec<String> = commands.iter().map(|(file, _)| file.sha256.to_string()).collect();
    let name = format!("buildkit-{}.linux-riscv64", source.version);
    super::document(&name, &digests.join("-"), source.source_date, &packages, &relationships)
}

/// The modules of one binary, and the standard library as one more.
fn linked(info: &BuildInfo) -> Vec<Module> {
    let standard = Module { path: STANDARD_LIBRARY.to_owned(), version: info.go_version.to_string() };
    info.dependencies.iter().cloned().chain([standard]).collect()
}

fn command_id(file: &FileRecord) -> String {
    format!("SPDXRef-{}", file.name)
}

fn command_package(source: &Source, file: &FileRecord) -> Value {
    let (commit, version) = (&source.commit, &source.version);
    json!({
        "SPDXID": command_id(file),
        "name": file.name,
        "versionInfo": version,
        "packageFileName": file.name,
        "supplier": SUPPLIER,
        "originator": UPSTREAM_NAME,
        "downloadLocation": format!("{UPSTREAM}@{commit}"),
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": file.sha256 }],
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": "Apache-2.0",
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": "APPLICATION",
        "externalRefs": [purl(&format!("pkg:golang/{}@{}#cmd/{}", source.package, encoded(&version.to_string()), file.name))],
    })
}

/// Where the module came from when it was linked: upstream's directory `vendor/`, by `-mod=vendor`, no matter who wrote it;
/// the standard library with Go, whose files name "The Go Authors".
fn supplier(module: &Module) -> &'static str {
    if module.path == STANDARD_LIBRARY { "Organization: The Go Authors" } else { UPSTREAM_NAME }
}

fn module_package(id: &str, module: &Module) -> Value {
    json!({
        "SPDXID": id,
        "name": module.path,
        "versionInfo": module.version,
        "supplier": supplier(module),
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": NOASSERTION,
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": LIBRARY,
        "externalRefs": [purl(&format!("pkg:golang/{}@{}", module.path.to_ascii_lowercase(), encoded(&module.version)))],
    })
}

/// The path and the version of each module in a document, Go's standard library among them.
pub fn modules(document: &Value) -> impl Iterator<Item = (String, String)> {
    let packages = document["packages"].as_array().into_iter().flatten();
    let libraries = packages.filter(|package| package["primaryPackagePurpose"] == LIBRARY);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    libraries.filter_map(move |package| Some((text(&package["name"])?, text(&package["versionInfo"])?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{names, samples};
    use crate::upstream::PACKAGE;
    use oci::digest::Sha256;

    fn sample() -> Value {
        let source = Source {
            r#ref: "v0.32.2".parse().expect("a ref"),
            commit: samples::commit(),
            version: samples::version(),
            package: PACKAGE.to_owned(),
            source_date: "2026-08-07T15:01:24Z".parse().expect("a date"),
            source_date_epoch: 1_786_114_884,
        };
        let files = names::COMMANDS.map(|name| FileRecord {
            name: name.to_owned(),
            size_bytes: 1,
            sha256: Sha256::from_bytes(&[7; 32]),
        });
        let commands: Vec<_> = files.iter().map(|file| (file, samples::build_info(&file.name))).collect();
        document(&source, &commands)
    }

    #[test]
    fn every_relation_names_elements_that_exist_and_every_id_is_unique() {
        let document = sample();
        let list = |key: &str| document[key].as_array().expect("a list").clone();
        let mut ids: Vec<String> =
            list("packages").iter().map(|p| p["SPDXID"].as_str().expect("an id").to_owned()).collect();
        ids.push("SPDXRef-DOCUMENT".to_owned());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        for relation in list("relationships") {
            for end in ["spdxElementId", "relatedSpdxElement"] {
                assert!(ids.contains(&relation[end].as_str().expect("an id").to_owned()), "{relation}");
            }
        }
        // Two commands, two modules, the standard library; each described, and six dependencies.
        assert_eq!((list("packages").len(), list("relationships").len()), (5, 8));
    }

    /// The minimum elements of an SBOM that NTIA published in 2021 have a supplier for each component.
    #[test]
    fn every_component_has_a_supplier_a_version_and_a_package_url() {
        let document = sample();
        for package in document["packages"].as_array().expect("a list") {
            for field in ["supplier", "versionInfo"] {
                assert!(
                    package[field].as_str().is_some_and(|text| text != NOASSERTION && !text.is_empty()),
                    "{package}"
                );
            }
            assert!(package["externalRefs"][0]["referenceLocator"].is_string(), "{package}");
        }
        let of = |name: &str| {
            let packages = document["packages"].as_array().expect("a list");
            packages.iter().find(|package| package["name"] == name).expect(name)["supplier"].clone()
        };
        assert_eq!(of("stdlib"), "Organization: The Go Authors");
        assert_eq!((of("buildctl"), of("github.com/BurntSushi/toml")), (SUPPLIER.into(), UPSTREAM_NAME.into()));
    }

    #[test]
    fn the_modules_are_read_back() {
        let modules: Vec<String> = modules(&sample()).map(|(path, version)| format!("{path} {version}")).collect();
        assert_eq!(modules, ["github.com/BurntSushi/toml v1.5.0", "golang.org/x/sys v0.40.0", "stdlib 1.26.3"]);
        assert_eq!(super::modules(&json!({ "packages": 7 })).count(), 0);
    }

    #[test]
    fn package_urls_are_lower_case() {
        let text = sample().to_string();
        assert!(text.contains("pkg:golang/github.com/burntsushi/toml@v1.5.0"), "{text}");
        assert!(text.contains("pkg:golang/github.com/moby/buildkit@v0.32.2#cmd/buildkitd"), "{text}");
        assert!(text.contains("pkg:golang/stdlib@1.26.3"), "{text}");
    }
}
