//! Whether this process may load and attach programs.

use std::fs;

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// A capability is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "mesh-agent needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to load its programs: run it as root"
)]
pub struct Missing;

/// Checks the effective capabilities. `CAP_SYS_ADMIN` includes `CAP_BPF` and `CAP_PERFMON` (capabilities(7)); without the
/// latter the verifier takes no loop over the entries of a row.
pub fn check() -> Result<(), Missing> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if suffice(&status) { Ok(()) } else { Err(Missing) }
}

fn suffice(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let has = |capability: u32| effective & (1 << capability) != 0;
    has(CAP_NET_ADMIN) && (has(CAP_BPF) && has(CAP_PERFMON) || has(CAP_SYS_ADMIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_capabilities_are_needed() {
        assert!(suffice("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(suffice("CapEff:\t000000c000001000\n"));
        assert!(!suffice("CapEff:\t0000008000001000\n"));
        assert!(!suffice("CapEff:\t0000000000000000\n"));
    }
}
