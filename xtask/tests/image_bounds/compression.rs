//! Blobs that unpack to much, or are not what they are called.

use std::fs;
use std::path::Path;

use fakes::sample_image::{ENTRYPOINT, LOADER, RISCV, config, elf, good, layer};
use flate2::Compression;

use crate::support::Scratch;
use crate::support::image::{blob, gzip, hex, layout_of_layers};
use crate::written::{LAYER_TYPE, Layer, image_of_gzip};
use crate::{assert_bounded, assert_refused, verify};
use tar::EntryType;

#[test]
fn compressed_content() {
    // gzip members one after the other are one stream.
    let bomb = |folder: &Path, head: &[u8], content: &[u8], times: u32| {
        let mut packed = gzip(head);
        let piece = gzip(content);
        (0..times).for_each(|_| packed.extend(&piece));
        let layer = blob(folder, LAYER_TYPE, &packed);
        let digest = layer["digest"].as_str().expect("a digest").to_owned();
        let config = config(&ENTRYPOINT, &[digest]).to_string();
        let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.as_bytes());
        layout_of_layers(folder, &config, &[layer]);
    };
    let header = |size_bytes: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_path("usr/lib/zeros").expect("fits");
        header.set_mode(0o755);
        header.set_size(size_bytes);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    assert_bounded("a file of zeros", "bytes", |folder| bomb(folder, &header(64 << 30), &vec![0; 64 << 20], 200));
    let mut program = [header(30 << 20), elf(RISCV, Some(LOADER), &["libc.so.6"])].concat();
    program.resize((30 << 20) + 512, 0);
    assert_bounded("programs of 30 MB", "bytes", |folder| bomb(folder, &[], &program, 400));
}

/// An image of the good layer with this blob over it, which unpacks to `tar`.
pub fn image_of_blob(folder: &Path, media_type: &str, packed: &[u8], tar: &[u8]) {
    let lower = layer(&good());
    let layers = [blob(folder, LAYER_TYPE, &gzip(&lower)), blob(folder, media_type, packed)];
    let diff_ids = [&lower[..], tar].map(|tar| format!("sha256:{}", hex(tar)));
    let config = config(&ENTRYPOINT, &diff_ids).to_string();
    let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.as_bytes());
    layout_of_layers(folder, &config, &layers);
}

#[test]
fn compressed_blobs() {
    let tar = layer(&[]);
    assert_bounded("a million members of gzip", "", |folder| {
        let nothing = gzip(&[]);
        image_of_blob(folder, LAYER_TYPE, &[nothing.repeat(1_000_000), gzip(&tar)].concat(), &tar);
    });
    let refused = |name: &str, media_type: &str, packed: &[u8], why: &str| {
        assert_refused(name, why, |folder| image_of_blob(folder, media_type, packed, &tar));
    };
    // RFC 1952: a header with a name (FLG.FNAME) that has no end.
    let endless_name = [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255][..], &vec![b'n'; 100 << 20]].concat();
    refused("an endless name in gzip", LAYER_TYPE, &endless_name, "layer 2 of 2");
    // RFC 8878, 3.1.1.1.2: a window descriptor of 0xb0 is 1 << (10 + 22) bytes; the block is of zeros, run-length coded.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xb0, 0x03, 0x00, 0x10, 0x00];
    refused("a window of 4 GiB", "application/vnd.oci.image.layer.v1.tar+zstd", &zstd, "zstd");
    refused("zstd called gzip", LAYER_TYPE, &zstd, "layer 2 of 2");
    refused("gzip cut short", LAYER_TYPE, &gzip(&tar)[..20], "layer 2 of 2");
    refused("gzip with something behind it", LAYER_TYPE, &[gzip(&tar), vec![1; 1000]].concat(), "layer 2 of 2");
    // Image specification, "Non-Distributable Layers": the content is elsewhere.
    let scratch = Scratch::new("bounds");
    let folder = scratch.path();
    image_of_blob(folder, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", &gzip(&tar), &tar);
    fs::remove_file(folder.join("blobs/sha256").join(hex(&gzip(&tar)))).expect("is there");
    let messages = verify("a foreign layer", folder);
    assert!(messages.contains("is missing"), "{messages}");
}

/// The honest image of the size up to which the bounds hold: 1,000 MB that gzip cannot make smaller, stored as gzip
/// stores such content.
#[test]
fn a_gigabyte() {
    const PIECE_BYTES: usize = 1_000_000;
    let mut random = 1_u64;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    while piece.len() < PIECE_BYTES {
        // Knuth's MMIX generator; its upper bits are random enough.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        piece.extend(&random.to_be_bytes()[..4]);
    }
    let fill = |number: u32| {
        let piece = &piece;
        move |layer: &mut Layer| {
            for file in 0..50 {
                layer.member(EntryType::Regular, &format!("usr/share/{number}-{file}"), "", piece);
            }
        }
    };
    assert_bounded("a gigabyte", "", |folder| {
        image_of_gzip(Compression::none(), folder, config(&ENTRYPOINT, &[]), (0..20).map(fill).collect());
        let sizes = fs::read_dir(folder.join("blobs/sha256")).expect("lists").flatten();
        let size_bytes: u64 = sizes.map(|blob| blob.metadata().expect("is there").len()).sum();
        assert!(size_bytes > 1_000_000_000, "{size_bytes}");
    });
}
