//! Behaviours of a Service that the tests of Kubernetes expect, and that some implementations get
//! wrong. The number in a test name is that of the behaviour. Each of the fourteen has at least one
//! test.

mod affinity;
mod dual_stack;
mod frontends;
mod hairpin;
mod local;
mod ports;
mod recreated;
mod refused;
mod removal;
mod spread;
mod terminating;
mod udp;
mod untouched;

use std::{collections::BTreeMap, fmt::Debug};

use mesh_tests::{Client, client::protocol::counts, node::SETTLE, wait};

/// A table of counts.
type Counts = BTreeMap<String, u64>;

/// Waits until the value is as expected, for as long as a change may take.
fn settled<T: PartialEq + Debug>(what: &str, expected: &T, look: impl FnMut() -> T) {
    wait::until_equal(what, SETTLE, expected, look);
}

/// Waits until a TCP connect reaches this server, and expects a hundred more to do so.
fn expect_tcp(client: &mut Client, to: &str, server: &str) {
    settled(to, &counts([(server, 1)]), || client.tcp(to).once().answers);
    assert_eq!(
        client.tcp(to).times(100).answers,
        counts([(server, 100)]),
        "{to}"
    );
}

/// Waits until a UDP connect reaches this server, and expects a hundred more to do so.
fn expect_udp(client: &mut Client, to: &str, server: &str) {
    settled(to, &counts([(server, 1)]), || client.udp(to).once().answers);
    assert_eq!(
        client.udp(to).times(100).answers,
        counts([(server, 100)]),
        "{to}"
    );
}

/// Waits until a TCP connect ends with this error, and expects a hundred more to do so.
fn expect_tcp_error(client: &mut Client, to: &str, error: &str) {
    settled(to, &counts([(error, 1)]), || client.tcp(to).once().errors);
    assert_eq!(
        client.tcp(to).times(100).errors,
        counts([(error, 100)]),
        "{to}"
    );
}

const REFUSED: &str = "connect ECONNREFUSED";
const UNREACHABLE: &str = "connect ENETUNREACH";
