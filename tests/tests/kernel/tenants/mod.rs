//! Clients of several tenants on one node: what one of them does to itself is not done to the others.

mod attacks;
mod full_size;
mod identity;
mod latency;
mod quotas;
mod shares;
mod votes;
mod ways;

use std::os::unix::fs::MetadataExt as _;

use mesh_common::client::short;
use mesh_tests::place::Place;

/// The client that processes in this cgroup belong to, if its parent holds clients.
fn id(client: &Place) -> u32 {
    short(client.cgroup.path().metadata().expect("it is there").ino())
}
