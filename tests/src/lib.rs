//! The test harness: builds a node with real cgroups, namespaces and sockets.
//!
//! ```text
//! requirements ──► name, sweep, machine_lock ──► cgroup + netns = place ──► node ── agent process, files, API
//!                                                      └──► pod   (its own place, joined by veth)
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
//! A node has its own network namespace without a route out, so an address that is not translated
//! is unreachable instead of leading into a real network. Everything is named after the process
//! that created it ([`name`]), removed when it goes out of scope, and swept by the next run if a
//! run was killed ([`sweep`]).

pub mod api;
pub mod api_server;
pub mod bench;
pub mod binary;
pub mod blackhole;
pub mod bpftool;
pub mod cgroup;
pub mod client;
pub mod command_result;
pub mod kubernetes;
pub mod machine;
pub mod machine_lock;
pub mod manifest;
pub mod name;
pub mod netns;
pub mod node;
pub mod pinned;
pub mod place;
pub mod pod;
pub mod process;
pub mod program;
pub mod requirements;
pub mod server;
pub mod soak;
pub mod sweep;
pub mod unprivileged;
pub mod wait;

pub use api_server::ApiServer;
pub use client::{Client, ConnectReport};
pub use kubernetes::Object;
pub use manifest::{Manifest, service};
pub use node::{HOOKS, Node};
pub use pod::Pod;
pub use server::Server;
