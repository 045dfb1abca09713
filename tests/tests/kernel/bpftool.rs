//! Output of bpftool.

use std::collections::BTreeSet;

use mesh_common::abi::maps;
use mesh_tests::{HOOKS, Node, bpftool, pinned};

#[test]
fn programs_and_maps_are_shown_by_their_names() {
    let node = Node::start();
    let pins = &node.directories().pins;
    let hooks: BTreeSet<_> = node
        .status()
        .hooks
        .into_iter()
        .map(|hook| hook.name)
        .collect();
    assert_eq!(hooks, HOOKS.map(str::to_owned).into());
    assert_eq!(bpftool::attached(&node.directories().cgroup), hooks);
    for name in [
        maps::SERVICES.name,
        maps::SLOTS.name,
        maps::BACKENDS.name,
        maps::LOAD.name,
        maps::COUNTERS.name,
        maps::NAMES.name,
        maps::SOCKETS.name,
    ] {
        let id = pinned::map(pins, name)
            .info()
            .expect("a pinned map has an id")
            .id();
        let shown = bpftool::bpftool(&["map", "show", "id", &id.to_string()]);
        assert_eq!(shown["name"], name, "{shown}");
    }
}
