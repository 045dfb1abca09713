//! The harness: everything a test needs to act out a node, with real cgroups, namespaces and sockets.
//!
//! ```text
//! need ──► name, sweep, turn ──► cgroup + netns = place ──► node ── agent process, files, API
//!                                                      └──► pod   (a place of its own, joined by veth)
//!                                                      └──► client (a process in a place) ──► server (a thread)
//! ```
//!
//! A scenario reads as a script:
//!
//! ```no_run
//! # use mesh_tests::{Node, service};
//! let node = Node::start();
//! let cart = node.server("cart-1");
//! node.write("cart.yaml", service("shop/cart").address("10.96.0.10").tcp(80).endpoint(&cart));
//! node.wait_until_served("shop/cart", &[&cart]);
//! let report = node.client().tcp("10.96.0.10:80").times(100);
//! assert_eq!(report.total_answers(), 100);
//! ```
//!
//! A node has a network namespace of its own without a way out, so an address that nothing translates leads nowhere
//! instead of into a real network. Everything is named after the process that made it ([`name`]), taken down when
//! it goes out of scope, and swept by the next run where a run was killed ([`sweep`]).

pub mod api;
pub mod bench;
pub mod binary;
pub mod bpftool;
pub mod cgroup;
pub mod client;
pub mod hole;
pub mod kubernetes;
pub mod manifest;
pub mod name;
pub mod need;
pub mod netns;
pub mod nobody;
pub mod node;
pub mod outcome;
pub mod pinned;
pub mod place;
pub mod pod;
pub mod program;
pub mod server;
pub mod sweep;
pub mod turn;
pub mod wait;

pub use client::{Client, Report};
pub use kubernetes::Object;
pub use manifest::{Manifest, service};
pub use node::Node;
pub use pod::Pod;
pub use server::Server;
