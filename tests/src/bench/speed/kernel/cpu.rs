//! Reads the CPU time of cgroups, which other load of the machine changes little.

use std::fs;

use crate::cgroup::Cgroup;

/// Returns the CPU time of all processes of a cgroup, including those that have ended, microseconds.
pub fn microseconds(cgroup: &Cgroup) -> u64 {
    let text =
        fs::read_to_string(cgroup.path().join("cpu.stat")).expect("every cgroup2 has a cpu.stat");
    usage(&text).expect("cpu.stat has usage_usec")
}

fn usage(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_user_and_system_time() {
        assert_eq!(
            usage("usage_usec 29\nuser_usec 22\nsystem_usec 7\n"),
            Some(29)
        );
        assert_eq!(usage("user_usec 22\n"), None);
    }
}
