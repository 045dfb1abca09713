//! Clients of several tenants on one node: none can affect the others.

mod agreement;
mod all_at_once;
mod attack_variants;
mod attacks;
mod endpoint_shares;
mod full_size;
mod identity;
mod latency;
mod many_failures;
mod quotas;
mod shares;

use std::os::unix::fs::MetadataExt as _;

use mesh_common::client::short;
use mesh_tests::place::Place;

/// The client that processes in this cgroup belong to, if its parent holds clients.
fn id(client: &Place) -> u32 {
    short(client.cgroup.path().metadata().expect("it is there").ino())
}
