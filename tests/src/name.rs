//! Names for cgroups, pins and temporary directories of tests. A name contains the process id of
//! its owner, so that the next run finds orphans.

use std::{
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

const PREFIX: &str = "mesh-test-";

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Returns a new name `mesh-test-<pid>-<n>`.
pub fn unique() -> String {
    format!(
        "{PREFIX}{}-{}",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Returns the process id in a name that begins with a [`unique`] one.
pub fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

/// Whether a name is of this form and its process is gone.
pub fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_contains_the_process_id_of_its_owner() {
        assert_eq!(owner(&unique()), Some(process::id()));
        assert_eq!(owner(&format!("{}-x7Yz", unique())), Some(process::id()));
        assert_eq!(owner("mesh-test-turns"), None);
        assert_eq!(owner("mesh-agent"), None);
    }

    #[test]
    fn only_names_of_dead_processes_are_orphans() {
        assert!(!is_orphan(&unique()));
        assert!(!is_orphan("mesh-agent"));
        // Above the largest process id that Linux gives out (PID_MAX_LIMIT, 2^22).
        assert!(is_orphan("mesh-test-4194305-1"));
    }
}
