//! The number of services that the agent is designed for.

use std::time::{Duration, Instant};

use mesh_tests::{
    Client, Manifest, Node, Server, client::protocol::counts, manifest::document, node::SETTLE,
    service, wait,
};

const FILES: u8 = 100;
const SERVICES_A_FILE: u8 = 100;
const ENDPOINTS: u8 = 10;

/// The bounds allow for a debug build. Figures of an idle machine are in docs/performance.md.
const FIRST_LOAD: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 2 });
const HALF_OF_CHANGES: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(5)
} else {
    Duration::from_millis(80)
};
const SLOWEST_CHANGE: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(10)
} else {
    SETTLE
};
const CHANGES: usize = 40;
/// What a change of one of ten endpoints writes: the new backend, ten slots, the frontend, and the
/// backend that left.
const WRITES: &str = "writes=13 ";
const MEMORY_KIB: u64 = 80 * 1024;

/// Service `number` of file `file`, with endpoints where nothing listens.
fn filler(file: u8, number: u8) -> Manifest {
    let filler = service(&format!("scale/filler-{file}-{number}"))
        .address(&format!("10.98.{file}.{number}"))
        .tcp(80);
    (1..=ENDPOINTS).fold(filler, |filler, last| {
        filler.at(([10, file, number, last], 8080).into())
    })
}

/// A file of services.
fn file(number: u8) -> String {
    document(&fillers(number))
}

fn fillers(file: u8) -> Vec<Manifest> {
    (0..SERVICES_A_FILE)
        .map(|number| filler(file, number))
        .collect()
}

/// The file in the middle. One of its services has `last` and nine endpoints where nothing listens.
/// The next service is served by `server`.
fn middle(last: u8, server: &Server) -> String {
    let mut services = fillers(FILES / 2);
    services.pop();
    services.pop();
    let ten = service("scale/ten").address("10.96.0.11").tcp(80);
    let nine = (1..ENDPOINTS).fold(ten, |ten, last| ten.at(([10, 200, 0, last], 8080).into()));
    services.push(nine.at(([10, 200, 0, last], 8080).into()));
    services.push(
        service("scale/live")
            .address("10.96.0.10")
            .tcp(80)
            .endpoints([server]),
    );
    document(&services)
}

/// Returns the time from the rename of its file to the first answer of `server`.
fn change(
    node: &Node,
    client: &mut Client,
    file: &str,
    content: &str,
    server: &Server,
) -> Duration {
    let start = Instant::now();
    node.write(file, content);
    wait::until("the server to answer", SLOWEST_CHANGE, || {
        client.tcp("10.96.0.10:80").once().answers_of(server) == 1
    });
    start.elapsed()
}

#[test]
fn scale_ten_thousand_services_are_loaded_and_changed_in_time() {
    let mut node = Node::setup().alone().prepare();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let middle_name = format!("{}.yaml", FILES / 2);
    for number in 0..FILES {
        node.write(&format!("{number}.yaml"), file(number));
    }
    node.write(&middle_name, middle(ENDPOINTS, &a));

    let start = Instant::now();
    node.launch_agent();
    node.wait_until_ready(Duration::from_secs(60));
    let first_load = start.elapsed();
    let mut client = node.client();
    assert_eq!(
        client.tcp("10.96.0.10:80").once().answers,
        counts([("a", 1)])
    );

    let servers = [&b, &a];
    let mut changes: Vec<Duration> = (0..CHANGES)
        .map(|turn| {
            // A pause, so that the change is not one of a burst.
            wait::pass(Duration::from_millis(300));
            let server = servers[turn % 2];
            change(
                &node,
                &mut client,
                &middle_name,
                &middle(ENDPOINTS, server),
                server,
            )
        })
        .collect();
    changes.sort_unstable();
    let (half, slowest) = (changes[CHANGES / 2], changes[CHANGES - 1]);

    node.write(
        &middle_name,
        middle(ENDPOINTS + 1, servers[(CHANGES - 1) % 2]),
    );
    wait::until("the change of one endpoint", SETTLE, || {
        node.log().contains(WRITES)
    });
    let memory = node.agent_memory_kib();
    println!(
        "first load {first_load:?}; one change {half:?}, the slowest of {CHANGES} {slowest:?}; \
         agent memory {memory} KiB"
    );
    assert_eq!(
        node.services().len(),
        usize::from(FILES) * usize::from(SERVICES_A_FILE)
    );
    assert!(first_load <= FIRST_LOAD, "first load took {first_load:?}");
    assert!(half <= HALF_OF_CHANGES, "a change took {half:?}");
    assert!(
        memory <= MEMORY_KIB || cfg!(debug_assertions),
        "the agent holds {memory} KiB"
    );
}
