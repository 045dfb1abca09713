//! Verifier cost of each program, compared with what is recorded for the running kernel. The
//! verifier gives up at a million instructions, counted over all paths, and every instruction makes
//! the agent's start longer.

use std::{env, fs};

use aya::programs::loaded_programs;
use mesh_tests::{HOOKS, Node, cgroup::Cgroup};

/// Verified instructions of each program, by series of kernels.
const RECORDED: &str = include_str!("../../verified-instructions.txt");

/// A program of a kernel that is not recorded has at most half of what the verifier allows.
const UNRECORDED: u32 = 500_000;

/// Returns the most instructions that a program may take on a kernel like `6.1.0-56-cloud-amd64`: a
/// tenth more than are recorded.
fn bound(kernel: &str, hook: &str) -> u32 {
    let series = kernel.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let mut lines = RECORDED
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let recorded = lines.find_map(|words| match words[..] {
        [of, name, count] if of == series && name == hook => count.parse::<u32>().ok(),
        _ => None,
    });
    recorded.map_or(UNRECORDED, |count| count + count / 10)
}

#[test]
fn a_program_may_take_a_tenth_more_than_is_recorded() {
    let line = RECORDED
        .lines()
        .find(|line| !line.starts_with('#'))
        .expect("the file has a line for each program");
    let words: Vec<_> = line.split_whitespace().collect();
    let [series, hook, count] = words[..] else {
        panic!("{line}")
    };
    let count: u32 = count.parse().expect("a number");
    assert_eq!(
        bound(&format!("{series}.0-1-amd64"), hook),
        count + count / 10
    );
    assert_eq!(bound("4.19.0-1-amd64", hook), UNRECORDED);
}

#[test]
fn every_program_is_verified_within_its_bound() {
    expect_within_bounds(&Node::start());
}

/// With excluded pods, the programs also compare each socket with them.
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
    let bounds = HOOKS.map(|hook| bound(kernel.trim(), hook));
    for ((hook, count), bound) in verified.iter().zip(bounds) {
        let count = count.map_or_else(|| "-".into(), |count| count.to_string());
        println!("verified {} {hook} {count} {bound}", kernel.trim());
    }
    let hooks: Vec<_> = verified.iter().map(|(hook, _)| hook.as_str()).collect();
    assert_eq!(hooks, HOOKS);
    let beyond: Vec<_> = verified
        .iter()
        .zip(bounds)
        .filter(|((_, count), bound)| count.map_or(*bound != UNRECORDED, |count| count > *bound))
        .collect();
    assert!(
        beyond.is_empty() || env::var_os("UPDATE_VERIFIED").is_some(),
        "a tenth more than tests/verified-instructions.txt has: {beyond:?}; if that is wanted, record them: \
         UPDATE_VERIFIED=1 cargo xtask vm --kernel SERIES"
    );
}

/// Returns the verified instructions of each program of a node, by hook; none before Linux 5.16, which does not count
/// them.
fn verified(node: &Node) -> Vec<(String, Option<u32>)> {
    let programs: Vec<_> = loaded_programs().flatten().collect();
    let instructions = |id| {
        let program = programs
            .iter()
            .find(|program| program.id() == id)
            .expect("an attached program is loaded");
        program.verified_instruction_count()
    };
    let hooks = node.status().hooks;
    let mut verified: Vec<_> = hooks
        .into_iter()
        .map(|hook| (hook.name, instructions(hook.program_id)))
        .collect();
    verified.sort();
    verified
}
