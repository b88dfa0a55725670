//! Formats of container images, as the OCI image specification 1.1 and `docker save` define them:
//! digests, references, documents, layouts, layers, file trees, and the ELF files in them. Whatever
//! is read may be hostile, so every reader has bounds. Nothing here knows BuildKit, GitHub or sockets.

/// In JSON a checked type is the text that it parses from and displays as.
#[macro_export]
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

pub mod blobs;
pub mod digest;
pub mod docker_archive;
pub mod documents;
pub mod elf;
pub mod file_tree;
pub mod image_name;
pub mod layer;
pub mod layout;
pub mod limits;
pub mod loader;
pub mod reference;
pub mod referrers;

#[cfg(test)]
mod mutated_input;
#[cfg(test)]
mod properties;
