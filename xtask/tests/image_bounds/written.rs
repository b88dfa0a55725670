//! Images that are written member by member, so that one may be larger than memory.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use fakes::sample_image::{ENTRYPOINT, config, good, layer};
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use tar::EntryType;

use crate::support;
use crate::support::image::{blob, gzip, layout_of_layers};

pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What takes the SHA-256 of all that is written.
struct Hashing<W>(W, Context);

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.1.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn hex(context: Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A layer that is written member by member.
pub struct Layer(Hashing<GzEncoder<Hashing<BufWriter<File>>>>);

impl Layer {
    pub fn member(&mut self, kind: EntryType, name: &str, link: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if kind == EntryType::Char {
            header.set_device_major(1).and_then(|()| header.set_device_minor(3)).expect("is GNU's");
        }
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.write(header.as_bytes());
        self.write(content);
        self.write(&[0; 511][..content.len().wrapping_neg() & 511]);
    }

    pub fn file(&mut self, name: &str) {
        self.member(EntryType::Regular, name, "", &[]);
    }

    /// A file with a name that is too long for its own header.
    pub fn long(&mut self, name: &str) {
        self.member(EntryType::GNULongName, "", "", name.as_bytes());
        self.file("long");
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("is written");
    }
}

/// Writes an image of the good layer with this one over it.
pub fn image(folder: &Path, fill: impl FnOnce(&mut Layer)) {
    image_of_layers(folder, config(&ENTRYPOINT, &[]), vec![fill]);
}

pub fn image_of_layers<F: FnOnce(&mut Layer)>(folder: &Path, config: Value, fills: Vec<F>) {
    image_of_gzip(Compression::fast(), folder, config, fills);
}

pub fn image_of_gzip<F: FnOnce(&mut Layer)>(level: Compression, folder: &Path, mut config: Value, fills: Vec<F>) {
    let lower = layer(&good());
    let mut diff_ids = vec![format!("sha256:{}", support::image::hex(&lower))];
    let mut layers = vec![blob(folder, LAYER_TYPE, &gzip(&lower))];
    for fill in fills {
        let temporary = folder.join("layer");
        let file = BufWriter::new(File::create(&temporary).expect("is made"));
        let out = GzEncoder::new(Hashing(file, Context::new(&SHA256)), level);
        let mut layer = Layer(Hashing(out, Context::new(&SHA256)));
        fill(&mut layer);
        layer.write(&[0; 1024]);
        let Hashing(out, diff_id) = layer.0;
        let Hashing(mut file, digest) = out.finish().expect("is written");
        file.flush().expect("is written");
        let digest = hex(digest);
        fs::rename(&temporary, folder.join("blobs/sha256").join(&digest)).expect("is renamed");
        let size = file.get_ref().metadata().expect("is there").len();
        layers.push(json!({ "mediaType": LAYER_TYPE, "digest": format!("sha256:{digest}"), "size": size }));
        diff_ids.push(format!("sha256:{}", hex(diff_id)));
    }
    config["rootfs"]["diff_ids"] = json!(diff_ids);
    let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    layout_of_layers(folder, &config, &layers);
}
