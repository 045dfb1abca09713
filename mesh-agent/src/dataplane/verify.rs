//! Lets the kernel verify the programs, and explains a refusal.

use std::{fs, io, thread, time::Instant};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};
use tracing::debug;

/// The kernel refuses a program.
#[derive(Debug, thiserror::Error)]
#[error("Linux {release} refuses program {hook}: {reason}; {advice}")]
pub struct Refused {
    /// Version of the running kernel, like `6.1.0-49-cloud-amd64`.
    release: String,
    /// Hook of the program.
    hook: String,
    /// Message of the verifier, and the error of the system call.
    reason: String,
    advice: &'static str,
}

const NOT_PERMITTED: &str =
    "run mesh-agent as root, where neither a security module nor a seccomp profile forbids bpf(2)";
const NOT_ACCEPTED: &str = "run a kernel that docs/operations.md lists as tried, or report this line and the version of mesh-agent; \
                            MESH_LOG=debug shows all that the verifier says";

impl Refused {
    fn new(release: &str, hook: &str, error: &io::Error, log: &str) -> Self {
        let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied && log.is_empty();
        let advice = if is_forbidden {
            NOT_PERMITTED
        } else {
            NOT_ACCEPTED
        };
        let reason = verdict(log).map_or_else(
            || error.to_string(),
            |verdict| format!("{verdict}: {error}"),
        );
        Self {
            release: release.into(),
            hook: hook.into(),
            reason,
            advice,
        }
    }
}

/// Verifies all programs, in parallel: the largest take some tenths of a second each.
pub(super) fn verify(programs: &mut Ebpf) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let programs: Vec<_> = programs.programs_mut().collect();
        let checks: Vec<_> = programs
            .into_iter()
            .map(|(hook, program)| scope.spawn(move || load(hook, program)))
            .collect();
        checks
            .into_iter()
            .try_for_each(|check| check.join().expect("loading does not panic"))
    })
}

fn load(hook: &str, program: &mut Program) -> anyhow::Result<()> {
    let started = Instant::now();
    let loaded = match program {
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::SocketFilter(program) => program.load(),
        _ => unreachable!(
            "the object is built from this workspace and has no program of another kind"
        ),
    };
    match loaded {
        Err(ProgramError::LoadError {
            io_error,
            verifier_log,
        }) => {
            // Hundreds of lines, useful only to a developer.
            verifier_log
                .to_string()
                .lines()
                .for_each(|line| debug!("{line}"));
            Err(Refused::new(&release(), hook, &io_error, &verifier_log.to_string()).into())
        }
        result => {
            debug!(program = hook, took = ?started.elapsed(), "verified");
            Ok(result?)
        }
    }
}

/// Returns the version of the running kernel, as `uname -r` shows it.
pub(super) fn release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "(of unknown version)".into(), |text| text.trim().into())
}

/// Returns the line with which the verifier ended, and before it the instruction that it was at.
fn verdict(log: &str) -> Option<String> {
    let mut lines = log
        .lines()
        .map(str::trim)
        .rev()
        .filter(|line| !line.is_empty() && !is_statistics(line));
    let last = lines.next()?;
    let instruction = lines
        .find(|line| is_instruction(line))
        .map(without_registers);
    Some(instruction.map_or_else(
        || last.into(),
        |instruction| format!("{instruction}: {last}"),
    ))
}

/// Whether the verifier prints this line after its verdict.
fn is_statistics(line: &str) -> bool {
    ["processed ", "verification time ", "stack depth "]
        .iter()
        .any(|start| line.starts_with(start))
}

/// Whether a line is an instruction, like `12: (79) r1 = *(u64 *)(r0 +0)`, or a line of the
/// program's source after the number.
fn is_instruction(line: &str) -> bool {
    line.split_once(": ")
        .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// Newer kernels show the state of registers after the instruction.
fn without_registers(line: &str) -> &str {
    line.split_once(" ; R")
        .map_or(line, |(instruction, _)| instruction)
        .trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK_EDGE: &str = "1438: intrinsics::unchecked_add(self, rhs)\n1439: intrinsics::volatile_load(src)\n\
                             back-edge from insn 1438 to 1439\nverification time 800 usec\nstack depth 0+0+0\n\
                             processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0\n";

    fn refused(errno: i32, log: &str) -> String {
        Refused::new(
            "6.1.0-49-cloud-amd64",
            "sock_ops",
            &io::Error::from_raw_os_error(errno),
            log,
        )
        .to_string()
    }

    #[test]
    fn a_refusal_names_kernel_program_and_verdict_and_says_what_to_do() {
        assert_eq!(
            refused(libc::EINVAL, BACK_EDGE),
            "Linux 6.1.0-49-cloud-amd64 refuses program sock_ops: 1439: intrinsics::volatile_load(src): back-edge from \
             insn 1438 to 1439: Invalid argument (os error 22); run a kernel that docs/operations.md lists as tried, or report \
             this line and the version of mesh-agent; MESH_LOG=debug shows all that the verifier says"
        );
    }

    #[test]
    fn a_refusal_without_a_log_names_the_missing_permission() {
        assert_eq!(
            refused(libc::EPERM, ""),
            "Linux 6.1.0-49-cloud-amd64 refuses program sock_ops: Operation not permitted (os error 1); run mesh-agent \
             as root, where neither a security module nor a seccomp profile forbids bpf(2)"
        );
    }

    #[test]
    fn a_verdict_comes_with_the_instruction_it_is_about() {
        let log = "; if port == 0 {\n11: (15) if r0 == 0x0 goto pc+3       ; R0=map_value(off=0)\n\
                   12: (85) call bpf_set_retval#187      ; R0_w=scalar()\ninvalid func unknown#187\n\
                   processed 13 insns (limit 1000000)\n\n";
        assert_eq!(
            verdict(log).as_deref(),
            Some("12: (85) call bpf_set_retval#187: invalid func unknown#187")
        );
    }

    #[test]
    fn a_verdict_without_an_instruction_is_shown_alone() {
        let log = "BPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns (limit 1000000)\n";
        assert_eq!(
            verdict(log).as_deref(),
            Some("BPF program is too large. Processed 1000001 insn")
        );
        assert_eq!(verdict("\nprocessed 0 insns\n"), None);
    }
}
