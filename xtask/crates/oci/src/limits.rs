//! The limits on everything that is read from an image, in one place. An image may be hostile, and one of
//! up to 1 GB is to be read within 256 MB of memory and 30 seconds, or refused with the limit that it exceeds.

/// A manifest, index or configuration; those in use are far smaller.
pub const DOCUMENT_BYTES: u64 = 4 << 20;
/// Images in the indexes of a layout, in all.
pub const INDEX_ENTRIES: usize = 10_000;
/// Indexes inside indexes.
pub const INDEX_DEPTH: usize = 4;
/// Indexes read from one layout.
pub const INDEXES: usize = 64;
/// The same in bytes, `index.json` left out. Parsed, a document can have fifteen times its size.
pub const INDEXES_BYTES: u64 = 4 << 20;

/// Members of an archive that holds an image. An image has a few dozen.
pub const ARCHIVE_MEMBERS: usize = 10_000;
/// Engines stop at 127.
pub const LAYERS: usize = 512;
/// All layers of an image together, stored or uncompressed. gzip packs a thousand to one.
pub const IMAGE_BYTES: u64 = 8 << 30;

/// Members of all layers together, with the headers that extend them. Debian's largest images have a third of this.
pub const MEMBERS: usize = 1_000_000;
/// Files, directories and links in an image.
pub const FILES: usize = 500_000;
/// All names, link targets and ELF strings that are kept of an image, together.
pub const TEXT_BYTES: usize = 48 << 20;
/// Names that are looked at to remove what whiteouts hide, over a whole image.
pub const REMOVAL_STEPS: usize = 5_000_000;
/// Bytes of all paths that are looked up while layers are laid over each other: deep paths cost time, however few
/// files they lead to.
pub const LOOKUP_BYTES: usize = 1 << 30;
/// The same for one path, which links can make long, for the search of a program on PATH, and for that of a program's
/// libraries.
pub const PATH_LOOKUP_BYTES: usize = 16 << 20;
/// What a look-up counts besides the bytes of the path: a short one takes time as well.
pub const LOOKUP_COST_BYTES: usize = 64;
/// Long names and PAX records in front of one member.
pub const EXTENSION_BYTES: u64 = 1 << 20;
/// The same in all layers together, and PAX records by number.
pub const EXTENSIONS_BYTES: u64 = 64 << 20;
pub const RECORDS: usize = 2_000_000;
/// `PATH_MAX` of Linux.
pub const PATH_BYTES: usize = 4096;
/// `MAXSYMLINKS` of Linux.
pub const SYMLINKS: usize = 40;

/// Of larger ELF files, only the beginning is read. A libc has a tenth of this.
pub const ELF_BYTES: u64 = 32 << 20;
/// Program headers of an ELF file.
pub const SEGMENTS: usize = 128;
/// Sections of an ELF file, and the name of each. Go writes about thirty.
pub const SECTIONS: usize = 512;
pub const SECTION_NAME_BYTES: usize = 64;
/// Entries of the dynamic section of an ELF file.
pub const DYNAMIC_ENTRIES: usize = 4096;
/// Libraries, or directories to search for them, that one ELF file names; and libraries that a program loads.
pub const LIBRARIES: usize = 256;
/// Directories for single processors (`riscv64-linux-gnu`) beside the libraries of an image.
pub const PROCESSORS: usize = 64;
/// A `#!` line that is longer is cut by the kernel: `BINPRM_BUF_SIZE`.
pub const SCRIPT_LINE_BYTES: usize = 256;
