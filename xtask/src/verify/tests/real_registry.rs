//! An image that skopeo pushed to docker-registry is verified there, and found damaged once that registry sends another.

use oci::referrers::Attachment;

use super::*;
use crate::published::SPDX;
use crate::registry::tests::servers::{DockerRegistry, run};
use crate::registry::tests::skip;
use crate::rehearse::fake_dist;

#[test]
fn an_image_in_a_real_registry_is_verified_and_damage_to_it_is_found() {
    let name = "an_image_in_a_real_registry_is_verified_and_damage_to_it_is_found";
    let Some(server) = DockerRegistry::open() else { return skip(name, "there is no docker-registry") };
    let world = World::new();
    let (desired, address) = (&world.scenario.desired, &server.address);
    let push = |folder: &Utf8Path| {
        let from = format!("oci:{folder}/image:v0.32.2-riscv64");
        let to = format!("docker://{address}/{IMAGE}:v0.32.2-riscv64");
        run("skopeo", &["copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests", &from, &to])
    };
    let dist = world.scenario.folder.join("dist");
    if push(&dist).is_none() {
        return skip(name, "there is no skopeo to push with");
    }
    let images = ImageRepository::of(address, "o").expect("a name");
    let client = Registry::new(images.clone(), None);
    let found = client.manifest(&oci::reference::Reference::from(&desired.image.manifest.digest)).expect("answers");
    let sbom = desired.image.attachments.iter().find(|attachment| attachment.artifact_type == SPDX).expect("has one");
    let attachment = Attachment {
        artifact_type: SPDX.to_owned(),
        file_name: "sbom".to_owned(),
        digest: sbom.sha256.clone().into(),
        size_bytes: sbom.size_bytes,
        annotations: BTreeMap::new(),
    };
    client.attach(&found.expect("is there").descriptor, &attachment, &sbom.path).expect("is attached");
    // The page of the fake release promises a provenance, which nobody attached here.
    world.tamper(|github, _, _| github.rewrite_page(RELEASE, |page| page.replace("gh attestation verify", "x")));
    let verifier = Verifier { registry: Registry::new(images, None), ..world.verifier() };
    let verify = || {
        let mut findings = Findings::default();
        verifier.verify(&mut findings, &RELEASE.parse().expect("a name"), None, Some(&world.downloads));
        findings
    };
    let differing = |findings: &Findings| findings.failures().map(|check| check.name.clone()).collect::<Vec<_>>();
    let findings = verify();
    assert_eq!(Outcome::of([&findings]), Outcome::Right, "{}", lines(&findings));

    let layer = first_blob(&locked(&world.scenario.registry), &desired.image.manifest.digest);
    let path = server.blob(&layer.parse().expect("a digest"));
    let original = fs::read(&path).expect("is where the registry keeps it");
    fs::write(&path, vec![b'x'; original.len()]).expect("is written");
    assert_eq!(differing(&verify()), ["image-blobs"]);
    fs::remove_file(&path).expect("is removed");
    assert_eq!(differing(&verify()), ["image-blobs"]);
    fs::write(&path, original).expect("is written");
    assert_eq!(differing(&verify()), [""; 0]);

    let other = world.scenario.folder.join("other");
    fake_dist::make(&other, &fake_dist::source("v0.32.2", 1_785_715_201).expect("a source")).expect("is made");
    push(&other).expect("skopeo is there");
    assert_eq!(differing(&verify()), ["image-tag"]);
}
