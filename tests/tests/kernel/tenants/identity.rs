//! Client identity: the cgroup that the node's manager created for a pod or unit, including all
//! cgroups below it.

use std::collections::BTreeSet;

use aya::maps::{HashMap, Map};
use bytemuck::cast;
use mesh_common::abi::{SocketRow, maps};
use mesh_tests::{Client, Node, Server, pinned, place::Place, service};

use super::id;

const VIP: &str = "10.96.0.10:80";

/// Starts the agent after the test has created cgroups, and serves one endpoint.
fn shop(node: &mut Node) -> Server {
    node.start_agent();
    let server = node.echo_server("a");
    node.write(
        "cart.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&server),
    );
    node.wait_until_served("shop/cart", &[&server]);
    server
}

/// Returns the clients of the open sockets.
fn clients(node: &Node) -> BTreeSet<u32> {
    let map = Map::HashMap(pinned::map(&node.directories().pins, maps::SOCKETS.name));
    let sockets: HashMap<_, u64, [u8; size_of::<SocketRow>()]> =
        map.try_into().expect("SOCKETS has rows of this size");
    sockets
        .iter()
        .map(|row| cast::<_, SocketRow>(row.expect("no socket is closed meanwhile").1).client)
        .collect()
}

/// A process with an open stream to the service.
fn connected(place: &Place) -> Client {
    let mut client = Client::start(place);
    assert_eq!(client.open_streams(VIP, 1).total_answers(), 1);
    client
}

#[test]
fn cgroups_below_a_clients_own_are_that_client() {
    let mut node = Node::setup().prepare();
    let _server = shop(&mut node);
    let client = node.place().below("app.service");
    let [one, other] = ["one", "system.slice"].map(|name| client.below(name));
    let deeper = other.below("a.slice");
    let _open = [&client, &one, &other, &deeper].map(connected);
    assert_eq!(clients(&node), [id(&client)].into());
}

#[test]
fn pods_below_one_slice_are_two_clients() {
    let mut node = Node::setup().prepare();
    let slice = node.place().below("kubepods.slice");
    let burstable = slice.below("kubepods-burstable.slice");
    let _server = shop(&mut node);
    // Created after the agent has scanned the cgroups.
    let pods = ["1", "2"].map(|uid| burstable.below(&format!("kubepods-burstable-pod{uid}.slice")));
    let containers = pods
        .each_ref()
        .map(|pod| pod.below("cri-containerd-0.scope"));
    let _open = containers.each_ref().map(connected);
    assert_eq!(clients(&node), pods.each_ref().map(id).into());
}

#[test]
fn a_cgroup_that_is_created_later_is_found() {
    let mut node = Node::setup().prepare();
    let _server = shop(&mut node);
    let slice = node.place().below("system.slice");
    let units = ["one.service", "two.service"].map(|unit| slice.below(unit));
    mesh_tests::wait::until(
        "the agent to scan the cgroups again",
        mesh_tests::node::PATIENCE,
        || {
            let _open = units.each_ref().map(connected);
            clients(&node) == units.each_ref().map(id).into()
        },
    );
}
