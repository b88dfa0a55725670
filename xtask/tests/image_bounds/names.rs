//! Many, long and deep names, links and whiteouts.

use tar::EntryType;

use fakes::sample_image::{ENTRYPOINT, config};

use crate::support::Scratch;
use crate::written::{Layer, image, image_of_layers};
use crate::{assert_bounded, assert_layer_bounded, assert_refused, verify};

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
fn links_and_whiteouts() {
    let refused = |name: &str, why: &str, fill: &dyn Fn(&mut Layer)| {
        assert_refused(name, why, |folder| image(folder, fill));
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
    refused("the root as a link", "the root of a layer is not a directory", &|layer| {
        layer.member(EntryType::Symlink, "./", "usr", &[]);
    });
    refused("a directory that is a link to itself", "lead in a circle", &|layer| {
        layer.member(EntryType::Symlink, "opt", "opt", &[]);
        layer.file("opt/x");
    });
    refused("a directory below a file", "is used as a directory", &|layer| layer.file("usr/bin/tini/x/y"));
    for name in ["usr/bin/.wh.", "usr/bin/.wh..", "usr/bin/.wh..."] {
        refused(name, "names nothing", &|layer| layer.file(name));
    }
    let circle = |layer: &mut Layer| {
        for (name, target) in [("usr/sbin", "../sbin"), ("sbin", "usr/sbin")] {
            layer.member(EntryType::Symlink, name, target, &[]);
        }
    };
    assert_layer_bounded("sbin and usr/sbin lead to each other", "", circle);
    assert_layer_bounded("a file and a directory in turns", "", |layer| {
        for _ in 0..150_000 {
            layer.file("usr/lib/x");
            layer.member(EntryType::Directory, "usr/lib/x", "", &[]);
            layer.file("usr/lib/x/y");
        }
    });
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
