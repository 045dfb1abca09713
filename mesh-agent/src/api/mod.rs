//! The control socket of the agent: HTTP and JSON, so that `curl --unix-socket` works too.
//!
//! ```text
//! View ──► server ──► connection_limits ══ unix socket ══ client ──► cli
//!          routes                                    errors that say what to do
//!             └────────────── types ───────────────────────┘
//! ```

pub mod client;
pub(crate) mod connection_limits;
pub(crate) mod suggestions;
pub mod server;
mod unix_socket;
pub mod types;
pub(crate) mod view;

#[cfg(test)]
pub(crate) mod fixture;
