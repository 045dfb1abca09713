//! Connects through the attached programs as a client does, and checks that each of them did its
//! part: a program that is detached, or attached to another cgroup, is noticed although its link
//! looks well.
//!
//! ```text
//! sockets: of the agent, in its cgroup ──► steps: connect, send, receive ──► Pass: a result for each hook
//!                                      │ probe address                        ▲
//!                                      ▼                                      │
//!                               programs, rows of the probe ──► listener of the agent, on loopback
//! ```

mod family;
mod hook_state;
mod sockets;
mod steps;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::family::Family;
pub use self::{
    hook_state::{HookState, Pass, failing},
    sockets::{contains_agent, own as own_cgroup},
};
use crate::{
    dataplane::{Error, probe_services::ProbeRows},
    model::probe_address,
};

/// The probe: its rows in the maps, and the listeners to which they lead.
pub struct SelfProbe {
    rows: ProbeRows,
    families: Vec<Family>,
    /// Hooks that cannot be probed on this machine, with the reason.
    missing: Pass,
}

impl SelfProbe {
    /// Opens the listeners and writes the rows. A family without a loopback address is not probed.
    pub fn open(rows: ProbeRows) -> Result<Self, Error> {
        let mut missing = Pass::new();
        let mut families = Vec::new();
        let (v4, v6): (IpAddr, IpAddr) = (probe_address::V4.into(), probe_address::V6.into());
        for (number, hooks, probe, loopback) in [
            (4, family::V4, v4, Ipv4Addr::LOCALHOST.into()),
            (6, family::V6, v6, Ipv6Addr::LOCALHOST.into()),
        ] {
            match Family::open(hooks, probe, loopback) {
                Ok(family) => families.push(family),
                Err(error) => {
                    let reason = format!("IPv{number} is not available on loopback: {error}");
                    missing.extend(
                        hooks
                            .all()
                            .map(|hook| (hook, HookState::Unknown(reason.clone()))),
                    );
                }
            }
        }
        let probe = Self {
            rows,
            families,
            missing,
        };
        probe.repair()?;
        Ok(probe)
    }

    /// Returns the names of all hooks that are probed.
    pub fn hooks() -> impl Iterator<Item = &'static str> {
        let families = family::V4.all().chain(family::V6.all());
        families.chain(family::SHARED)
    }

    /// Writes the rows of the probe, in case another process changed them.
    pub fn repair(&self) -> Result<(), Error> {
        let services = self.families.iter().flat_map(Family::services);
        self.rows.write(&services.collect::<Vec<_>>())
    }

    /// Probes every hook once, with sockets of the cgroup of the agent. Takes some hundred microseconds when all is
    /// well, and less than three seconds when nothing answers.
    pub fn pass(&self) -> Pass {
        let mut pass = self.missing.clone();
        for family in &self.families {
            let hooks = family.hooks;
            let results = match sockets::open(family.kinds()) {
                Ok(sockets) => steps::steps(family, sockets, &self.rows),
                Err(error) => {
                    let reason = format!("cannot make a socket: {error}");
                    let result = |hook| (hook, HookState::Unknown(reason.clone()));
                    hooks.all().chain(family::SHARED).map(result).collect()
                }
            };
            merge(&mut pass, results);
        }
        pass
    }
}

/// Adds results to those of the same hooks; the worse one counts.
fn merge(pass: &mut Pass, results: Pass) {
    for (hook, result) in results {
        let before = pass.remove(hook).unwrap_or(HookState::Works);
        pass.insert(hook, before.and(result));
    }
}

#[cfg(test)]
mod tests;
