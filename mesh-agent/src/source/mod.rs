//! Sources of configuration: each watches what it reads, and sends it as whole snapshots (`Update`).
//!
//! ```text
//! watch ──► mesh_files::dir ──► mesh_core::source ──► Update
//!  when      bytes of files      decides, pure
//!  to read
//! ```

pub mod watch;

pub use mesh_core::source::{
    Serve, ServiceDir, ServiceDirError, dir, frontend_owners, nested_services, settings,
};
