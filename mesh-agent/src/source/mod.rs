//! Sources of configuration: each watches what it reads, and sends it as whole snapshots
//! (`SourceUpdate`).
//!
//! ```text
//! watch ──► mesh_files::dir ──► mesh_core::source ──► SourceUpdate
//!  when      bytes of files      decides, pure
//!  to read
//!
//! kubernetes ─────────────► mesh_core::source::cluster ──► SourceUpdate
//!  objects of an API server  the last good version of each
//! ```

pub mod kubernetes;
pub mod watch;

pub use mesh_core::source::{
    Key, Kind, Serve, ServiceDir, ServiceDirError, Source, SourceUpdate, bound_refused, cluster,
    dir, frontend_owners, merge, nested_services, settings,
};
