//! Headers of tar: records, numbers and types.

use tar::EntryType;

use crate::written::image;
use crate::{assert_layer_bounded, assert_refused};

/// A record of a PAX header, which begins with its length.
fn record(name: &str, value: &str) -> String {
    let rest = format!(" {name}={value}\n");
    let length =
        (1..8).map(|digits| rest.len() + digits).find(|length| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.expect("a length"))
}

#[test]
fn pax_headers() {
    let attribute = record("SCHILY.xattr.user.a", &"v".repeat(1_000_000));
    assert_layer_bounded("attributes before no file", "limit", |layer| {
        (0..2000).for_each(|_| layer.member(EntryType::XHeader, "x", "", attribute.as_bytes()));
    });
    let tiny = record("a", "b").repeat(170_000);
    assert_layer_bounded("tiny records", "limit", |layer| {
        for number in 0..2000 {
            layer.member(EntryType::XHeader, "x", "", tiny.as_bytes());
            layer.file(&format!("usr/lib/{number}"));
        }
    });
    assert_layer_bounded("global headers", "limit", |layer| {
        (0..4000).for_each(|_| layer.member(EntryType::XGlobalHeader, "x", "", attribute.as_bytes()));
    });
    let small = record("SCHILY.xattr.user.a", "");
    assert_layer_bounded("many small attributes", "limit", |layer| {
        for number in 0..2000 {
            layer.member(EntryType::XHeader, "x", "", small.repeat(30_000).as_bytes());
            layer.file(&format!("usr/lib/{number}"));
        }
    });
}

/// Numbers in headers of tar that a reader may add to others.
#[test]
fn numbers_of_members() {
    let refused = |name: &str, why: &str, change: &dyn Fn(&mut tar::Header)| {
        assert_refused(name, why, |folder| {
            image(folder, |layer| {
                let mut header = tar::Header::new_gnu();
                header.set_path("usr/lib/x").expect("fits");
                header.set_mode(0o755);
                header.set_size(0);
                change(&mut header);
                header.set_cksum();
                layer.write(header.as_bytes());
                layer.file("usr/lib/y");
            });
        });
    };
    // GNU's base-256: the first byte is 0x80, or 0xff for a negative number.
    let size = |bytes: [u8; 12]| move |header: &mut tar::Header| header.as_old_mut().size = bytes;
    refused("a negative size", "layer 2 of 2", &size([0xff; 12]));
    refused("a size of 2^64 - 1", "layer 2 of 2", &size([0x80, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]));
    refused("a size of 2^63", "layer 2 of 2", &size([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]));
    refused("a size of 2^95", "layer 2 of 2", &size([0x80, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]));
    refused("a size that is no number", "layer 2 of 2", &size(*b"zzzzzzzzzzzz"));
    refused("a name that is a command to a terminal", "layer 2 of 2", &|header| {
        header.as_old_mut().name[..21].copy_from_slice(b"\x1b[2J\n::add-mask::abcd");
        header.as_old_mut().size = *b"\x1b\n::error::\n";
    });
    refused("a sparse file", "sparse", &|header| header.set_entry_type(EntryType::GNUSparse));
    refused("an unknown type", "tar type", &|header| header.set_entry_type(EntryType::new(b'Z')));
    refused("a device without a number", "layer 2 of 2", &|header| {
        header.set_entry_type(EntryType::Char);
        header.as_gnu_mut().expect("is GNU's").dev_major = *b"zzzzzzzz";
    });
    let pax = |name: &str, record: &str, why: &str| {
        assert_refused(name, why, |folder| {
            image(folder, |layer| {
                layer.member(EntryType::XHeader, "x", "", record.as_bytes());
                layer.file("usr/lib/x");
            });
        });
    };
    pax("a PAX size that is negative", &record("size", "-1"), "malformed number");
    pax("a PAX size that is another", &record("size", "1000"), "two different sizes");
    pax("a sparse file of PAX", &record("GNU.sparse.major", "1"), "sparse");
    assert_layer_bounded("a PAX header of 100 MB", "headers of a member", |layer| {
        layer.member(EntryType::XHeader, "x", "", &vec![b'9'; 100 << 20]);
    });
    let zeros = vec![0; 64 << 20];
    for (name, kind) in [
        ("a PAX header of a gigabyte", EntryType::XHeader),
        ("a global header of a gigabyte", EntryType::XGlobalHeader),
        ("a name of a gigabyte", EntryType::GNULongName),
        ("a link of a gigabyte", EntryType::GNULongLink),
    ] {
        assert_layer_bounded(name, "headers of a member", |layer| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(1 << 30);
            header.set_cksum();
            layer.write(header.as_bytes());
            (0..16).for_each(|_| layer.write(&zeros));
            layer.file("usr/lib/x");
        });
    }
    pax("a record that is longer than its header", "99999 path=a\n", "malformed");
    pax("a record of no length", "0 path=a\n", "malformed");
    pax("a record without an end", "9 path=ab", "malformed");
    pax("a path that leads out", &record("path", "../../../../x"), "leads out");
    pax("a path with a NUL", &record("path", "a\0b"), "is not a path");
    pax("a map of a sparse file", &record("GNU.sparse.map", "0,1,2,3"), "sparse");
}
