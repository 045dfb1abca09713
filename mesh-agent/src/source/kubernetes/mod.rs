//! Watches the services of one cluster through its API server.
//!
//! ```text
//! client ──► watch (one task for each kind) ──► object ──► ClusterReader ──► SourceUpdate
//!                                                JSON         │
//!                                                             └──► state (file for the next agent)
//! ```
//!
//! While the API server is away, what it sent last stays in force. The state file makes that true for
//! the next agent as well.

mod client;
mod cluster;
mod failure;
mod follow;
mod object;
mod pace;
mod state;
mod watch;

pub use self::{cluster::Cluster, follow::run, state::State};
