//! Capabilities of this process, and privileges that it drops.

use std::fs;

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// A capability is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "mesh-agent needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to load its programs: run it as root"
)]
pub struct Missing;

/// Effective capabilities.
#[derive(Clone, Copy)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Returns those of this process.
    pub fn effective() -> Self {
        Self::read(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    pub(crate) fn read(status: &str) -> Self {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(
            line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
                .unwrap_or(0),
        )
    }

    fn has(self, capability: u32) -> bool {
        self.0 & (1 << capability) != 0
    }

    /// Fails if programs cannot be loaded and attached. `CAP_SYS_ADMIN` includes `CAP_BPF` and
    /// `CAP_PERFMON` (capabilities(7)). Without `CAP_PERFMON` the verifier refuses loops over the
    /// entries of a row.
    pub fn check(self) -> Result<(), Missing> {
        let loads = self.has(CAP_BPF) && self.has(CAP_PERFMON) || self.has(CAP_SYS_ADMIN);
        if self.has(CAP_NET_ADMIN) && loads {
            Ok(())
        } else {
            Err(Missing)
        }
    }

    /// Whether other network namespaces can be entered.
    pub fn enter_namespaces(self) -> bool {
        self.has(CAP_SYS_ADMIN)
    }

    /// Whether the network namespaces of other users' processes can be found.
    pub fn see_processes(self) -> bool {
        self.has(CAP_SYS_PTRACE)
    }
}

/// Drops core dumps, which would contain what the agent has read, tracing by other processes, and
/// privileges from files that the agent executes.
pub fn give_up() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: &str = "Name:\tx\nCapEff:\t000001ffffffffff\n";
    pub(crate) const THREE: &str = "CapEff:\t000000c000001000\n";
    pub(crate) const WITHOUT_PTRACE: &str = "CapEff:\t000001fffff7ffff\n";

    #[test]
    fn three_capabilities_are_needed() {
        let suffice = |status: &str| Capabilities::read(status).check().is_ok();
        assert!(suffice(ALL) && suffice(THREE) && suffice(WITHOUT_PTRACE));
        assert!(!suffice("CapEff:\t0000008000001000\n"));
        assert!(!suffice("CapEff:\t0000000000000000\n"));
    }
}
