//! Where configuration comes from: files in watched directories.
//!
//! ```text
//! watch ──► scan ──► dir ──► file ──► document ──► native   ──► claims ──► join ──► merge ──► admit ──► Update
//!  when      bytes    what    one      tree with    manifest     who        services  all       what they
//!  to look   of all   is      file     lines        (through     owns what  and their sources   may have
//!            files    good                          field,value)            endpoints
//! ```
//!
//! From `file` to `merge` everything is pure. `dir` chooses object by object between what a file says and what it said
//! when that was last good, and `memory` keeps that for the next agent.

mod address_families;
mod admission;
mod annotation_value;
mod conflicts;
mod digest;
pub mod dir;
mod document;
mod duration;
mod field;
mod file;
pub mod frontend_owners;
mod join;
pub mod last_good;
mod manifest;
mod merge;
mod native;
pub mod nested_services;
mod object;
mod port;
mod scan;
mod timed_fs;
mod traffic;
mod value;
pub mod watch;

pub(crate) use self::value::is_name;

/// What the settings file is read with, too.
pub(crate) mod settings {
    pub(crate) use super::{
        document::{Document, Problem, Value, parse},
        duration::duration,
        field::Field,
        value::number,
    };
}

#[cfg(test)]
mod tests;
