//! The limits that hold for the headers of all layers of an image together.

use crate::limits::{EXTENSIONS_BYTES, MEMBERS, RECORDS};

/// What the layers of an image have taken of their limits so far.
#[derive(Debug, Default)]
pub struct Spent {
    /// Members, and the headers that extend them.
    pub members: usize,
    extensions_bytes: u64,
    records: usize,
}

impl Spent {
    pub(super) fn count_member(&mut self) -> Result<(), String> {
        self.members += 1;
        if self.members > MEMBERS {
            return Err(format!("the layers have more than {MEMBERS} members, which is the limit"));
        }
        Ok(())
    }

    pub(super) fn count_extension(&mut self, size_bytes: u64) -> Result<(), String> {
        self.extensions_bytes += size_bytes;
        if self.extensions_bytes > EXTENSIONS_BYTES {
            return Err(format!(
                "the long names and PAX headers have more than {EXTENSIONS_BYTES} bytes, which is the limit"
            ));
        }
        Ok(())
    }

    pub(super) fn count_record(&mut self) -> Result<(), String> {
        self.records += 1;
        if self.records > RECORDS {
            return Err(format!("the layers have more than {RECORDS} PAX records, which is the limit"));
        }
        Ok(())
    }
}
