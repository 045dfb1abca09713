//! Files: reads directories of services, and stores what the next agent needs.
//!
//! ```text
//! safe_open ──► scan ──► mesh_core::source ──► dir ──► Update
//! timed_fs      bytes     decides, pure         │
//!                                               ▼
//!                          private_files ◄── last_good
//! ```
//!
//! `mounts` reads what is mounted where, and `inspect` what is wrong with a node.

pub mod dir;
pub mod inspect;
pub mod last_good;
pub mod mounts;
pub mod private_files;
pub mod safe_open;
pub mod scan;
pub mod timed_fs;

#[cfg(test)]
mod tests;
