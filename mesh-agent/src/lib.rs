//! The agent: files in, kernel maps out.
//!
//! ```text
//! source ──► model ──► desired ──► plan ──► dataplane ──► kernel maps
//!  files      valid     compile()   diff     one trait     (read by mesh-ebpf)
//!             types     is pure     is pure  (kernel, memory, faulty)
//!
//!            health: asks endpoints whether they work, for `desired`
//!            stale: closes the sockets of backends that left
//!            agent: the one task that owns the state and drives the arrows above
//!            api ── cli / metrics: read what the agent publishes and the kernel counts
//! ```
//!
//! Modules are listed in the order in which data flows; `table` is what services and rows are kept
//! in, `logging` what all of them write to, with `printable` text, `usage` how command lines are
//! read; `lock`, `private` and `open` keep a second agent and other users out.

pub mod logging;
pub mod usage;
pub mod config;
pub mod model;
pub mod table;
pub mod lock;
pub mod private;
pub mod open;
pub mod printable;
mod similar;
pub mod source;
pub mod health;
pub mod desired;
pub mod dataplane;
pub mod stale;
pub mod agent;
pub mod api;
pub mod metrics;
pub mod cli;
