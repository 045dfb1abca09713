//! Time from the start of the agent until its programs are attached. Most of it is the verifier's.

use std::{fs, time::Duration};

use mesh_tests::{Node, machine};

/// Longest time of an optimised agent. The best of three starts took 285 ms on two processors.
const LONGEST: Duration = Duration::from_millis(300);
/// The same in an emulated machine.
const LONGEST_EMULATED: Duration = Duration::from_secs(5);
/// The same from Linux 7.1 on, which first analyses each function for every path of calls to it.
const LONGEST_EMULATED_SINCE_7_1: Duration = Duration::from_secs(20);
/// Other load of the machine slows one start, not all.
const STARTS: usize = 3;
/// The test fails above this multiple: other load may also last.
const TOLERANCE: u32 = 2;

#[test]
fn the_programs_are_attached_soon_after_the_start() {
    let took = (0..STARTS)
        .map(|_| attach_time(&Node::setup().alone().start()))
        .min()
        .expect("there is a start");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let longest = match machine::is_emulated() {
        true if series(&kernel) >= [7, 1] => LONGEST_EMULATED_SINCE_7_1,
        true => LONGEST_EMULATED,
        false => LONGEST,
    };
    println!(
        "attached {} {} {}",
        kernel.trim(),
        took.as_millis(),
        longest.as_millis()
    );
    // An agent that is not optimised parses its programs several times slower. The speed of an
    // emulated machine is that of its host at that moment: `cargo xtask vm` shows the time, and has the limit.
    if !cfg!(debug_assertions) && !machine::is_emulated() {
        assert!(
            took <= longest * TOLERANCE,
            "{took:?} instead of {longest:?}"
        );
    }
}

/// Returns the first two numbers of a release like `6.1.0-56-cloud-amd64`.
fn series(kernel: &str) -> [u32; 2] {
    let mut numbers = kernel
        .split(|character: char| !character.is_ascii_digit())
        .map(str::parse);
    [(); 2].map(|()| numbers.next().expect("two numbers").expect("a number"))
}

/// Returns what the agent logs: `attached hooks=10 milliseconds=250`.
fn attach_time(node: &Node) -> Duration {
    let log = node.log();
    let milliseconds = log
        .lines()
        .find_map(|line| {
            line.split_once("milliseconds=")
                .filter(|(start, _)| start.contains("attached"))
        })
        .map(|(_, rest)| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        });
    let milliseconds = milliseconds.unwrap_or_else(|| panic!("the agent logs the time: {log}"));
    Duration::from_millis(milliseconds.parse().expect("a number"))
}
