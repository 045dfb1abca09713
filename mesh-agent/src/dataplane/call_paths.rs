//! Counts the paths of calls through the loaded programs.
//!
//! Linux 7.1 analyses, before it verifies a program, what each function reads and writes of its
//! callers' stacks: anew for every path of calls that leads to it, and at most 10,000 times. A
//! function that is called eight times in a row by one that is called eight times is analysed 64
//! times. <https://github.com/torvalds/linux/blob/master/kernel/bpf/liveness.c>, `analyze_subprog`

use std::collections::BTreeMap;

use aya_obj::generated::bpf_insn;

use super::{
    back_edges::{is_function, linked_programs},
    frames::called,
};

/// Most paths of a program: a quarter of what the kernel allows.
const MOST: usize = 2_500;

/// Returns the number of paths from each function of a program to those that it calls, itself
/// included.
fn paths(program: &[bpf_insn]) -> usize {
    let calls: Vec<(usize, usize)> = (0..)
        .zip(program)
        .filter(|(_, at)| is_function(at))
        .map(|(at, call)| (at, called(at, call)))
        .collect();
    let mut starts: Vec<usize> = calls.iter().map(|(_, to)| *to).chain([0]).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut known = BTreeMap::new();
    starts
        .iter()
        .map(|&start| from(start, &starts, &calls, &mut known))
        .sum()
}

/// Returns the number of paths from one function. No function calls itself.
fn from(
    start: usize,
    starts: &[usize],
    calls: &[(usize, usize)],
    known: &mut BTreeMap<usize, usize>,
) -> usize {
    if let Some(paths) = known.get(&start) {
        return *paths;
    }
    let end = starts.iter().copied().find(|&other| other > start);
    let is_inside = |at: usize| at >= start && end.is_none_or(|end| at < end);
    let called = calls.iter().filter(|(at, _)| is_inside(*at));
    let paths = 1 + called
        .map(|(_, to)| from(*to, starts, calls, known))
        .sum::<usize>();
    known.insert(start, paths);
    paths
}

mod tests {
    use super::*;
    use crate::dataplane::{back_edges::instruction, kernel::OBJECT};

    #[test]
    fn linux_7_3_analyses_every_program_with_few_paths_of_calls() {
        let programs = linked_programs(OBJECT);
        assert!(programs.len() >= 10);
        for (name, program) in programs {
            let paths = paths(&program);
            assert!(paths <= MOST, "{name} has {paths} paths of calls");
        }
    }

    #[test]
    fn a_function_that_is_called_twice_by_one_that_is_called_twice_counts_four_times() {
        let (call, exit) = (
            |to| instruction(0x85, 0, 1, 0, to),
            instruction(0x95, 0, 0, 0, 0),
        );
        // The program at 0, a function at 3 and one at 6.
        let program = [call(2), call(1), exit, call(2), call(1), exit, exit];
        assert_eq!(paths(&program), (1 + 2 * (1 + 2)) + (1 + 2) + 1);
    }
}
