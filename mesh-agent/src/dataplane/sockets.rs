//! Reads and repairs the rows of sockets and the counts that they are part of, in parallel to the
//! data plane.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use mesh_common::{
    abi::{AffinityKey, AffinityRow, ClientRows, ShareKey, SocketRow, maps},
    settle::Request,
};

use super::{Counts, Error, maps::Maps, sys};

/// Name of the program that carries out [requests](Request).
pub(super) const PROGRAM: &str = "settle";

/// SOCKETS, and the backends and services that its rows count for.
pub struct Sockets {
    pub(super) maps: Arc<Maps>,
    pub(super) program: OwnedFd,
}

impl Sockets {
    /// Returns all rows, by the cookie of their socket.
    pub fn rows(&self) -> Result<Vec<(u64, SocketRow)>, Error> {
        self.maps.of(maps::SOCKETS).scan()
    }

    /// Returns the counts of the first `backends` and `services`.
    pub fn counts(&self, backends: usize, services: usize) -> Result<Counts, Error> {
        Ok(Counts {
            backends: self.maps.backends().entries(backends)?,
            services: self
                .maps
                .of(maps::LOAD)
                .range(0, services)?
                .into_iter()
                .map(|(_, load)| load)
                .collect(),
            shares: self.maps.of(maps::SHARES).scan()?.into_iter().collect(),
            quotas: self.quotas()?,
        })
    }

    fn quotas(&self) -> Result<BTreeMap<u32, ClientRows>, Error> {
        let rows = maps::QUOTAS.capacity() as usize;
        let quotas = self.maps.of(maps::QUOTAS);
        let used = quotas.filtered(rows, |used| *used != [0; 4])?;
        Ok(used.into_iter().collect())
    }

    /// Removes a row of SHARES that counts nothing and is no longer used by connects.
    pub fn drop_share(&self, key: &ShareKey) -> Result<(), Error> {
        self.maps.of(maps::SHARES).delete(key)
    }

    /// Returns the session affinity of clients.
    pub fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, Error> {
        self.maps.of(maps::AFFINITY).scan()
    }

    /// Removes a row of AFFINITY unless it was used after it was read.
    pub fn unbind(&self, key: &AffinityKey, row: &AffinityRow) -> Result<(), Error> {
        let affinity = self.maps.of(maps::AFFINITY);
        if affinity.get(key)? == Some(*row) && affinity.delete_known(key)? {
            self.settle(Request::Affinity {
                client: row.owner,
                rows: 1,
            })?;
        }
        Ok(())
    }

    /// Lets the kernel carry out a request.
    pub fn settle(&self, request: Request) -> Result<(), Error> {
        sys::run(self.program.as_fd(), request.words()).map_err(|source| {
            let action = "run the program that settles rows".to_owned();
            Error {
                map: maps::SOCKETS.name,
                action,
                source,
            }
        })
    }
}
