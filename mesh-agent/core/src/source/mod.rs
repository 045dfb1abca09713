//! Turns the bytes of files into whole snapshots (`SourceUpdate`), and merges the snapshots of all
//! sources.
//!
//! ```text
//! scan ──► dir ──► file ──► document ──► native   ──► conflicts ──► join ──► SourceUpdate
//!  bytes    last    one      tree with    manifest     one owner     services
//!  of all   good    file     lines        (through     per front     and their
//!  files    objects                       form)        end           endpoints
//!
//! SourceUpdate of each source ──► merge ──► admission ──► nested_services ──► Update
//! ```
//!
//! For each object, `dir` chooses between its present and its last good version; `last_good` is the
//! form in which the versions in force are stored for the next agent.

mod address_families;
mod admission;
pub mod cluster;
mod conflicts;
mod contents;
pub mod digest;
pub mod dir;
mod document;
mod draft;
mod duration;
mod error_limit;
mod field;
pub mod file;
mod file_version;
mod form;
mod frontend_address;
pub mod frontend_owners;
mod join;
mod kubernetes_objects;
pub mod last_good;
mod manifest;
pub mod merge;
mod native;
pub mod nested_services;
mod object;
mod parallel;
mod port;
pub mod scan;
pub mod schema;
mod serve;
mod service_dir;
mod source_update;
mod setting;
mod traffic;
mod time_pattern;
mod uncertain;
mod value;

pub use self::{
    error_limit::refused as bound_refused,
    object::{Key, Kind},
    serve::Serve,
    service_dir::{ServiceDir, ServiceDirError, Source},
    source_update::{Definitions, SourceUpdate},
};

/// Items that the reader of the settings file shares.
pub mod settings {
    pub use super::{
        document::{Document, Problem, Value, parse},
        duration::duration,
        field::Field,
        value::number,
    };
}

#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
#[cfg(test)]
mod tests;
