//! Images read from files, and what those that exceed a limit get.

use fakes::sample_image::{ENTRYPOINT, Item, config, layer};
use serde_json::{Value, json};

use super::*;
use crate::limits::{INDEX_DEPTH, INDEX_ENTRIES, INDEXES};

#[test]
fn contents_are_those_of_the_files_that_are_left() {
    let file = |path, content: &str| Item::File(path, 0o644, content.into());
    let tars = [
        layer(&[file("a", "one"), Item::HardLink("again", "a"), file("b", "two")]),
        layer(&[file("b", "three"), file("c", "four")]),
    ];
    let diff_ids = tars.clone().map(|tar| Digest::from(sha256_of(&mut tar.as_slice()).expect("memory")).to_string());
    let config = config(&ENTRYPOINT, &diff_ids).to_string();
    let list = r#"[{"Config":"c.json","Layers":["0/layer.tar","1/layer.tar"]}]"#;
    let folder = std::env::temp_dir().join(format!("xtask-layout-{}", std::process::id()));
    let folder = Utf8PathBuf::try_from(folder).expect("UTF-8");
    for (name, content) in [
        ("0/layer.tar", tars[0].as_slice()),
        ("1/layer.tar", &tars[1]),
        ("c.json", config.as_bytes()),
        ("manifest.json", list.as_bytes()),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("is in the folder")).expect("is made");
        std::fs::write(path, content).expect("is written");
    }
    let image = Image::open(&folder).expect("an image");
    let tree = image.files().expect("honest layers");
    let mut seen = Vec::new();
    let visit = |paths: &[&str], _: &Node, content: &mut dyn Read| {
        seen.push(format!("{}={}", paths.join(","), std::io::read_to_string(content)?));
        Ok(())
    };
    image.contents(&tree, |path, _| path != "c", visit).expect("is read");
    assert_eq!(seen, ["a,again=one", "b=three"]);
    std::fs::remove_dir_all(&folder).expect("is removed");
}

/// A directory with these files, removed at the end.
struct Directory(Utf8PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-layout-{name}-{}", std::process::id()));
        let path = Utf8PathBuf::try_from(path).expect("UTF-8");
        std::fs::create_dir_all(path.join(BLOBS)).expect("is made");
        Self(path)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.0.join(name), content).expect("is written");
    }

    /// Writes a blob and returns its descriptor.
    fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::from(crate::digest::sha256(content));
        self.write(&digest.blob(), content);
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    }

    fn index(&self, manifests: &[Value]) {
        self.write(INDEX, json!({ "schemaVersion": 2, "manifests": manifests }).to_string().as_bytes());
    }

    fn refusal(&self) -> String {
        format!("{:#}", Image::open(&self.0).expect_err("exceeds a limit"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn index_of(manifests: &[Value]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_bytes()
}

#[test]
fn nested_indexes_are_refused_by_depth_and_by_number() {
    let directory = Directory::new("nested");
    let mut inner = directory.blob(INDEX_TYPE, &index_of(&[]));
    for _ in 0..INDEX_DEPTH {
        inner = directory.blob(INDEX_TYPE, &index_of(&[inner]));
    }
    directory.index(&[inner]);
    assert!(directory.refusal().ends_with("its indexes are nested more than 4 deep, which is the limit"));

    let many: Vec<Value> = (0..=INDEXES)
        .map(|number| directory.blob(INDEX_TYPE, format!("{:number$}{{\"manifests\":[]}}", "").as_bytes()))
        .collect();
    directory.index(&many);
    assert!(directory.refusal().ends_with("it has more than 64 indexes, which is the limit"));
}

#[test]
fn an_index_that_is_named_many_times_is_read_once() {
    let directory = Directory::new("repeated");
    let one = directory.blob(INDEX_TYPE, &index_of(&[]));
    let two = directory.blob(INDEX_TYPE, &index_of(&vec![one; 1000]));
    let three = directory.blob(INDEX_TYPE, &index_of(&vec![two; 1000]));
    directory.index(&vec![three; 1000]);
    assert!(directory.refusal().ends_with("it holds no image"));
}

#[test]
fn entries_of_indexes_are_counted_together() {
    let directory = Directory::new("entries");
    let manifest = directory.blob(MANIFEST_TYPE, b"{}");
    let half = vec![manifest; INDEX_ENTRIES / 2];
    let one = directory.blob(INDEX_TYPE, &index_of(&half));
    directory.index(&[&half[..], &[one]].concat());
    assert!(directory.refusal().ends_with("its indexes have more than 10000 entries, which is the limit"));
}

#[test]
fn layers_are_limited_by_number_and_by_size() {
    let directory = Directory::new("layers");
    let config = directory.blob("", config(&ENTRYPOINT, &[]).to_string().as_bytes());
    let layer = |size: u64| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": config["digest"], "size": size });
    let open = |layers: Vec<Value>| {
        let manifest = json!({ "config": config, "layers": layers }).to_string();
        directory.index(&[directory.blob(MANIFEST_TYPE, manifest.as_bytes())]);
        directory.refusal()
    };
    assert!(open(vec![layer(1); LAYERS + 1]).ends_with("it has 513 layers; the limit is 512"));
    assert!(
        open(vec![layer(IMAGE_BYTES / 2 + 1); 2])
            .ends_with("its layers have 8589934594 bytes; the limit is 8589934592")
    );
}

#[test]
fn a_document_that_is_too_large_is_not_read() {
    let directory = Directory::new("document");
    File::create(directory.0.join(INDEX)).and_then(|file| file.set_len(5 << 20)).expect("is made");
    assert!(directory.refusal().ends_with("index.json has 5242880 bytes; the limit is 4194304"));
}

#[test]
fn what_a_layer_unpacks_to_is_limited_and_the_limit_itself_is_allowed() {
    let tar = layer(&[Item::File("a", 0o644, vec![0; 4000])]);
    let directory = Directory::new("unpacked");
    let diff_id = Digest::from(crate::digest::sha256(&tar)).to_string();
    let config = directory.blob("", config(&ENTRYPOINT, &[diff_id]).to_string().as_bytes());
    let layer = directory.blob("application/vnd.oci.image.layer.v1.tar", &tar);
    let manifest = json!({ "config": config, "layers": [layer] }).to_string();
    directory.index(&[directory.blob(MANIFEST_TYPE, manifest.as_bytes())]);
    let mut image = Image::open(&directory.0).expect("an image");
    let unpacked = directory.0.join("unpacked");

    image.limit_bytes = tar.len() as u64;
    image.files().expect("the limit is allowed");
    image.unpack(0, &unpacked).expect("the limit is allowed");
    for limit_bytes in [tar.len() as u64 - 1, 600] {
        image.limit_bytes = limit_bytes;
        let refusal = format!("{:#}", image.files().expect_err("exceeds the limit"));
        assert!(
            refusal.ends_with(&format!("the image has more than {limit_bytes} bytes, which is the limit")),
            "{refusal}"
        );
        let refusal = image.unpack(0, &unpacked).expect_err("exceeds the limit").to_string();
        assert!(refusal.ends_with("which is the limit"), "{refusal}");
        assert!(unpacked.metadata().expect("is there").len() <= limit_bytes + 1, "it stops there");
    }
}
