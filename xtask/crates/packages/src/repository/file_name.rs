//! Names of files that packages give, before one is a path or a line of a list.

use anyhow::{Result, ensure};

/// Checks a part of a file's name that a package gives: in a path or in a line of a list it stays what it is.
pub fn part_of_name(text: &str) -> Result<&str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.~_".contains(&byte);
    let is_sane = (1..=200).contains(&text.len()) && !text.starts_with(['.', '-']);
    ensure!(is_sane && text.bytes().all(is_allowed), "{text:?} cannot be part of a package's file name");
    Ok(text)
}
