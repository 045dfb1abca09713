//! Binds threads to processors.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Binds the calling thread, and the threads that it starts, to one processor.
pub fn stay(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
            .expect("the processor exists");
    }
}

/// Returns the processors that this process may run on, at least one.
pub fn all() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("every process may run somewhere");
    (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect()
}

/// Returns two processors; the same one twice if there is only one.
pub fn two() -> [usize; 2] {
    let all = all();
    [all.first(), all.last()].map(|cpu| cpu.copied().unwrap_or(0))
}
