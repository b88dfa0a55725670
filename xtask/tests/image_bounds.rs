//! `cargo xtask verify-tini` on images made to cost memory or time: each is judged, or refused with the limit that it
//! exceeds, within 256 MB and 30 seconds of processor time. The images are small files; what is in them is not.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "reads and writes files, starts processes, asks the clock and prints figures"
)]

mod support;
#[path = "image_bounds/written.rs"]
mod written;

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fakes::sample_image::{ENTRYPOINT, LOADER, RISCV, config, elf, good, layer};
use flate2::Compression;
use serde_json::{Value, json};
use tar::EntryType;

use crate::support::Scratch;
use crate::support::image::{INDEX_TYPE, MANIFEST_TYPE, blob, gzip, layout_of_layers, verify_command};
use crate::written::{LAYER_TYPE, Layer, image, image_of_gzip, image_of_layers};

const MOST_KILOBYTES: u64 = 256 << 10;
const MOST_SECONDS: u64 = 30;
/// `USER_HZ`, in which Linux reports times to programs.
const TICKS: u64 = 100;

/// Runs the task, and asserts its bounds. Returns its messages.
fn verify(name: &str, folder: &Path) -> String {
    let errors = folder.join("stderr");
    let mut command = verify_command(&["--engine", "none", "--host-init"]);
    // The host's init is looked for in the image as well.
    let init = folder.join("init");
    fs::write(&init, elf(RISCV, Some(LOADER), &["libc.so.6"])).expect("is written");
    command.arg(&init).arg(folder).stderr(File::create(&errors).expect("is made")).stdout(Stdio::null());
    let mut child = command.spawn().expect("xtask starts");
    let process = Path::new("/proc").join(child.id().to_string());
    let (mut kilobytes, mut ticks) = (0, 0);
    let peak = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    // `utime` and `stime` of proc_pid_stat(5), in ticks; the task has one thread that works, so this is what a clock
    // shows on a machine with nothing else to do.
    let spent = |stat: &str| {
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()
    };
    while child.try_wait().expect("is waited for").is_none() {
        let read = |name| fs::read_to_string(process.join(name)).unwrap_or_default();
        kilobytes = peak(&read("status")).unwrap_or(0).max(kilobytes);
        ticks = spent(&read("stat")).unwrap_or(0).max(ticks);
        if kilobytes > 2 * MOST_KILOBYTES || ticks > 2 * TICKS * MOST_SECONDS {
            child.kill().and_then(|()| child.wait()).expect("is killed");
            break;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let messages = fs::read_to_string(&errors).expect("is read");
    let last = messages.lines().last().unwrap_or_default();
    println!("{name}: {} MB, {} ticks: {last:.150}", kilobytes >> 10, ticks);
    assert!(kilobytes > 0 && kilobytes <= MOST_KILOBYTES, "{name}: {kilobytes} kB");
    assert!(ticks <= TICKS * MOST_SECONDS, "{name}: {} s", ticks / TICKS);
    messages
}

/// Asserts that the image which `fill` makes is refused with this limit, or, if that is empty, judged.
fn assert_bounded(name: &str, limit: &str, fill: impl FnOnce(&Path)) {
    let scratch = Scratch::new("bounds");
    fill(scratch.path());
    let messages = verify(name, scratch.path());
    if limit.is_empty() {
        assert!(messages.contains(" passed, "), "{name}: {messages:.2000}");
    } else {
        assert!(messages.contains(limit) && messages.contains("limit"), "{name}: {messages:.2000}");
    }
}

fn assert_layer_bounded(name: &str, limit: &str, fill: impl FnOnce(&mut Layer)) {
    assert_bounded(name, limit, |folder| image(folder, fill));
}

#[test]
fn many_names() {
    let repeat = |kind: EntryType, link: &'static str, count: u32| {
        move |layer: &mut Layer| {
            layer.member(EntryType::Regular, "usr/lib/target", "", b"x");
            (0..count).for_each(|number| layer.member(kind, &format!("usr/lib/{number}"), link, &[]));
        }
    };
    let long_link: &'static str = "../../../../../../../../../../../../../../../../../../../../../../../../a";
    assert_layer_bounded("many files", "", repeat(EntryType::Regular, "", 480_000));
    assert_layer_bounded("many symlinks", "", repeat(EntryType::Symlink, long_link, 480_000));
    assert_layer_bounded("many hard links", "", repeat(EntryType::Link, "usr/lib/target", 950_000));
    assert_layer_bounded("many directories for processors", "processors", |layer| {
        for number in 0..450_000 {
            layer.member(EntryType::Directory, &format!("usr/lib/{number}-linux-gnu"), "", &[]);
        }
    });
    assert_layer_bounded("one name again and again", "files", |layer| {
        (0..600_000).for_each(|_| layer.file("usr/lib/x"));
    });
}

#[test]
fn long_and_deep_names() {
    assert_layer_bounded("long names", "", |layer| {
        let tail = "n".repeat(240);
        (0..180_000).for_each(|number| layer.long(&format!("usr/lib/{number}{tail}")));
    });
    assert_layer_bounded("longer names", "names", |layer| {
        let tail = "n".repeat(4000);
        (0..20_000).for_each(|number| layer.long(&format!("usr/lib/{number}{tail}")));
    });
    assert_layer_bounded("deep directories", "look-ups", |layer| {
        let deep = "d/".repeat(2000);
        (0..20_000).for_each(|number| layer.long(&format!("{deep}{number}")));
    });
    assert_layer_bounded("shallow directories without end", "look-ups", |layer| {
        let deep = "d/".repeat(45);
        (0..400_000).for_each(|number| layer.file(&format!("{deep}{number}")));
    });
    assert_layer_bounded("links to links", "look-ups", |layer| {
        for number in 0..38 {
            layer.member(
                EntryType::Symlink,
                &format!("l{number}"),
                &format!("{}l{}", "./".repeat(40), number + 1),
                &[],
            );
        }
        layer.member(EntryType::Directory, "l38", "", &[]);
        (0..400_000).for_each(|number| layer.file(&format!("l0/{number}")));
    });
}

#[test]
fn pax_headers() {
    let record = |name: &str, value: &str| {
        let rest = format!(" {name}={value}\n");
        let length =
            (1..8).map(|digits| rest.len() + digits).find(|length| length.to_string().len() + rest.len() == *length);
        format!("{}{rest}", length.expect("a length"))
    };
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

#[test]
fn whiteouts() {
    assert_bounded("opaque whiteouts", "whiteouts", |folder| {
        let lower = |layer: &mut Layer| (0..100_000).for_each(|number| layer.file(&format!("d/{number}")));
        let upper = |layer: &mut Layer| {
            (0..1000).for_each(|number| layer.file(&format!("d/n{number}")));
            (0..20_000).for_each(|_| layer.file("d/.wh..wh..opq"));
        };
        image_of_layers(folder, config(&ENTRYPOINT, &[]), vec![&lower as &dyn Fn(&mut Layer), &upper]);
    });
    assert_layer_bounded("whiteouts of nothing", "", |layer| {
        (0..900_000).for_each(|number| layer.file(&format!("d/.wh.{number}")));
    });
}

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
fn image_of_blob(folder: &Path, media_type: &str, packed: &[u8], tar: &[u8]) {
    let lower = layer(&good());
    let layers = [blob(folder, LAYER_TYPE, &gzip(&lower)), blob(folder, media_type, packed)];
    let diff_ids = [&lower[..], tar].map(|tar| format!("sha256:{}", support::image::hex(tar)));
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
        let scratch = Scratch::new("bounds");
        image_of_blob(scratch.path(), media_type, packed, &tar);
        let messages = verify(name, scratch.path());
        assert!(messages.contains("error") && messages.contains(why), "{name}: {messages:.2000}");
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
    fs::remove_file(folder.join("blobs/sha256").join(support::image::hex(&gzip(&tar)))).expect("is there");
    let messages = verify("a foreign layer", folder);
    assert!(messages.contains("is missing"), "{messages}");
}

/// Numbers in headers of tar that a reader may add to others.
#[test]
fn numbers_of_members() {
    let refused = |name: &str, why: &str, change: &dyn Fn(&mut tar::Header)| {
        let scratch = Scratch::new("bounds");
        image(scratch.path(), |layer| {
            let mut header = tar::Header::new_gnu();
            header.set_path("usr/lib/x").expect("fits");
            header.set_mode(0o755);
            header.set_size(0);
            change(&mut header);
            header.set_cksum();
            layer.write(header.as_bytes());
            layer.file("usr/lib/y");
        });
        let messages = verify(name, scratch.path());
        assert!(messages.contains("error") && messages.contains(why), "{name}: {messages:.2000}");
    };
    // GNU's base-256: the first byte is 0x80, or 0xff for a negative number.
    let size = |bytes: [u8; 12]| move |header: &mut tar::Header| header.as_old_mut().size = bytes;
    refused("a negative size", "layer 2 of 2", &size([0xff; 12]));
    refused("a size of 2^64 - 1", "layer 2 of 2", &size([0x80, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]));
    refused("a size of 2^63", "layer 2 of 2", &size([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]));
    refused("a size of 2^95", "layer 2 of 2", &size([0x80, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]));
    refused("a size that is no number", "layer 2 of 2", &size(*b"zzzzzzzzzzzz"));
    refused("a sparse file", "sparse", &|header| header.set_entry_type(EntryType::GNUSparse));
    refused("an unknown type", "tar type", &|header| header.set_entry_type(EntryType::new(b'Z')));
    refused("a device without a number", "layer 2 of 2", &|header| {
        header.set_entry_type(EntryType::Char);
        header.as_gnu_mut().expect("is GNU's").dev_major = *b"zzzzzzzz";
    });
    let pax = |name: &str, record: &'static str, why: &'static str| {
        let scratch = Scratch::new("bounds");
        image(scratch.path(), |layer| {
            layer.member(EntryType::XHeader, "x", "", record.as_bytes());
            layer.file("usr/lib/x");
        });
        let messages = verify(name, scratch.path());
        assert!(messages.contains("error") && messages.contains(why), "{name}: {messages:.2000}");
    };
    pax("a PAX size that is negative", "11 size=-1\n", "malformed number");
    pax("a PAX size that is another", "13 size=1000\n", "two different sizes");
    pax("a sparse file of PAX", "22 GNU.sparse.major=1\n", "sparse");
    assert_layer_bounded("a PAX header of 100 MB", "headers of a member", |layer| {
        layer.member(EntryType::XHeader, "x", "", &vec![b'9'; 100 << 20]);
    });
}

#[test]
fn links_and_whiteouts() {
    let refused = |name: &str, why: &str, fill: &dyn Fn(&mut Layer)| {
        let scratch = Scratch::new("bounds");
        image(scratch.path(), fill);
        let messages = verify(name, scratch.path());
        assert!(messages.contains("error") && messages.contains(why), "{name}: {messages:.2000}");
    };
    let hard = |layer: &mut Layer, name: &str, target: &str| layer.member(EntryType::Link, name, target, &[]);
    refused("a hard link to a whiteout", "is no file before it", &|layer| {
        layer.file("usr/bin/.wh.tini");
        hard(layer, "usr/bin/t", "usr/bin/.wh.tini");
    });
    refused("a hard link to what a whiteout hides", "is no file before it", &|layer| {
        layer.file("usr/bin/.wh.tini");
        hard(layer, "usr/bin/t", "usr/bin/tini");
    });
    refused("a hard link to itself", "is no file before it", &|layer| hard(layer, "usr/lib/x", "usr/lib/x"));
    refused("a hard link to a directory", "is no file before it", &|layer| hard(layer, "usr/lib/x", "usr/bin"));
    refused("10,000 directories in each other", "is not a path", &|layer| layer.long(&"d/".repeat(10_000)));
    let chain = |length: u32| {
        move |layer: &mut Layer| {
            layer.file("usr/sbin/.wh.docker-init");
            for number in 1..length {
                let (name, target) = (format!("opt/{number}"), format!("/opt/{}", number + 1));
                layer.member(EntryType::Symlink, &name, &target, &[]);
            }
            layer.member(EntryType::Symlink, &format!("opt/{length}"), "/usr/bin/tini", &[]);
            layer.member(EntryType::Symlink, "usr/sbin/docker-init", "/opt/1", &[]);
        }
    };
    // `/sbin` and `docker-init` are links too, so 38 more make the 40 that Linux follows.
    for (length, expected) in [(38, " passed, 0 failed"), (39, "leads in a circle")] {
        let scratch = Scratch::new("bounds");
        image(scratch.path(), chain(length));
        let messages = verify(&format!("{length} links to tini"), scratch.path());
        assert!(messages.contains(expected), "{length}: {messages:.3000}");
    }
    for (kind, name) in [(EntryType::Char, "device"), (EntryType::Fifo, "pipe")] {
        let scratch = Scratch::new("bounds");
        image(scratch.path(), |layer| {
            for path in ["usr/bin/tini", "usr/sbin/docker-init", "usr/bin/entrypoint", "usr/sbin/runc"] {
                layer.member(kind, path, "", &[]);
            }
        });
        let messages = verify(name, scratch.path());
        for check in ["tini-present", "docker-init-link", "entrypoint-script", "runc"] {
            assert!(messages.lines().last().is_some_and(|last| last.contains(check)), "{name}: {messages:.3000}");
        }
    }
}

#[test]
fn many_platforms_and_words() {
    let judged = |name: &str, fill: &dyn Fn(&Path)| assert_bounded(name, "", fill);
    judged("an index of 10,000 platforms", &|folder| {
        image(folder, |_| {});
        let index: Value =
            serde_json::from_slice(&fs::read(folder.join("index.json")).expect("is there")).expect("JSON");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        let inner = fs::read(folder.join("blobs/sha256").join(digest)).expect("is there");
        let mut inner: Value = serde_json::from_slice(&inner).expect("JSON");
        let mut other = inner["manifests"][1].clone();
        let manifests = inner["manifests"].as_array_mut().expect("a list");
        for number in 0..9_990 {
            other["platform"] = json!({ "os": "linux", "architecture": format!("a{number}") });
            other["digest"] = json!(format!("sha256:{number:064x}"));
            manifests.push(other.clone());
        }
        fs::write(folder.join("index.json"), inner.to_string()).expect("is written");
    });
    let configured = |name: &str, change: &dyn Fn(&mut Value)| {
        judged(name, &|folder| {
            let mut config = config(&ENTRYPOINT, &[]);
            change(&mut config);
            image_of_layers(
                folder,
                config,
                vec![|layer: &mut Layer| {
                    layer.member(
                        EntryType::Regular,
                        "etc/passwd",
                        "",
                        "u:x:1:1::/:/bin/sh\n".repeat(5_000_000).as_bytes(),
                    );
                }],
            );
        });
    };
    configured("a million variables", &|config| config["config"]["Env"] = json!(vec!["a"; 1_000_000]));
    configured("a user by name and 95 MB of users", &|config| config["config"]["User"] = json!("u"));
    configured("a deep list that is not read", &|config| {
        config["extra"] = (0..100).fold(json!([]), |inner, _| json!([inner]));
    });
}

#[test]
fn elf_strings() {
    let long: Vec<String> = (0..250).map(|number| format!("{number}{}", "s".repeat(4000))).collect();
    let names: Vec<&str> = long.iter().map(String::as_str).collect();
    let program = elf(RISCV, Some(LOADER), &names);
    assert_layer_bounded("long names in many programs", "names", |layer| {
        (0..60).for_each(|number| layer.member(EntryType::Regular, &format!("usr/lib/{number}"), "", &program));
    });
    let short = elf(RISCV, Some(LOADER), &["x"; 250]);
    assert_layer_bounded("many short names in many programs", "names", |layer| {
        (0..20_000).for_each(|number| layer.member(EntryType::Regular, &format!("usr/lib/{number}"), "", &short));
    });
    assert_layer_bounded("libraries that are searched for without end", "", |layer| {
        for number in 0..64 {
            layer.member(EntryType::Symlink, &format!("usr/lib/{number}-linux-x"), &"./".repeat(49), &[]);
        }
        let needed: Vec<String> = (0..250).map(|number| format!("{number}{}", "/../a".repeat(700))).collect();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let program = elf(RISCV, Some(LOADER), &needed);
        for path in ["usr/bin/tini", "usr/bin/sh", "usr/sbin/runc"] {
            layer.member(EntryType::Regular, path, "", &program);
        }
    });
}

#[test]
fn documents() {
    let annotations = |count: u32| -> Value { (0..count).map(|number| (format!("{number:x}"), json!(""))).collect() };
    assert_bounded("indexes with annotations", "limit", |folder| {
        image(folder, |_| {});
        let mut inner: Vec<Value> = Vec::new();
        for number in 0..60 {
            let mut manifest = blob(folder, MANIFEST_TYPE, format!("{{\"number\":{number}}}").as_bytes());
            manifest["annotations"] = annotations(300_000);
            let index = json!({ "manifests": [manifest] }).to_string();
            inner.push(blob(folder, INDEX_TYPE, index.as_bytes()));
        }
        fs::write(folder.join("index.json"), json!({ "manifests": inner }).to_string()).expect("is written");
    });
    let configured = |name: &str, key: &str, value: Value| {
        assert_bounded(name, "", |folder| {
            let mut config = config(&ENTRYPOINT, &[]);
            config["config"][key] = value;
            image_of_layers(
                folder,
                config,
                vec![|layer: &mut Layer| {
                    for number in 0..38 {
                        let target = format!("{}l{}", "./".repeat(40), number + 1);
                        layer.member(EntryType::Symlink, &format!("l{number}"), &target, &[]);
                    }
                }],
            );
        });
    };
    configured("a long PATH", "Env", json!([format!("PATH={}", ":".repeat(4_000_000))]));
    configured("a PATH of links", "Env", json!([format!("PATH={}", "l0:".repeat(1_300_000))]));
    configured("a long command", "Cmd", json!(vec![""; 1_300_000]));
    configured("a deep configuration", "Extra", json!(vec![json!([]); 1_300_000]));
    assert_bounded("an unknown list in the configuration", "", |folder| {
        let mut config = config(&ENTRYPOINT, &[]);
        config["extra"] = json!(vec![json!([]); 1_300_000]);
        image_of_layers(folder, config, vec![|_: &mut Layer| {}]);
    });
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

#[test]
fn many_layers() {
    let layers = |count: usize| {
        move |folder: &Path| image_of_layers(folder, config(&ENTRYPOINT, &[]), vec![|_: &mut Layer| {}; count])
    };
    assert_bounded("many layers", "", layers(500));
    assert_bounded("too many layers", "513 layers", layers(512));
}
