//! Computes the stack that the loaded programs need along their deepest chain of calls.
//!
//! A program and the functions that it calls share 512 bytes. Linux 6.1 rounds each frame up to 32
//! bytes, later kernels with the JIT to 16, so a program that later kernels load may fail on 6.1
//! with `combined stack size of 5 calls is 544`.
//! <https://github.com/torvalds/linux/blob/v6.1/kernel/bpf/verifier.c>, `check_max_stack_depth`

use std::collections::{BTreeMap, BTreeSet};

use aya_obj::generated::{
    BPF_ADD, BPF_ALU, BPF_ALU64, BPF_K, BPF_LD, BPF_LDX, BPF_MOV, BPF_ST, BPF_STX, BPF_X, bpf_insn,
};

use super::back_edges::{CLASS, is_function, linked_programs};

/// Stack of a program and everything that it calls.
const MOST: usize = 512;
/// Unit to which a frame is rounded up.
const UNIT: usize = 32;
/// Number of the frame pointer register.
const END: u8 = 10;

/// A function of a program.
#[derive(Default)]
struct Function {
    /// Bytes that it uses below the frame pointer.
    frame: usize,
    /// First instructions of the functions that it calls.
    calls: BTreeSet<usize>,
}

/// Returns the functions of a program by their first instructions.
fn functions(program: &[bpf_insn]) -> BTreeMap<usize, Function> {
    let calls: BTreeMap<_, _> = (0..)
        .zip(program)
        .filter(|(_, at)| is_function(at))
        .map(|(at, call)| (at, called(at, call)))
        .collect();
    let starts: BTreeSet<_> = calls.values().copied().chain([0]).collect();
    let ends = starts.iter().copied().skip(1).chain([program.len()]);
    let function = |(&start, end)| {
        let calls = calls.range(start..end).map(|(_, &called)| called).collect();
        (
            start,
            Function {
                frame: frame(&program[start..end]),
                calls,
            },
        )
    };
    starts.iter().zip(ends).map(function).collect()
}

/// Returns the first instruction of the function that an instruction calls.
pub(super) fn called(at: usize, call: &bpf_insn) -> usize {
    let distance = isize::try_from(call.imm).expect("programs are short");
    (at + 1)
        .checked_add_signed(distance)
        .expect("calls stay in the program")
}

/// Returns the bytes that a function uses below the frame pointer: the ones that it reads and
/// writes, and the ones whose address it takes.
fn frame(code: &[bpf_insn]) -> usize {
    let (mut lowest, mut addresses) = (0, [None; 16]);
    addresses[usize::from(END)] = Some(0);
    for instruction in code {
        let (to, from) = (
            usize::from(instruction.dst_reg()),
            usize::from(instruction.src_reg()),
        );
        let (code, offset) = (u32::from(instruction.code), i32::from(instruction.off));
        let below =
            |address: Option<i32>, distance| address.map_or(0, |address| address + distance);
        match code & CLASS {
            BPF_LDX => {
                lowest = lowest.min(below(addresses[from], offset));
                addresses[to] = None;
            }
            BPF_ST | BPF_STX => lowest = lowest.min(below(addresses[to], offset)),
            BPF_ALU64 if code == BPF_ALU64 | BPF_MOV | BPF_X => addresses[to] = addresses[from],
            BPF_ALU64 if code == BPF_ALU64 | BPF_ADD | BPF_K => {
                lowest = lowest.min(below(addresses[to], instruction.imm));
                addresses[to] = addresses[to].map(|address| address + instruction.imm);
            }
            BPF_ALU | BPF_ALU64 | BPF_LD => addresses[to] = None,
            _ => {}
        }
    }
    usize::try_from(-lowest).expect("it begins with zero and sinks")
}

/// Returns the frames of the chain of calls that needs the most stack, each rounded up.
fn deepest(functions: &BTreeMap<usize, Function>, start: usize) -> Vec<usize> {
    let Function { frame, calls } = &functions[&start];
    let chains = calls.iter().map(|&called| deepest(functions, called));
    let below = chains
        .max_by_key(|chain| chain.iter().sum::<usize>())
        .unwrap_or_default();
    [frame.max(&1).next_multiple_of(UNIT)]
        .into_iter()
        .chain(below)
        .collect()
}

mod tests {
    use aya_obj::generated::{BPF_CALL, BPF_EXIT, BPF_JMP, BPF_MEM};

    use super::*;
    use crate::dataplane::{back_edges::instruction, kernel::OBJECT};

    const ADD: u32 = BPF_ALU64 | BPF_ADD | BPF_K;
    const COPY: u32 = BPF_ALU64 | BPF_MOV | BPF_X;

    fn store(offset: i16) -> bpf_insn {
        instruction(BPF_STX | BPF_MEM, END, 0, offset, 0)
    }

    fn call(imm: i32) -> bpf_insn {
        instruction(BPF_JMP | BPF_CALL, 0, 1, 0, imm)
    }

    fn exit() -> bpf_insn {
        instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
    }

    #[test]
    fn no_program_needs_more_stack_than_linux_6_1_gives() {
        let programs = linked_programs(OBJECT);
        let refused: Vec<_> = programs
            .iter()
            .map(|(name, program)| (name, deepest(&functions(program), 0)))
            .filter(|(_, frames)| frames.iter().sum::<usize>() > MOST)
            .map(|(name, frames)| {
                format!(
                    "{name}: {} bytes in frames {frames:?}",
                    frames.iter().sum::<usize>()
                )
            })
            .collect();
        assert_eq!(
            refused,
            Vec::<String>::new(),
            "make a frame smaller: combined stack above {MOST} bytes"
        );
    }

    #[test]
    fn the_deepest_chain_of_calls_counts_and_every_frame_rounds_up() {
        let first = [store(-40), call(2), call(3), exit()];
        let (second, third, fourth) = (
            [call(3), exit()],
            [store(-96), exit()],
            [store(-65), exit()],
        );
        let program: Vec<_> = first
            .into_iter()
            .chain(second)
            .chain(third)
            .chain(fourth)
            .collect();
        assert_eq!(deepest(&functions(&program), 0), [64, 32, 96]);
    }

    #[test]
    fn an_address_in_the_frame_counts_and_so_does_what_is_read_through_it() {
        let copy = instruction(COPY, 2, END, 0, 0);
        let (add, load) = (
            instruction(ADD, 2, 0, 0, -48),
            instruction(BPF_LDX | BPF_MEM, 1, 2, -8, 0),
        );
        assert_eq!(frame(&[copy, add, exit()]), 48);
        assert_eq!(frame(&[copy, add, load, exit()]), 56);
        let other = instruction(BPF_LDX | BPF_MEM, 2, END, -16, 0);
        assert_eq!(
            frame(&[copy, other, add, exit()]),
            16,
            "no address any more"
        );
    }
}
