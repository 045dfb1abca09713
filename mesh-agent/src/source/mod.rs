//! Sources of configuration: each watches what it reads, and sends it as whole snapshots
//! (`SourceUpdate`).
//!
//! ```text
//! watch ──► mesh_files::dir ──► mesh_core::source ──► SourceUpdate
//!  when      bytes of files      decides, pure
//!  to read
//! ```

pub mod watch;

pub use mesh_core::source::{
    Serve, ServiceDir, ServiceDirError, SourceUpdate, bound_refused, dir, frontend_owners, merge,
    nested_services, settings,
};
