//! The filter of destinations in front of SERVICES: one bit for each of 65,536 classes of
//! addresses, set where an address of the class is a frontend. Takes an address, returns the bit.
//! Most connects of a node go elsewhere, and end here.
//!
//! A class is a network, not an address: services share few networks (a cluster's range of service
//! addresses), so the number of services does not matter.

use crate::{addr::Addr, hash::GOLDEN};

/// Returns the word of ADDRESS_FILTER and the bit in it for an address: for its /24 if it is IPv4,
/// else for its /64.
#[inline(always)]
pub const fn place(addr: &Addr) -> (u32, u64) {
    let words = addr.v6_words();
    let network = if addr.is_v4() {
        u32::from_be(words[3]) >> 8
    } else {
        words[0].wrapping_mul(GOLDEN).rotate_left(15) ^ words[1]
    };
    let class = network.wrapping_mul(GOLDEN) >> 16;
    (class >> 6, 1 << (class & 63))
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::abi::maps;

    fn of(text: &str) -> (u32, u64) {
        place(&Addr::from(text.parse::<IpAddr>().unwrap()))
    }

    #[test]
    fn a_class_is_a_network() {
        assert_eq!(of("10.96.0.1"), of("10.96.0.254"));
        assert_ne!(of("10.96.0.1"), of("10.96.1.1"));
        assert_eq!(of("fd00:96::1"), of("fd00:96::ffff:1"));
        assert_ne!(of("fd00:96::1"), of("fd00:97::1"));
        assert_ne!(of("fd00:96::1"), of("fd00:96:0:1::1"));
    }

    #[test]
    fn every_place_is_in_the_map_and_neighbours_spread() {
        let mut seen = std::collections::BTreeSet::new();
        for net in 0..=u16::MAX {
            let (word, bit) = of(&std::format!("10.{}.{}.1", net >> 8, net & 255));
            assert!(word < maps::ADDRESS_FILTER.capacity() && bit.is_power_of_two());
            seen.insert((word, bit));
        }
        // Random places would give 41,427.
        assert!(
            seen.len() > 50_000,
            "{} classes for 65,536 neighbouring networks",
            seen.len()
        );
    }
}
