//! Writes the rows of the self-probe, and reads what the programs recorded of it.
//!
//! ```text
//! SERVICES: probe address, port, protocol ──► id and backend at capacity + n ──► listener of the agent
//! ```

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
};

use bytemuck::Zeroable as _;
use mesh_common::abi::{
    BackendRow, FrontendKey, ServiceRow, SocketRow, backend_state, maps, service_flags,
};

use super::{
    Error,
    maps::Maps,
    probe_rows::{is_probe, places},
    sys,
};
use crate::desired::Capacity;

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
