//! The pure part of the mesh: reads documents into services, compiles services into the rows of the
//! kernel maps, and plans the writes. No runtime, no system calls, no kernel programs: the time, the
//! bytes of files and the rows in the kernel are arguments.
//!
//! ```text
//! source ──► model ──► desired ──► plan ──► dataplane
//!  bytes      valid     compile()   diff     the trait, and maps in memory that decide connects
//!  of files   types                          with the code of the kernel programs
//!
//!            api: types of the control socket; state: texts for the next agent
//!            doctor: facts about agent and node to findings
//! ```
//!
//! Modules are listed in the order in which data flows. `table` is the map type of services and
//! rows; `usage` parses command lines, and `man_pages` describes them; `printable` makes text safe
//! to show; `similar_names` finds what a user may have meant; `duration` parses durations such as
//! `500ms`.

pub mod usage;
pub mod man_pages;
pub mod model;
pub mod table;
pub mod duration;
pub mod hash;
pub mod printable;
pub mod similar_names;
pub mod source;
pub mod desired;
pub mod dataplane;
pub mod api;
pub mod doctor;
pub mod state;
