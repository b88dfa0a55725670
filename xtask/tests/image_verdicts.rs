//! What `cargo xtask verify-tini` says of images that are wrong, or only unusual, in one way each, and that the page for
//! people without Rust says the same.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "writes files and starts shells")]

#[path = "image_verdicts/by_hand.rs"]
mod by_hand;
mod support;
#[path = "image_verdicts/table.rs"]
mod table;

use fakes::sample_image::layer;

use crate::support::Scratch;
use crate::support::image::{failed, layout_of_tars};
use crate::table::{Row, of_configuration, of_docker_init, of_entrypoint, of_loader, of_script, of_tini};

#[test]
fn each_image_gets_its_verdict() {
    let scratch = Scratch::new("verdicts");
    let groups = [of_tini(), of_loader(), of_docker_init(), of_entrypoint(), of_script(), of_configuration()];
    let rows: Vec<Row> = groups.into_iter().flatten().collect();
    assert!(rows.len() >= 100, "the table has only {} images", rows.len());
    let mut wrong = Vec::new();
    for (number, (name, image, expected)) in rows.iter().enumerate() {
        let folder = scratch.path().join(number.to_string());
        let tars = [layer(&image.lower), layer(&image.upper)];
        layout_of_tars(&folder, &tars, image.config.clone());
        let (found, status) = failed(&[folder.to_str().expect("UTF-8")]);
        if found != *expected || status != Some(i32::from(!expected.is_empty())) {
            wrong.push(format!("{name}: {found:?} failed, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} images got a wrong verdict:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
