//! Layers over each other, and what hostile ones get.

use fakes::sample_image::{Item, layer};

use super::*;
use crate::limits::MEMBERS;

fn file(path: &'static str, content: &str) -> Item {
    Item::File(path, 0o644, content.into())
}

fn tree(layers: &[&[Item]]) -> Result<FileTree, String> {
    let mut tree = FileTree::default();
    layers.iter().try_for_each(|items| tree.apply(layer(items).as_slice()))?;
    Ok(tree)
}

fn names(layers: &[&[Item]]) -> String {
    let tree = tree(layers).expect("an honest image");
    tree.entries().map(|(path, _)| path).collect::<Vec<_>>().join(" ")
}

fn refusal(items: &[Item]) -> String {
    tree(&[items]).expect_err("a hostile image")
}

#[test]
fn a_whiteout_hides_what_lower_layers_have_and_nothing_of_its_own() {
    let lower = [file("a/x", ""), file("a/y", ""), file("a/sub/z", "")];
    assert_eq!(names(&[&lower, &[file("a/.wh.x", "")]]), "a a/sub a/sub/z a/y");
    assert_eq!(names(&[&lower, &[file("a/.wh.sub", "")]]), "a a/x a/y");
    assert_eq!(names(&[&lower, &[file("a/x", "new"), file("a/.wh.x", "")]]), "a a/sub a/sub/z a/x a/y");
    assert_eq!(names(&[&lower, &[file(".wh.a", ""), file("a/new", "")]]), "a a/new");
    assert_eq!(names(&[&lower, &[file("a/new", ""), file(".wh.a", "")]]), "a a/new");
}

#[test]
fn an_opaque_folder_hides_all_of_lower_layers_wherever_it_stands() {
    let lower = [file("a/x", ""), file("a/sub/y", ""), file("b", "")];
    for upper in [[file("a/.wh..wh..opq", ""), file("a/new", "")], [file("a/new", ""), file("a/.wh..wh..opq", "")]] {
        assert_eq!(names(&[&lower, &upper]), "a a/new b");
    }
}

#[test]
fn a_file_takes_the_place_of_a_folder_and_the_other_way_round() {
    assert_eq!(names(&[&[file("a/x", "")], &[file("a", "")]]), "a");
    assert_eq!(names(&[&[file("a", "")], &[Item::Folder("a/"), file("a/x", "")]]), "a a/x");
    assert_eq!(names(&[&[file("a/x", "")], &[Item::Folder("a/")]]), "a a/x");
}

#[test]
fn merged_usr_is_walked_through_and_a_folder_over_a_link_replaces_it() {
    let lower = [Item::Folder("usr/bin/"), Item::Symlink("bin", "usr/bin")];
    assert_eq!(names(&[&lower, &[file("bin/x", "")]]), "bin usr usr/bin usr/bin/x");
    assert_eq!(names(&[&lower, &[Item::Folder("bin/"), file("bin/x", "")]]), "bin bin/x usr usr/bin");
}

#[test]
fn links_are_resolved_inside_the_root() {
    let tree = tree(&[&[
        file("usr/bin/tini", "x"),
        Item::Symlink("sbin", "/usr/sbin"),
        Item::Symlink("usr/sbin/docker-init", "../../../../usr/bin/tini"),
        Item::Symlink("one", "two"),
        Item::Symlink("two", "/one"),
        Item::Symlink("gone", "nowhere/at/all"),
        Item::HardLink("usr/bin/again", "./usr/bin/tini"),
    ]])
    .expect("an honest image");
    let resolve =
        |path| tree.resolve(path).map(|(place, node)| (place, node.size_bytes)).map_err(|end| end.to_string());
    assert_eq!(resolve("/sbin/docker-init"), Ok(("/usr/bin/tini".to_owned(), 1)));
    assert_eq!(resolve("/usr/bin/again"), Ok(("/usr/bin/again".to_owned(), 1)));
    assert_eq!(resolve("/../../usr/./bin//tini"), Ok(("/usr/bin/tini".to_owned(), 1)));
    assert_eq!(resolve("/one"), Err("/one is a link that leads in a circle".to_owned()));
    assert_eq!(resolve("/gone"), Err("/gone leads to /nowhere/at/all, which is not in the image".to_owned()));
    assert_eq!(resolve("/usr/bin/tini/x"), Err("/usr/bin/tini/x is not in the image".to_owned()));
    assert_eq!(tree.children("/sbin").collect::<Vec<_>>(), ["docker-init"]);
    assert_eq!(tree.resolve("/usr/bin/tini").map(|(_, node)| (node.uid, node.gid, node.modified_epoch)), Ok((0, 1, 2)));
}

#[test]
fn a_hard_link_outlives_its_first_name() {
    let lower = [file("a", "content"), Item::HardLink("b", "a")];
    let tree = tree(&[&lower, &[file(".wh.a", "")]]).expect("an honest image");
    assert_eq!(tree.resolve("b").map(|(_, node)| node.content), Ok((0, 0)));
}

#[test]
fn names_that_lead_out_are_refused() {
    assert!(refusal(&[file("../etc/passwd", "")]).contains("leads out of its directory by `..`"));
    assert!(refusal(&[file("a/../../b", "")]).contains("`..`"));
    assert!(refusal(&[file("a", ""), Item::HardLink("b", "../a")]).contains("`..`"));
    assert!(refusal(&[Item::HardLink("b", "a")]).contains("no file before it"));
    assert!(refusal(&[Item::Folder("a/"), Item::HardLink("b", "a")]).contains("no file before it"));
    assert!(refusal(&[file("a/.wh..", "")]).contains("names nothing"));
    assert!(refusal(&[file("a", ""), file("a/b", "")]).contains("is a file"));
    assert!(refusal(&[file("./", "")]).contains("is not a directory"));
    let circle = [Item::Symlink("a", "b"), Item::Symlink("b", "a"), file("a/x", "")];
    assert!(refusal(&circle).contains("in a circle"));
}

/// A GNU long name or a PAX header with that many bytes announced and delivered.
fn huge(kind: tar::EntryType, size_bytes: u64) -> impl Read {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size_bytes);
    header.set_cksum();
    std::io::Cursor::new(header.as_bytes().to_vec()).chain(std::io::repeat(b'a').take(size_bytes))
}

#[test]
fn a_gigabyte_of_header_is_refused_after_a_megabyte_of_it() {
    for kind in [
        tar::EntryType::GNULongName,
        tar::EntryType::GNULongLink,
        tar::EntryType::XHeader,
        tar::EntryType::XGlobalHeader,
    ] {
        let refusal = FileTree::default().apply(huge(kind, 1 << 30)).expect_err("a hostile layer");
        assert!(refusal.contains("larger than 1048576 bytes, which is the limit"), "{refusal}");
    }
}

#[test]
fn headers_are_counted_over_all_layers_and_before_no_file() {
    let mut tar = tar::Builder::new(Vec::new());
    let value = "v".repeat(400_000);
    let append = |tar: &mut tar::Builder<Vec<u8>>| {
        tar.append_pax_extensions([("SCHILY.xattr.user.a", value.as_bytes())]).expect("is appended");
    };
    append(&mut tar);
    append(&mut tar);
    let two = tar.get_ref().clone();
    FileTree::default().apply(two.as_slice()).expect("is below the limit");
    append(&mut tar);
    let refusal = FileTree::default().apply(tar.get_ref().as_slice()).expect_err("is above the limit");
    assert!(refusal.starts_with("the headers of a member are larger than 1048576 bytes"), "{refusal}");
    let mut tree = FileTree::default();
    let refusal = (0..100).find_map(|_| tree.apply(two.as_slice()).err()).expect("is above the limit");
    assert_eq!(refusal, "the long names and PAX headers have more than 67108864 bytes, which is the limit");
}

#[test]
fn the_names_in_a_folder_are_listed_without_what_is_below() {
    let files = [file("a/b/c/d", ""), file("a/b-x", ""), file("a/b.x/y", ""), file("a0", ""), file("a/b0/z", "")];
    let tree = tree(&[&files]).expect("an honest image");
    assert_eq!(tree.children("/a").collect::<Vec<_>>(), ["b", "b-x", "b.x", "b0"]);
    assert_eq!(tree.children("/").collect::<Vec<_>>(), ["a", "a0"]);
    assert_eq!(tree.children("/none").count(), 0);
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let mut tar = tar::Builder::new(Vec::new());
    let long = format!("{}/file", "folder".repeat(30));
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, &long, std::io::empty()).expect("is appended");
    let records = [("path", "ä/b".as_bytes()), ("mtime", b"12.5"), ("uid", b"70000")];
    tar.append_pax_extensions(records).expect("is appended");
    header.set_path("short").expect("fits");
    header.set_cksum();
    tar.append(&header, std::io::empty()).expect("is appended");
    let bytes = tar.into_inner().expect("memory");
    let mut tree = FileTree::default();
    tree.apply(bytes.as_slice()).expect("an honest layer");
    assert!(tree.resolve(&long).is_ok());
    assert_eq!(tree.resolve("ä/b").map(|(_, node)| (node.modified_epoch, node.uid)), Ok((12, 70000)));
}

#[test]
fn a_layer_cut_anywhere_never_panics() {
    let whole = layer(&[file("a/x", "content"), Item::Symlink("b", "a"), Item::HardLink("c", "a/x")]);
    for length in 0..whole.len() {
        let _ = FileTree::default().apply(&whole[..length]);
    }
    FileTree::default().apply(&whole[..700]).expect_err("cut within a file");
}

fn refused_by(tree: &mut FileTree, items: &[Item]) -> String {
    tree.apply(layer(items).as_slice()).expect_err("exceeds a limit")
}

#[test]
fn each_limit_of_an_image_is_named_in_its_refusal() {
    let files = [file("a/x", ""), file("a/y", "")];
    let mut tree = FileTree::default();
    tree.spent.members = MEMBERS - 1;
    assert_eq!(refused_by(&mut tree, &files), "the layers have more than 1000000 members, which is the limit");
    let mut tree = FileTree { text_bytes: TEXT_BYTES - 3, ..FileTree::default() };
    assert_eq!(
        refused_by(&mut tree, &files),
        "the names in the image have more than 50331648 bytes, which is the limit"
    );
    let mut tree = FileTree { lookup_bytes: LOOKUP_BYTES - 1, ..FileTree::default() };
    assert!(refused_by(&mut tree, &files).contains("more than 1073741824 bytes of look-ups"));
    let mut tree = FileTree { lookup_bytes: LOOKUP_BYTES - 1, ..FileTree::default() };
    assert!(
        refused_by(&mut tree, &[file("a", ""), Item::HardLink("b", "a"), Item::HardLink("c", "a")])
            .contains("look-ups")
    );
}

#[test]
fn opaque_markers_without_end_are_refused_before_they_cost_much() {
    let mut tree = FileTree { removal_steps: REMOVAL_STEPS - 10, ..FileTree::default() };
    let items = [file("a/1", ""), file("a/2", ""), file("a/3", "")];
    let opaque: Vec<Item> = (0..4).map(|_| file("a/.wh..wh..opq", "")).collect();
    let refusal = refused_by(&mut tree, &items.into_iter().chain(opaque).collect::<Vec<_>>());
    assert_eq!(refusal, "its whiteouts hide or search more than 5000000 names, which is the limit");
    assert!(tree.removal_steps <= REMOVAL_STEPS + 4, "it stops at once");
}

#[test]
fn the_text_of_links_and_elf_files_counts_with_the_names() {
    use fakes::sample_image::{LOADER, RISCV, elf};
    let text_of = |item: Item| tree(&[&[item]]).expect("an honest image").text_bytes;
    assert_eq!(text_of(Item::Symlink("a", "bcd")), 4);
    let program = text_of(Item::File("a", 0o755, elf(RISCV, Some(LOADER), &["libc.so.6"])));
    assert!(program > 1 + LOADER.len() + "libc.so.6".len(), "{program}");
}

#[test]
fn one_path_that_links_make_long_is_given_up() {
    let honest = tree(&[&[file("a/b/c", "")]]).expect("an honest image");
    let mut left_bytes = 3 * LOOKUP_COST_BYTES + 8;
    assert_eq!(honest.resolve_within("/a/b/c", &mut left_bytes), Err(DeadEnd::TooMuch("/a/b/c".to_owned())));
}

#[test]
fn a_blank_field_of_a_header_is_zero() {
    let mut header = tar::Header::new_ustar();
    header.set_path("a").expect("fits");
    header.set_size(0);
    header.set_cksum();
    let mut tree = FileTree::default();
    tree.apply(&header.as_bytes()[..]).expect("an honest layer");
    let node = tree.resolve("a").expect("is there").1;
    assert_eq!((node.mode, node.uid, node.gid, node.modified_epoch), (0, 0, 0, 0));
}
