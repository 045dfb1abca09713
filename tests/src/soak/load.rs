//! The load: closed loops over TCP and UDP, and streams that stay open over all changes.

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

/// What clients saw in one round.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    pub answered: u64,
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
        let before = Ports::of(&acts.node);
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
        let refused = compare(&before, &Ports::of(&acts.node), &reports);
        Seen {
            answered: reports.iter().map(ConnectReport::total_answers).sum(),
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

/// Compares what clients saw with the counters. Returns the number of refused connects, which only
/// the last port may have.
fn compare(before: &Ports, after: &Ports, reports: &[ConnectReport; 3]) -> u64 {
    let refused = reports[2].errors.get("connect ECONNREFUSED").copied();
    let refused = refused.unwrap_or_default();
    for (at, report) in reports.iter().enumerate() {
        let (before, after) = (&before.0[at].counters, &after.0[at].counters);
        let allowed = match at {
            2 if refused > 0 => counts([("connect ECONNREFUSED", refused)]),
            _ => counts([]),
        };
        assert_eq!(report.errors, allowed, "port {at}");
        let more = |counter| after[counter] - before[counter];
        let counted = (
            more(Counter::Connects),
            after.refused() - before.refused(),
            more(Counter::Unrecorded),
        );
        let refused = allowed.values().sum();
        assert_eq!(counted, (report.total_answers(), refused, 0), "port {at}");
    }
    refused
}
