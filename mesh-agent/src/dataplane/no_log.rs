//! Tests that the programs contain nothing of the feature `kernel-log` in builds without it.

use std::collections::BTreeSet;

use aya_obj::{
    Object,
    generated::{BPF_CALL, BPF_JMP, bpf_insn},
};

use super::{back_edges::linked_programs, kernel::OBJECT};

/// Helpers of ring buffers, `BPF_FUNC_ringbuf_output` to `BPF_FUNC_ringbuf_query`. Nothing but the
/// log writes to one.
const RING_BUFFER_HELPERS: std::ops::RangeInclusive<i32> = 130..=134;
/// The map that aya-log writes to.
const LOG_MAP: &str = "AYA_LOGS";

fn calls_ring_buffer(program: &[bpf_insn]) -> bool {
    let is_helper_call =
        |at: &bpf_insn| u32::from(at.code) == BPF_JMP | BPF_CALL && at.src_reg() == 0;
    program
        .iter()
        .any(|at| is_helper_call(at) && RING_BUFFER_HELPERS.contains(&at.imm))
}

#[test]
fn the_log_is_in_the_programs_of_builds_that_ask_for_it_and_in_no_others() {
    let log: BTreeSet<String> = linked_programs(OBJECT)
        .into_iter()
        .filter(|(_, program)| calls_ring_buffer(program))
        .map(|(name, _)| name)
        .collect();
    let has_map = Object::parse(OBJECT)
        .expect("the agent loads it with the same library")
        .maps
        .contains_key(LOG_MAP);
    let expected: &[&str] = if cfg!(feature = "kernel-log") {
        &["connect4", "connect6", "sendmsg4", "sendmsg6"]
    } else {
        &[]
    };
    assert_eq!(log, expected.iter().map(ToString::to_string).collect());
    assert_eq!(has_map, cfg!(feature = "kernel-log"));
}
