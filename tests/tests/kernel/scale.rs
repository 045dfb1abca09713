//! As many services as the agent is made for.

use std::time::{Duration, Instant};

use mesh_tests::{Manifest, Node, Server, client::protocol::counts, manifest::document, node::SETTLE, service, wait};

const FILES: u8 = 100;
const SERVICES_A_FILE: u8 = 100;
const ENDPOINTS: u8 = 10;

/// A debug build only has to come to an end.
const FIRST_LOAD: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 2 });
const ONE_CHANGE: Duration = if cfg!(debug_assertions) { Duration::from_secs(5) } else { SETTLE };
const MEMORY_KIB: u64 = 200 * 1024;

/// Service `number` of file `file`, with endpoints that nobody serves.
fn filler(file: u8, number: u8) -> Manifest {
    let filler = service(&format!("scale/filler-{file}-{number}")).address(&format!("10.98.{file}.{number}")).tcp(80);
    (1..=ENDPOINTS).fold(filler, |filler, last| filler.at(([10, file, number, last], 8080).into()))
}

/// A file of services.
fn file(number: u8) -> String {
    document(&fillers(number))
}

fn fillers(file: u8) -> Vec<Manifest> {
    (0..SERVICES_A_FILE).map(|number| filler(file, number)).collect()
}

/// The file in the middle; its last service is one that `server` serves.
fn middle(server: &Server) -> String {
    let mut services = fillers(FILES / 2);
    services.pop();
    services.push(service("scale/live").address("10.96.0.10").tcp(80).endpoints([server]));
    document(&services)
}

#[test]
fn scale_ten_thousand_services_are_loaded_and_changed_in_time() {
    let mut node = Node::setup().alone().prepare();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let middle_name = format!("{}.yaml", FILES / 2);
    for number in 0..FILES {
        node.write(&format!("{number}.yaml"), file(number));
    }
    node.write(&middle_name, middle(&a));

    let start = Instant::now();
    node.launch_agent();
    node.wait_until_ready(Duration::from_secs(60));
    let first_load = start.elapsed();
    let mut client = node.client();
    assert_eq!(client.tcp("10.96.0.10:80").once().answers, counts([("a", 1)]));
    assert_eq!(node.services().len(), usize::from(FILES) * usize::from(SERVICES_A_FILE));

    let start = Instant::now();
    node.write(&middle_name, middle(&b));
    wait::until("b to answer", ONE_CHANGE, || client.tcp("10.96.0.10:80").once().answers_of(&b) == 1);
    let one_change = start.elapsed();

    let memory = node.agent_memory_kib();
    println!("first load {first_load:?}, one change {one_change:?}, agent memory {memory} KiB");
    assert!(first_load <= FIRST_LOAD, "first load took {first_load:?}");
    assert!(one_change <= ONE_CHANGE, "one change took {one_change:?}");
    assert!(memory <= MEMORY_KIB || cfg!(debug_assertions), "the agent holds {memory} KiB");
}
