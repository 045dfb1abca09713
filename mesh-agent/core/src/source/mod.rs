//! Turns the bytes of files into whole snapshots of the configuration (`Update`).
//!
//! ```text
//! scan ──► dir ──► file ──► document ──► native   ──► conflicts ──► join ──► merge ──► admission ──► Update
//!  bytes    last    one      tree with    manifest     one owner     services  all       allowed
//!  of all   good    file     lines        (through     per front     and their sources   addresses
//!  files    objects                       form)        end           endpoints
//! ```
//!
//! For each object, `dir` chooses between its present and its last good version; `last_good` is the
//! form in which the versions in force are stored for the next agent.

mod address_families;
mod admission;
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
mod merge;
mod native;
pub mod nested_services;
mod object;
mod port;
pub mod scan;
pub mod schema;
mod serve;
mod service_dir;
mod setting;
mod traffic;
mod value;

pub use self::{
    serve::Serve,
    service_dir::{ServiceDir, ServiceDirError, Source},
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
