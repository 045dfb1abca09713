//! The socket the CLI talks to: HTTP and JSON, so that `curl --unix-socket` works too.
//!
//! ```text
//! View ──► server ──► connections ══ unix socket ══ client ──► cli
//!          routes     limits                        errors that say what to do
//!                    └──────────── types ─────────┘
//! ```

pub mod client;
pub(crate) mod connections;
pub(crate) mod near;
pub mod server;
mod socket;
pub mod types;
pub(crate) mod view;

#[cfg(test)]
pub(crate) mod fixture;
