//! Verifier cost of each program. The verifier gives up at a million instructions, counted over all
//! paths; older kernels need more of them for the same program.

use std::fs;

use aya::programs::loaded_programs;
use mesh_tests::{Node, cgroup::Cgroup};

/// Most verified instructions of each program.
const BOUNDS: [(&str, u32); 10] = [
    ("connect4", 120_000),
    ("connect6", 120_000),
    ("getpeername4", 1_000),
    ("getpeername6", 1_000),
    ("recvmsg4", 20_000),
    ("recvmsg6", 20_000),
    ("sendmsg4", 200_000),
    ("sendmsg6", 200_000),
    ("sock_ops", 130_000),
    ("sock_release", 135_000),
];

#[test]
fn every_program_is_verified_within_its_bound() {
    expect_within_bounds(&Node::start());
}

/// With excluded pods, the programs check each socket against them.
#[test]
fn every_program_that_looks_for_excluded_pods_is_verified_within_its_bound() {
    let excluded = Cgroup::new();
    expect_within_bounds(
        &Node::setup()
            .flags(&format!("--exclude-cgroup {}", excluded.path().display()))
            .start(),
    );
}

fn expect_within_bounds(node: &Node) {
    let verified = verified(node);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    for ((hook, instructions), (_, bound)) in verified.iter().zip(BOUNDS) {
        println!("verified {} {hook} {instructions} {bound}", kernel.trim());
    }
    let hooks: Vec<_> = verified.iter().map(|(hook, _)| hook.as_str()).collect();
    assert_eq!(
        hooks,
        BOUNDS.map(|(hook, _)| hook),
        "a bound for every program"
    );
    let beyond: Vec<_> = verified
        .iter()
        .zip(BOUNDS)
        .filter(|((_, found), (_, bound))| found > bound)
        .collect();
    assert!(beyond.is_empty(), "beyond their bounds: {beyond:?}");
}

/// Returns the verified instructions of each program of a node, by hook.
fn verified(node: &Node) -> Vec<(String, u32)> {
    let programs: Vec<_> = loaded_programs().flatten().collect();
    let instructions = |id| {
        let program = programs
            .iter()
            .find(|program| program.id() == id)
            .expect("an attached program is loaded");
        program
            .verified_instruction_count()
            .expect("Linux counts them since 5.16")
    };
    let hooks = node.status().hooks;
    let mut verified: Vec<_> = hooks
        .into_iter()
        .map(|hook| (hook.name, instructions(hook.program_id)))
        .collect();
    verified.sort();
    verified
}
