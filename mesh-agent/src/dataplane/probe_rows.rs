//! Rows of the self-probe: services at addresses that no service can have, each with one backend.
//! They lie behind the rows that settings size, and [`dump`](super::Dataplane::dump) leaves them out,
//! so that only the probe knows of them.
//!
//! ```text
//! SERVICES: probe address, port, protocol ──► id and backend at capacity + n ──► listener of the agent
//! ```

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
};

use bytemuck::Zeroable as _;
use mesh_common::{
    abi::{
        BackendRow, FrontendKey, ServiceRow, SocketRow, backend_state,
        capacity::Rows,
        maps::{self, MapDef},
        service_flags,
    },
    filter,
};

use super::{Error, maps::Maps, sys};
use crate::{desired::Capacity, model::probe_address, table::Table};

/// Rows in addition to those that settings ask for: TCP and UDP, IPv4 and IPv6.
const ROWS: u32 = 4;

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

fn places() -> impl Iterator<Item = (u32, u64)> {
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

/// One service of the probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeService {
    /// Where the probe connects.
    pub frontend: SocketAddr,
    /// One of [`protocol`](mesh_common::abi::protocol).
    pub protocol: u8,
    /// Where the connect arrives.
    pub listener: SocketAddr,
}

/// Access to the rows of the probe.
pub struct ProbeRows {
    pub(super) maps: Arc<Maps>,
    pub(super) capacity: Capacity,
}

impl ProbeRows {
    /// Replaces the services of the probe, those of earlier agents included.
    pub fn write(&self, services: &[ProbeService]) -> Result<(), Error> {
        let rows: Vec<_> = (0..).zip(services).collect();
        let first = |(_, error)| error;
        let backends: Vec<_> = rows
            .iter()
            .map(|&(number, service)| self.backend(number, service))
            .collect();
        self.maps.backends().take(&backends).map_err(first)?;
        let filter = self.maps.of(maps::ADDRESS_FILTER);
        for (word, bit) in places() {
            let bits = filter.get(&word)?.unwrap_or_default() | bit;
            filter.update(&[(word, bits)]).map_err(first)?;
        }
        let services: Vec<_> = rows
            .iter()
            .map(|&(number, service)| self.service(number, service))
            .collect();
        let map = self.maps.of(maps::SERVICES);
        let stale = map.scan()?.into_iter().map(|(key, _)| key);
        let mut stale =
            stale.filter(|key| is_probe(key) && services.iter().all(|(wanted, _)| wanted != key));
        stale.try_for_each(|key| map.delete(&key))?;
        map.update(&services).map_err(first)
    }

    fn backend(&self, number: u32, service: &ProbeService) -> (u32, BackendRow) {
        let row = BackendRow {
            addr: service.listener.ip().into(),
            port: service.listener.port().to_be(),
            state: backend_state::ACTIVE,
            service: self.capacity.services + number,
            weight: 1,
            ..BackendRow::zeroed()
        };
        (self.capacity.backends + number, row)
    }

    fn service(&self, number: u32, service: &ProbeService) -> (FrontendKey, ServiceRow) {
        let key = FrontendKey {
            addr: service.frontend.ip().into(),
            port: service.frontend.port().to_be(),
            protocol: service.protocol,
            pad: 0,
        };
        let row = ServiceRow {
            key,
            id: self.capacity.services + number,
            slot_base: self.capacity.backends + number,
            slot_count: 1,
            flags: service_flags::CONTIGUOUS,
            ..ServiceRow::zeroed()
        };
        (key, row)
    }

    /// Returns the row of SOCKETS of an open socket, if the programs recorded it.
    pub fn record(&self, cookie: u64) -> Result<Option<SocketRow>, Error> {
        self.maps.of(maps::SOCKETS).get(&cookie)
    }

    /// Returns whether the programs keep flows of an open UDP socket.
    pub fn has_flow(&self, socket: &impl AsRawFd) -> bool {
        // The kernel finds the storage of a socket by its descriptor.
        let key = u32::try_from(socket.as_raw_fd()).expect("an open descriptor is not negative");
        matches!(self.maps.of(maps::FLOWS).get(&key), Ok(Some(_)))
    }
}

/// Returns the cookie by which the programs know a socket.
pub fn cookie(socket: &impl AsFd) -> io::Result<u64> {
    /// `SO_COOKIE`, `include/uapi/asm-generic/socket.h`.
    const SO_COOKIE: libc::c_int = 57;
    sys::socket_word(socket.as_fd(), SO_COOKIE)
}

#[cfg(test)]
mod tests {
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
