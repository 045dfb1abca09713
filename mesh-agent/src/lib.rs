//! The agent: reads service files and writes kernel maps.
//!
//! ```text
//! source ──► model ──► desired ──► plan ──► dataplane ──► kernel maps
//!  files      valid     compile()   diff     one trait     (read by mesh-ebpf)
//!             types     is pure     is pure  (kernel, memory, faulty)
//!
//!            health: probes endpoints, for `desired`
//!            stale: closes sockets to removed backends
//!            agent: the task that owns the state and runs the steps above
//!            api ── cli / metrics: show the state of the agent and the counters
//! ```
//!
//! Modules are listed in the order in which data flows. `table` is the map type of services and
//! rows; `logging` is the log of all modules, with `printable` text; `usage` parses command lines;
//! `lock`, `private_files` and `safe_open` protect files against a second agent and other users;
//! `duration` and `mounts` parse text of users and of the kernel.

use mesh_api as api;
use mesh_core::{desired, duration, hash, model, printable, similar_names, table};
use mesh_files::{mounts, private_files, safe_open};

pub mod logging;
pub mod lock;
pub mod source;
pub mod health;
pub mod dataplane;
pub mod stale;
pub mod config;
pub mod agent;
pub mod metrics;
