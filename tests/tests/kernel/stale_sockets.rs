//! Sockets of a removed endpoint: how soon they are closed, and what the search costs.

use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData};
use bytemuck::{Zeroable, cast};
use mesh_common::abi::{SocketRow, capacity, maps};
use mesh_tests::{
    Client, Node, Pod,
    client::SocketId,
    node::{PATIENCE, SETTLE},
    pinned, service, wait,
};

/// Longest time, in the best round, from the edit of a file until the last socket is closed.
const CLOSED: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;
const SOCKETS: usize = 20;
/// Most CPU time for thirty steps of a ramp. One read of a full SOCKETS takes about 40 ms, and the
/// sweep of missing sockets reads it a few times meanwhile.
const STEPS: Duration = Duration::from_millis(800);

/// Open sockets of a client that are connected to the service.
struct Open {
    client: Client,
    sockets: Vec<SocketId>,
}

impl Open {
    fn by(client: Client) -> Self {
        let mut open = Self {
            client,
            sockets: Vec::new(),
        };
        for _ in 0..SOCKETS {
            open.connect(Client::udp_socket, "10.96.0.10:53");
            let stream = open.connect(Client::tcp_socket, "10.96.0.10:80");
            open.client
                .receive(stream)
                .expect("a server sends its name");
        }
        open
    }

    fn connect(&mut self, make: fn(&mut Client, &str) -> SocketId, to: &str) -> SocketId {
        let socket = make(&mut self.client, "0.0.0.0:0");
        self.client
            .connect(socket, to)
            .expect("the service has an endpoint");
        self.sockets.push(socket);
        socket
    }

    /// Returns whether all sockets are closed. A closed socket reports its error only once.
    fn are_closed(&mut self) -> bool {
        let Self { client, sockets } = self;
        sockets.retain(|&socket| match client.receive_now(socket) {
            Err(error) if error == "EAGAIN" => true,
            ended => {
                assert_eq!(ended, Err("ECONNABORTED".into()));
                false
            }
        });
        sockets.is_empty()
    }
}

/// Measures the time from the edit of a file until the last socket is closed, in consecutive rounds.
fn expect_soon_closed(flags: &str, rows: u64) {
    let node = Node::setup().alone().flags(flags).start();
    let [one, two] = [1, 2].map(|number| Pod::start(&node, number));
    let [a, b] = ["a", "b"].map(|name| two.echo_server(name));
    let cart = || {
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .udp(53)
            .with("closeStaleTcp: true")
    };
    node.write("cart.yaml", cart().endpoint(&a));
    fill_sockets(&node, rows);
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let (leaving, coming) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            node.wait_until_served("shop/cart", &[leaving]);
            let mut open = [Open::by(node.client()), Open::by(one.client())];
            let left = Instant::now();
            node.write("cart.yaml", cart().endpoint(coming));
            wait::until("the sockets to be closed", PATIENCE, || {
                open.iter_mut().all(Open::are_closed)
            });
            left.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("closed after {took:?}");
    // The best round counts, because other load can only make a round longer.
    assert!(took[0] <= CLOSED, "{took:?}");
}

#[test]
fn sockets_of_a_removed_endpoint_are_closed_within_100_ms() {
    expect_soon_closed("--resync-interval 30s", 0);
}

#[test]
fn sockets_of_a_removed_endpoint_are_closed_within_100_ms_when_the_table_is_full() {
    // A long interval, because the sweep deletes rows without sockets.
    expect_soon_closed(
        "--resync-interval 1h",
        u64::from(capacity::SOCKETS) - 8 * SOCKETS as u64,
    );
}

type Bytes = [u8; size_of::<SocketRow>()];

#[test]
fn a_socket_that_reconnects_is_closed_each_time_its_endpoint_is_removed() {
    let node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = || service("shop/cart").address("10.96.0.10").udp(53);
    node.write("cart.yaml", cart().endpoint(&a));
    let mut client = node.client();
    let socket = client.udp_socket("0.0.0.0:0");
    for (leaving, coming) in [(&a, &b), (&b, &a), (&a, &b), (&b, &a)] {
        node.wait_until_served("shop/cart", &[leaving]);
        client
            .connect(socket, "10.96.0.10:53")
            .expect("the service has an endpoint");
        node.write("cart.yaml", cart().endpoint(coming));
        let end = wait::until_some("the socket to be closed", SETTLE, || {
            client
                .receive_now(socket)
                .err()
                .filter(|error| error != "EAGAIN")
        });
        assert_eq!(end, "ECONNABORTED");
    }
}

/// Adds this number of rows without a tracked backend to SOCKETS.
fn fill_sockets(node: &Node, rows: u64) {
    let map = Map::HashMap(pinned::map(&node.directories().pins, maps::SOCKETS.name));
    let mut map: HashMap<MapData, u64, Bytes> = map.try_into().expect("a hash of these sizes");
    let row = cast::<_, Bytes>(SocketRow::zeroed());
    for number in 0..rows {
        // The kernel has no cookies this large.
        map.insert(1 << 62 | number, row, 0).expect("there is room");
    }
}

#[test]
fn the_steps_of_a_ramp_do_not_read_the_sockets() {
    let node = Node::setup().alone().flags("--resync-interval 1h").start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .with("slowStart: {alpha: 0.01, tick: 100ms}");
    node.write("cart.yaml", cart.clone().weighted(&a, 100));
    node.wait_until_served("shop/cart", &[&a]);
    fill_sockets(&node, capacity::SOCKETS.into());
    node.write("cart.yaml", cart.weighted(&a, 100).weighted(&b, 100));
    node.wait_until_served("shop/cart", &[&a, &b]);
    let weight = || {
        node.port("shop/cart")
            .endpoints
            .iter()
            .map(|it| it.effective_weight)
            .min()
    };
    let (weight_before, cpu_before) = (weight(), node.agent_cpu());
    wait::pass(Duration::from_secs(3));
    let (spent, weight_after) = (node.agent_cpu() - cpu_before, weight());
    println!(
        "{spent:?} of processor time in 3 s, while the weight went from {weight_before:?} to {weight_after:?}"
    );
    assert!(weight_after > weight_before, "the ramp made no steps");
    assert!(spent <= STEPS, "{spent:?}");
}
