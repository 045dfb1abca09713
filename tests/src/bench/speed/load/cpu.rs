//! Which processor a process runs on.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Keeps the calling thread, and those that it starts, on one processor.
pub fn stay(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
            .expect("a processor that is there");
    }
}

/// Processors that this process may run on, at least one.
pub fn all() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("every process may run somewhere");
    (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect()
}

/// Two of them; the same one twice where there is only one.
pub fn two() -> [usize; 2] {
    let all = all();
    [all.first(), all.last()].map(|cpu| cpu.copied().unwrap_or(0))
}
