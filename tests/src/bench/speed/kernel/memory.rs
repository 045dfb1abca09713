//! Reads the memory of maps as the kernel accounts it.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsFd, AsRawFd},
};

use aya::maps::MapInfo;

use crate::pinned::Held;

/// Returns the bytes of all maps that these programs use.
pub fn of_programs(programs: impl Iterator<Item = u32>) -> u64 {
    let maps = Held::now().maps_of(&programs.collect::<BTreeSet<_>>());
    maps.into_iter().filter_map(of_map).sum()
}

fn of_map(id: u32) -> Option<u64> {
    let fd = MapInfo::from_id(id).and_then(|info| info.fd()).ok()?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok()?;
    memlock(&text)
}

fn memlock(fdinfo: &str) -> Option<u64> {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_the_descriptor() {
        assert_eq!(
            memlock("map_type:\t1\nmemlock:\t5244544\nmap_id:\t7\n"),
            Some(5_244_544)
        );
        assert_eq!(memlock("map_type:\t1\n"), None);
    }
}
