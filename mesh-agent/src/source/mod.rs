//! Where configuration comes from: files in watched directories.
//!
//! ```text
//! watch ──► scan ──► dir ──► file ──► document ──► native   ──► claims ──► join ──► Update
//!  when      bytes    what    one      tree with    manifest     who        services
//!  to look   of all   is      file     lines        (through     owns what  and their
//!            files    good                          field,value)            endpoints
//! ```
//!
//! From `file` to `join` everything is pure.

mod claims;
pub mod dir;
mod document;
mod duration;
mod embedded;
mod field;
mod file;
mod join;
mod manifest;
mod native;
mod port;
mod scan;
mod traffic;
mod value;
pub mod watch;

#[cfg(test)]
mod tests;
