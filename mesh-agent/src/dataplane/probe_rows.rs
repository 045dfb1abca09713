//! Tells the rows of the self-probe from others: services at addresses that no service can have,
//! each with one backend. They lie behind the rows that settings size, and
//! [`dump`](super::Dataplane::dump) leaves them out, so that only the probe knows of them.

use std::{collections::BTreeMap, net::IpAddr};

use mesh_common::{
    abi::{FrontendKey, ServiceRow, capacity::Rows, maps::MapDef},
    filter,
};

use crate::{desired::Capacity, model::probe_address, table::Table};

/// Rows in addition to those that settings ask for: TCP and UDP, IPv4 and IPv6.
pub(super) const ROWS: u32 = 4;

/// Returns the number of rows with which a map is created.
pub(super) fn rows_of(map: &MapDef, capacity: Capacity) -> u32 {
    capacity.of(map.rows)
        + match map.rows {
            Rows::Services | Rows::Backends => ROWS,
            Rows::Slots | Rows::Sockets | Rows::Fixed(_) | Rows::PerSocket => 0,
        }
}

/// Returns the bits of a word of ADDRESS_FILTER that let probes through.
pub(super) fn filter_bits(word: u32) -> u64 {
    let bits = places().filter(|(of, _)| *of == word);
    bits.fold(0, |bits, (_, bit)| bits | bit)
}

/// Returns the words of ADDRESS_FILTER and the bits of the probe's addresses.
pub(super) fn places() -> impl Iterator<Item = (u32, u64)> {
    let addresses: [IpAddr; 2] = [probe_address::V4.into(), probe_address::V6.into()];
    addresses
        .into_iter()
        .map(|address| filter::place(&address.into()))
}

/// Returns whether a frontend is one of the probe's.
pub(super) fn is_probe(key: &FrontendKey) -> bool {
    probe_address::is_probe(key.addr.into())
}

/// Clears the bits that only the probe needs in words of ADDRESS_FILTER. `services` are those of the
/// tables.
pub(super) fn hide_bits(
    filter: &mut BTreeMap<u32, u64>,
    services: &Table<FrontendKey, ServiceRow>,
) {
    for (word, bit) in places() {
        let mut others = services.keys().map(|key| filter::place(&key.addr));
        if let Some(bits) = filter.get_mut(&word)
            && others.all(|place| place != (word, bit))
        {
            *bits &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    fn row(address: &str) -> (FrontendKey, ServiceRow) {
        let key = FrontendKey {
            addr: address.parse::<IpAddr>().unwrap().into(),
            port: 0,
            protocol: 6,
            pad: 0,
        };
        (key, ServiceRow::zeroed())
    }

    #[test]
    fn bits_that_only_the_probe_needs_are_no_part_of_the_tables() {
        let (shop, beside) = (row("10.96.0.10"), row("192.0.0.9"));
        let ((word, bit), (other, its)) =
            (filter::place(&shop.0.addr), filter::place(&beside.0.addr));
        let probes: BTreeMap<u32, u64> = places().collect();
        let mut read = probes.clone();
        *read.entry(word).or_default() |= bit;
        hide_bits(&mut read, &[shop].into());
        read.retain(|_, bits| *bits != 0);
        assert_eq!(read, [(word, bit)].into());
        let mut read = probes;
        hide_bits(&mut read, &[beside].into());
        read.retain(|_, bits| *bits != 0);
        assert_eq!(read, [(other, its)].into(), "a service in its network");
    }
}
