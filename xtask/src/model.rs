//! The pure shelf: names, versions, digests, recipes and records. Nothing in here touches the
//! world; a test (`tests/shelves.rs`) forbids processes, sockets, files, the environment and the
//! clock in these files.

/// In JSON a checked type is the text that it parses from and displays as.
macro_rules! text_form {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

pub mod binary;
pub mod build_info;
pub mod build_output;
pub mod builder;
pub mod challenge;
pub mod check;
pub mod cpio;
pub mod debian;
pub mod digest;
pub mod dist;
pub mod dockerfile;
pub mod endpoint;
pub mod file_tree;
pub mod github;
pub mod go_version;
pub mod guest;
pub mod image_name;
pub mod image_repository;
pub mod image_tag;
pub mod kernel_module;
pub mod layer;
pub mod layer_members;
pub mod linkage;
pub mod metadata;
pub mod oci;
pub mod oci_image;
pub mod publication;
pub mod recipe;
pub mod referrer;
pub mod refusal;
pub mod release_name;
pub mod release_notes;
pub mod remedy;
pub mod repository;
pub mod sbom;
pub mod secret;
pub mod shell;
pub mod step;
pub mod tracking;
pub mod upstream_ref;
pub mod url;
pub mod version;

#[cfg(test)]
pub mod sample_image;
#[cfg(test)]
pub mod samples;
