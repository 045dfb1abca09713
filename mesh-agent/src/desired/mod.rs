//! From the model to the rows of the kernel maps. Pure: nothing here touches the world.

mod compile;
mod free;
mod frontends;
pub mod plan;
mod slots;
mod traffic;
pub mod vips;

#[cfg(test)]
pub(crate) mod fixture;

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use mesh_common::abi::{BackendRow, FrontendKey, ServiceRow, Slot, backend_state, protocol, service_flags};

pub use self::{
    compile::{CapacityError, Override, Target, World, compile, port_identity},
    frontends::{Frontend, Reach, active, frontends, takers},
};

/// One ordered map per kernel map: printable, comparable, and complete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    /// SERVICES
    pub services: BTreeMap<FrontendKey, ServiceRow>,
    /// SLOTS
    pub slots: BTreeMap<u32, Slot>,
    /// BACKENDS
    pub backends: BTreeMap<u32, BackendRow>,
    /// NAMES: service id → `namespace/name:port/PROTOCOL`
    pub names: BTreeMap<u32, String>,
}

/// One line per row, for golden cases and debugging.
impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, name) in &self.names {
            writeln!(f, "name {id} {name}")?;
        }
        for (key, row) in &self.services {
            let ServiceRow { key: _, id, slot_base, slot_count, flags, affinity_seconds, .. } = row;
            write!(f, "service {} id {id} slots {slot_base}+{slot_count}", frontend(key))?;
            if *flags & service_flags::LOCAL != 0 {
                write!(f, " local")?;
            }
            if *affinity_seconds > 0 {
                let client = if *flags & service_flags::AFFINITY_BY_CGROUP == 0 { "namespace" } else { "cgroup" };
                write!(f, " affinity {affinity_seconds} s per {client}")?;
            }
            if *flags & service_flags::TRACK != 0 && key.protocol == protocol::TCP {
                write!(f, " closed when stale")?;
            }
            writeln!(f)?;
        }
        for (index, Slot { backend, alias, threshold, link }) in &self.slots {
            if *link != 0 {
                writeln!(f, "slot {index} link to {backend}+{alias}")?;
                continue;
            }
            write!(f, "slot {index} backend {backend}")?;
            match backend == alias {
                true => writeln!(f)?,
                false => writeln!(f, " share {:.6} else {alias}", f64::from(*threshold) / 2_f64.powi(32))?,
            }
        }
        for (index, row) in &self.backends {
            let BackendRow { addr, port, state, service, generation: _, weight, drain_seconds } = row;
            let address = SocketAddr::new((*addr).into(), u16::from_be(*port));
            let state = match *state {
                backend_state::ACTIVE => "active",
                backend_state::DRAINING => "draining",
                backend_state::DOWN => "down",
                _ => "retired",
            };
            write!(f, "backend {index} {address} service {service} weight {weight} {state}")?;
            match drain_seconds {
                0 => writeln!(f)?,
                seconds => writeln!(f, " drains {seconds} s")?,
            }
        }
        Ok(())
    }
}

/// `address:port/PROTOCOL` of a frontend.
pub fn frontend(key: &FrontendKey) -> String {
    let name = if key.protocol == protocol::TCP { "TCP" } else { "UDP" };
    format!("{}/{name}", SocketAddr::new(key.addr.into(), u16::from_be(key.port)))
}
