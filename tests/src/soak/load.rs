//! The load: closed loops over TCP and UDP, and streams that stay open over all changes.

use std::collections::BTreeMap;

use mesh_common::counter::Counter;
use mesh_core::api::types::ServicePort;

use super::acts::{Acts, CART, CART_UDP, RARE};
use crate::{Client, ConnectReport, Node, client::protocol::counts};

/// Streams that are open all the time.
pub const STREAMS: u32 = 50;

/// Client processes.
pub struct Load {
    tcp: Client,
    udp: Client,
    rare: Client,
    streams: Client,
}

/// Results of the clients in one round.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    pub answered: u64,
    pub closed: u64,
    pub refused: u64,
    pub beats: u64,
}

impl Load {
    /// Starts the clients, and opens the streams.
    pub fn start(acts: &Acts) -> Self {
        let [tcp, udp, rare, mut streams] = [(); 4].map(|()| acts.node.client());
        let opened = streams.open_streams(CART, STREAMS);
        assert_eq!(
            (opened.errors.clone(), opened.total_answers()),
            (counts([]), u64::from(STREAMS))
        );
        Self {
            tcp,
            udp,
            rare,
            streams,
        }
    }

    /// Connects while `act` returns true; then compares what clients saw with what was counted.
    pub fn round(&mut self, acts: &mut Acts, mut act: impl FnMut(&mut Acts) -> bool) -> Seen {
        let (before, changes) = (Ports::of(&acts.node), acts.made.changes);
        let tcp = self.tcp.tcp(CART).again_and_again();
        let udp = self.udp.udp(CART_UDP).again_and_again();
        let rare = self.rare.tcp(RARE).again_and_again();
        let mut beats = 0;
        while act(acts) {
            let beat = self.streams.beat();
            assert_eq!(
                (beat.errors.clone(), beat.total_answers()),
                (counts([]), u64::from(STREAMS)),
                "streams"
            );
            beats += u64::from(STREAMS);
        }
        let reports = [tcp.stop(), udp.stop(), rare.stop()];
        acts.settle();
        let changes = acts.made.changes - changes;
        let (closed, refused) = compare(&before, &Ports::of(&acts.node), &reports, changes);
        Seen {
            answered: reports.iter().map(ConnectReport::total_answers).sum(),
            closed,
            refused,
            beats,
        }
    }
}

/// The ports under load: `shop/cart` over TCP and over UDP, and `shop/rare`.
struct Ports([ServicePort; 3]);

impl Ports {
    fn of(node: &Node) -> Self {
        Self([
            node.port_of("shop/cart", 80, "TCP"),
            node.port_of("shop/cart", 53, "UDP"),
            node.port("shop/rare"),
        ])
    }
}

/// Errors that clients may see, by port: a UDP socket that waits for the answer of an endpoint that
/// leaves is closed, and a service without endpoints refuses.
const ALLOWED: [Option<&str>; 3] = [
    None,
    Some("answer ECONNABORTED"),
    Some("connect ECONNREFUSED"),
];

/// Compares what clients saw with the counters, after this number of changes. Returns the number of
/// UDP sockets that were closed, and of refused connects.
fn compare(
    before: &Ports,
    after: &Ports,
    reports: &[ConnectReport; 3],
    changes: u64,
) -> (u64, u64) {
    let mut failed = [0; 3];
    for (at, report) in reports.iter().enumerate() {
        let counted = ALLOWED[at].and_then(|name| report.errors.get_key_value(name));
        let allowed: BTreeMap<_, _> = counted
            .into_iter()
            .map(|(name, count)| (name.clone(), *count))
            .collect();
        assert_eq!(report.errors, allowed, "port {at}");
        failed[at] = allowed.values().sum();
    }
    let [_, closed, refused] = failed;
    // The client has one socket at a time.
    assert!(closed <= changes, "{closed} closed after {changes} changes");
    for (at, report) in reports.iter().enumerate() {
        let (before, after) = (&before.0[at].counters, &after.0[at].counters);
        let more = |counter| after[counter] - before[counter];
        let counted = (
            more(Counter::Connects),
            after.refused() - before.refused(),
            more(Counter::Unrecorded),
        );
        let expected = match at {
            2 => (report.total_answers(), refused, 0),
            _ => (report.total_answers() + failed[at], 0, 0),
        };
        assert_eq!(counted, expected, "port {at}");
    }
    (closed, refused)
}
