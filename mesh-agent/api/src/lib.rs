//! The control socket of the agent: HTTP and JSON, so that `curl --unix-socket` works too.
//!
//! ```text
//! View ──► server ──► access ──► connection_limits ══ unix socket ══ client ──► meshctl
//!          routes     by user and group              peer         errors that say what to do
//!             └────────────── types ───────────────────────┘
//! ```
//!
//! The types are in `mesh_core`.

pub mod access;
pub mod client;
pub mod connection_limits;
mod failure;
pub mod group;
mod peer;
pub mod server;
mod unix_socket;
pub mod view;

#[cfg(any(test, feature = "fixture"))]
pub mod fixture;

pub use mesh_core::api::{suggestions, types};
use mesh_core::model;
