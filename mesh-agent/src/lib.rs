//! The daemon: reads service files and writes kernel maps.
//!
//! ```text
//! source ──► mesh_core: model ──► desired ──► plan ──► dataplane ──► kernel maps
//!  watches              valid     compile()   diff     one trait     (read by mesh-ebpf)
//!  files                types     is pure     is pure  (kernel, memory, faulty)
//!
//!            health: probes endpoints, for `desired`
//!            stale: closes sockets to removed backends
//!            self_probe: connects through the programs, to see that they serve
//!            confinement: gives up capabilities and system calls
//!            namespaces: does the work of stale in other network namespaces, in a separate process
//!            agent: the task that owns the state and runs the steps above
//!            mesh_api / metrics: show the state of the agent and the counters
//! ```
//!
//! Modules are listed in the order in which data flows. `logging` is the log of all modules; `lock`
//! keeps a second agent out. What is pure is in `mesh_core`, the access to files in `mesh_files`.

use mesh_api as api;
use mesh_core::{desired, doctor, duration, hash, model, printable, similar_names, table};
use mesh_files::{mounts, private_files, safe_open};

pub mod logging;
pub mod lock;
pub mod source;
pub mod health;
pub mod dataplane;
pub mod stale;
pub mod self_probe;
pub mod confinement;
pub mod namespaces;
pub mod config;
pub mod agent;
pub mod metrics;
