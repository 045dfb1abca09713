//! Costs of Cilium's program, which were measured on another machine. They are scaled by the cost of
//! an empty program there and here, so that a faster machine does not look like a faster program.
//!
//! Source: the programs of Cilium's public sources, compiled and loaded with 10,000 services of 10
//! backends, measured with `bpf_stats` on Linux 6.18 with two processors on 2026-11-20, medians of
//! interleaved rounds; nanoseconds.

use super::names::{NEW_UDP, TCP, TCP_ONE, UDP};

/// Name in tables.
pub const NAME: &str = "Cilium (published anchor, scaled)";

/// Measured cost of a call of `connect4`, nanoseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Anchor {
    /// Cost above that of an empty program.
    pub net: f64,
    /// Cost of the empty program.
    pub empty: f64,
}

/// One service; one UDP socket connects repeatedly.
pub const UDP_HOT: Anchor = Anchor {
    net: 79.0,
    empty: 36.0,
};

/// A service drawn from 10,000, TCP: connect, echo, close.
pub const TCP_RANDOM: Anchor = Anchor {
    net: 2163.0,
    empty: 67.0,
};

/// All anchors that are shown: the clients' loop, how services are chosen, and the cost with 10,000
/// services.
pub const ALL: [(&str, &str, Anchor); 8] = [
    (UDP, "hot", UDP_HOT),
    (
        UDP,
        "random",
        Anchor {
            net: 446.0,
            empty: 36.0,
        },
    ),
    (
        NEW_UDP,
        "hot",
        Anchor {
            net: 906.0,
            empty: 47.0,
        },
    ),
    (
        NEW_UDP,
        "random",
        Anchor {
            net: 1841.0,
            empty: 47.0,
        },
    ),
    (
        TCP,
        "hot",
        Anchor {
            net: 1122.0,
            empty: 67.0,
        },
    ),
    (TCP, "random", TCP_RANDOM),
    (
        TCP_ONE,
        "hot",
        Anchor {
            net: 1122.0,
            empty: 67.0,
        },
    ),
    (TCP_ONE, "random", TCP_RANDOM),
];

impl Anchor {
    /// Returns the cost on a machine where an empty program costs `empty`, nanoseconds.
    pub fn scaled(self, empty: f64) -> f64 {
        self.net * empty / self.empty
    }

    /// Returns the ratio of a cost `net` to this one, each relative to the empty program of its machine.
    pub fn ratio(self, net: f64, empty: f64) -> f64 {
        net / self.scaled(empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_half_the_speed_changes_no_ratio() {
        let at_home = TCP_RANDOM.ratio(1000.0, 67.0);
        assert!((at_home - 1000.0 / 2163.0).abs() < 1e-9);
        assert!((TCP_RANDOM.ratio(2000.0, 134.0) - at_home).abs() < 1e-9);
        assert!((UDP_HOT.scaled(72.0) - 158.0).abs() < 1e-9);
    }
}
