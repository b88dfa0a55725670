//! The fakes that a rehearsal runs against: GitHub, a container registry, and the HTTP server with faults
//! under them; and a scripted server for tests. An oracle shares no code with what it judges, so this
//! crate depends on neither `xtask` nor `oci`.

pub mod digest;
pub mod github;
pub mod message;
pub mod names;
pub mod registry;
pub mod sample_image;
pub mod script;
pub mod server;
pub mod tls;
