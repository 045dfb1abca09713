//! Finds loops in the loaded programs that kernels before 6.7 refuse.
//!
//! Those kernels walk a program's instructions depth first before they verify it. Only a jump may
//! lead to an instruction that is still on the path of the walk. If the compiler places the last
//! block of a loop directly above its first, the loop closes by falling through: `back-edge from
//! insn 1438 to 1439`, whatever the privileges.
//! <https://github.com/torvalds/linux/blob/v6.1/kernel/bpf/verifier.c>, `check_cfg`

use std::collections::{BTreeMap, BTreeSet};

use aya_obj::{
    Object,
    generated::{
        BPF_CALL, BPF_DW, BPF_EXIT, BPF_IMM, BPF_JA, BPF_JMP, BPF_JMP32, BPF_LD, BPF_PSEUDO_CALL,
        BPF_PSEUDO_FUNC, bpf_insn,
    },
};

use super::{hooks, kernel::OBJECT, sockets};

/// Bits of an opcode: its class, and the kind of jump.
pub(super) const CLASS: u32 = 0x07;
const OPERATION: u32 = 0xf0;

/// Progress of the walk at an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the path from the first instruction to the present one.
    Followed,
    Done,
}

/// An edge from an instruction to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Edge {
    to: usize,
    /// May lead back to an instruction on the path.
    may_close_loop: bool,
}

/// Returns every program with the functions that it calls, as the loader links them.
pub(super) fn linked_programs(object: &[u8]) -> BTreeMap<String, Vec<bpf_insn>> {
    let mut object = Object::parse(object)
        .expect("the agent's object is read by the same library when it is loaded");
    let sections = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object
        .relocate_calls(&sections)
        .expect("the agent's object is linked by the same library when it is loaded");
    let code = |key| object.functions[&key].instructions.clone();
    object
        .programs
        .iter()
        .map(|(name, program)| (name.clone(), code(program.function_key())))
        .collect()
}

/// Returns the two instructions between which a loop closes without a jump, if any.
fn fall_through_into_loop(program: &[bpf_insn]) -> Option<(usize, usize)> {
    let mut states = vec![State::New; program.len()];
    let mut path = vec![(0, edges(program, 0).into_iter())];
    states[0] = State::Followed;
    while let Some((from, rest)) = path.last_mut() {
        let from = *from;
        let Some(edge) = rest.next() else {
            states[from] = State::Done;
            path.pop();
            continue;
        };
        match states[edge.to] {
            State::New => {
                states[edge.to] = State::Followed;
                path.push((edge.to, edges(program, edge.to).into_iter()));
            }
            State::Followed if !edge.may_close_loop => return Some((from, edge.to)),
            State::Followed | State::Done => {}
        }
    }
    None
}

/// Returns the edges from an instruction in the kernel's order: the next instruction first. The
/// second half of a wide load is a separate instruction, as it is for those kernels.
fn edges(program: &[bpf_insn], at: usize) -> Vec<Edge> {
    let instruction = &program[at];
    let next = |may_close_loop| Edge {
        to: at + 1,
        may_close_loop,
    };
    let jump = |distance: i64| {
        let to = i64::try_from(at).expect("programs are short") + 1 + distance;
        Edge {
            to: usize::try_from(to).expect("jumps stay in the program"),
            may_close_loop: true,
        }
    };
    if is_function(instruction) {
        return vec![next(false), jump(instruction.imm.into())];
    }
    let code = u32::from(instruction.code);
    if ![BPF_JMP, BPF_JMP32].contains(&(code & CLASS)) {
        return vec![next(false)];
    }
    match code & OPERATION {
        BPF_EXIT => vec![],
        BPF_CALL => vec![next(false)],
        BPF_JA => vec![jump(instruction.off.into())],
        _ => vec![next(true), jump(instruction.off.into())],
    }
}

/// Whether an instruction calls a function of the program, or takes the address of one.
pub(super) fn is_function(instruction: &bpf_insn) -> bool {
    let (code, source) = (
        u32::from(instruction.code),
        u32::from(instruction.src_reg()),
    );
    (code == BPF_JMP | BPF_CALL && source == BPF_PSEUDO_CALL)
        || (code == BPF_LD | BPF_IMM | BPF_DW && source == BPF_PSEUDO_FUNC)
}

/// Returns an instruction with this destination and source register.
pub(super) fn instruction(code: u32, to: u8, from: u8, off: i16, imm: i32) -> bpf_insn {
    let code = u8::try_from(code).expect("a code is a byte");
    let mut instruction = bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: Default::default(),
        off,
        imm,
    };
    instruction.set_dst_reg(to);
    instruction.set_src_reg(from);
    instruction
}

mod tests {
    use super::*;

    const CONDITIONAL: u32 = BPF_JMP | 0x50;

    fn plain() -> bpf_insn {
        instruction(0xb7, 0, 0, 0, 0)
    }

    fn jump(code: u32, off: i16) -> bpf_insn {
        instruction(code, 0, 0, off, 0)
    }

    fn exit() -> bpf_insn {
        jump(BPF_JMP | BPF_EXIT, 0)
    }

    fn function(imm: i32) -> [bpf_insn; 2] {
        [
            instruction(BPF_LD | BPF_IMM | BPF_DW, 0, 4, 0, imm),
            instruction(0, 0, 0, 0, 0),
        ]
    }

    fn call(imm: i32) -> bpf_insn {
        instruction(BPF_JMP | BPF_CALL, 0, 1, 0, imm)
    }

    #[test]
    fn no_program_closes_a_loop_without_a_jump() {
        let programs = linked_programs(OBJECT);
        let refused: Vec<_> = programs
            .iter()
            .filter_map(|(name, program)| Some((name, fall_through_into_loop(program)?)))
            .map(|(name, (from, to))| format!("{name}: back-edge from insn {from} to {to}"))
            .collect();
        assert_eq!(
            refused,
            Vec::<String>::new(),
            "kernels before 6.7 refuse this: see mesh-ebpf/linker.sh"
        );
    }

    #[test]
    fn every_hook_is_checked_with_the_functions_that_it_calls() {
        let programs = linked_programs(OBJECT);
        let hooks: BTreeSet<_> = hooks::all().chain([sockets::PROGRAM]).collect();
        assert_eq!(
            programs.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            hooks
        );
        assert!(programs["connect4"].iter().any(is_function));
    }

    #[test]
    fn a_loop_that_a_jump_closes_passes() {
        let by_condition = [plain(), plain(), jump(CONDITIONAL, -2), exit()];
        assert_eq!(fall_through_into_loop(&by_condition), None);
        let by_goto = [
            plain(),
            jump(CONDITIONAL, 2),
            plain(),
            jump(BPF_JMP | BPF_JA, -3),
            exit(),
        ];
        assert_eq!(fall_through_into_loop(&by_goto), None);
    }

    /// The first block jumps over the last one, which is directly above the second.
    #[test]
    fn a_loop_that_falls_through_into_its_head_is_found() {
        let program = [
            jump(BPF_JMP | BPF_JA, 1),
            plain(),
            plain(),
            jump(CONDITIONAL, -3),
            exit(),
        ];
        assert_eq!(fall_through_into_loop(&program), Some((1, 2)));
    }

    #[test]
    fn a_conditional_jump_may_fall_through_into_the_head_of_its_loop() {
        let program = [
            jump(BPF_JMP | BPF_JA, 1),
            jump(CONDITIONAL, 2),
            plain(),
            jump(CONDITIONAL, -3),
            exit(),
        ];
        assert_eq!(fall_through_into_loop(&program), None);
    }

    #[test]
    fn falling_through_into_a_finished_block_is_no_loop() {
        let program = [jump(CONDITIONAL, 1), plain(), plain(), exit()];
        assert_eq!(fall_through_into_loop(&program), None);
    }

    #[test]
    fn called_functions_are_followed() {
        let latch = [
            jump(BPF_JMP | BPF_JA, 1),
            plain(),
            plain(),
            jump(CONDITIONAL, -3),
            exit(),
        ];
        let direct: Vec<_> = [call(1), exit()].into_iter().chain(latch).collect();
        assert_eq!(fall_through_into_loop(&direct), Some((3, 4)));
        let by_pointer: Vec<_> = function(2)
            .into_iter()
            .chain([exit()])
            .chain(latch)
            .collect();
        assert_eq!(fall_through_into_loop(&by_pointer), Some((4, 5)));
    }
}
