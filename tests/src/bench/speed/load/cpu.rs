//! Which processor a process runs on.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Keeps the calling thread, and those that it starts, on one processor.
pub fn stay(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).expect("a processor that is there");
    }
}

/// First and last processor that this process may run on; the same one where there is only one.
pub fn two() -> [usize; 2] {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("every process may run somewhere");
    let may: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect();
    [may.first(), may.last()].map(|cpu| cpu.copied().unwrap_or(0))
}
