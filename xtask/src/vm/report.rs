//! Results of the tests on each kernel, and their table.

use std::fmt::Write as _;

/// Results of programs and tests on one kernel.
#[derive(PartialEq, Eq, Debug)]
pub struct Report {
    /// As `uname -r` shows it.
    pub kernel: String,
    programs: Vec<Program>,
    /// Time from the agent's start to attached programs, and its limit, milliseconds.
    attached: Option<(u32, u32)>,
    /// Name and result.
    tests: Vec<(String, String)>,
}

#[derive(PartialEq, Eq, Debug)]
struct Program {
    name: String,
    /// Verified instructions; none if the kernel refused it, or does not count them.
    verified: Option<u32>,
    /// `ok`, or what is wrong.
    result: String,
}

impl Report {
    /// Reads the output of the test binary. `broken` is why the machine ended, unless it powered off.
    pub fn read(kernel: &str, said: &str, broken: Option<String>) -> Self {
        let mut programs: Vec<_> = said.lines().filter_map(program).collect();
        // Each start of the agent prints the same.
        programs.dedup();
        let mut tests: Vec<_> = said.lines().filter_map(test).collect();
        tests.extend(broken.map(|reason| (reason, "FAILED".into())));
        Self {
            kernel: kernel.into(),
            programs,
            attached: said.lines().find_map(attached),
            tests,
        }
    }

    /// Returns kernel, program and number of verified instructions.
    pub fn verified(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.programs
            .iter()
            .filter_map(|program| Some((&*self.kernel, &*program.name, program.verified?)))
    }

    /// Returns whether this number of tests ran, all passed, and the programs were attached in time.
    pub fn is_good(&self, enough: usize) -> bool {
        self.tests.len() >= enough
            && self.tests.iter().all(|(_, result)| result == "ok")
            && self.attached.is_none_or(is_in_time)
    }
}

/// Name of all programs together, where the kernel lacks what they need.
const ALL: &str = "all";

/// `verified 6.1.0-49-cloud-amd64 connect4 18719 100000` as the test prints it, with `-` for the number where the
/// kernel does not count; or the agent's `Linux 6.1.0-49-cloud-amd64 refuses program sock_ops: …` or
/// `Linux 5.10.0-40-cloud-amd64 lacks what the programs need: …`.
fn program(line: &str) -> Option<Program> {
    let refused = |name: &str, reason: String| {
        Some(Program {
            name: name.into(),
            verified: None,
            result: format!("refused: {reason}"),
        })
    };
    if let Some((_, refusal)) = line.split_once(" refuses program ") {
        let (name, reason) = refusal.split_once(": ")?;
        return refused(name, reason.into());
    }
    if let Some((_, missing)) = line.split_once(" lacks what the programs need: ") {
        return refused(ALL, format!("lacks {missing}"));
    }
    let words: Vec<_> = line.split_whitespace().collect();
    let ["verified", _, name, verified, bound] = words[..] else {
        return None;
    };
    let bound: u32 = bound.parse().ok()?;
    let verified: Option<u32> = match verified {
        "-" => None,
        count => Some(count.parse().ok()?),
    };
    let result = match verified {
        Some(count) if count > bound => format!("more than {bound}"),
        _ => "ok".into(),
    };
    Some(Program {
        name: name.into(),
        verified,
        result,
    })
}

/// `attached 6.1.0-49-cloud-amd64 2300 5000`, milliseconds, as the test prints it.
fn attached(line: &str) -> Option<(u32, u32)> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["attached", _, took, longest] => Some((took.parse().ok()?, longest.parse().ok()?)),
        _ => None,
    }
}

/// Multiple of its limit above which a time fails: the speed of an emulated machine is that of its host, which may be
/// busy.
const TOLERANCE: u32 = 3;

fn is_in_time((took, longest): (u32, u32)) -> bool {
    took <= longest * TOLERANCE
}

/// `test uninstall::nothing_is_left ... ok`
fn test(line: &str) -> Option<(String, String)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name.into(), result.into()))
}

/// Formats all programs, then all tests, of all kernels.
pub fn table(reports: &[Report]) -> String {
    let width = reports
        .iter()
        .map(|report| report.kernel.len())
        .max()
        .unwrap_or_default();
    let mut table = format!(
        "\n{:width$}  {:14}{:>12}  RESULT\n",
        "KERNEL", "PROGRAM", "VERIFIED"
    );
    for Report {
        kernel, programs, ..
    } in reports
    {
        for Program {
            name,
            verified,
            result,
        } in programs
        {
            let verified = verified.map_or_else(|| "-".into(), |count| count.to_string());
            _ = writeln!(table, "{kernel:width$}  {name:14}{verified:>12}  {result}");
        }
    }
    _ = writeln!(table, "\n{:width$}  ATTACHED", "KERNEL");
    for Report {
        kernel, attached, ..
    } in reports
    {
        let time = attached.map_or_else(
            || "-".into(),
            |(took, longest)| {
                let late = match took > longest {
                    true if is_in_time((took, longest)) => "  LATE",
                    true => "  TOO LATE",
                    false => "",
                };
                format!("after {took} ms, of at most {longest}{late}")
            },
        );
        _ = writeln!(table, "{kernel:width$}  {time}");
    }
    _ = writeln!(table, "\n{:width$}  {:8}  TEST", "KERNEL", "RESULT");
    for Report { kernel, tests, .. } in reports {
        for (name, result) in tests {
            _ = writeln!(table, "{kernel:width$}  {result:8}  {name}");
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\nrunning 2 tests\n\
        test verified::all ... ok\n\
        test uninstall::nothing_is_left ... FAILED\n\n\
        verified 6.1.0-49 connect4 18719 100000\n\
        attached 6.1.0-49 2300 5000\n\
        verified 6.1.0-49 sendmsg6 491538 200000\n\
        test result: FAILED. 1 passed; 1 failed\n";

    fn read(said: &str) -> Report {
        Report::read("6.1.0-49", said, None)
    }

    #[test]
    fn programs_and_tests_become_a_table() {
        assert_eq!(
            table(&[read(SAID)]),
            "\nKERNEL    PROGRAM           VERIFIED  RESULT\n\
             6.1.0-49  connect4             18719  ok\n\
             6.1.0-49  sendmsg6            491538  more than 200000\n\
             \nKERNEL    ATTACHED\n\
             6.1.0-49  after 2300 ms, of at most 5000\n\
             \nKERNEL    RESULT    TEST\n\
             6.1.0-49  ok        verified::all\n\
             6.1.0-49  FAILED    uninstall::nothing_is_left\n"
        );
    }

    #[test]
    fn a_refused_program_is_in_the_table_once_and_with_the_reason() {
        let line =
            "ERROR Linux 6.1.0-49 refuses program sock_ops: back-edge from insn 1438 to 1439\n";
        let refused = Program {
            name: "sock_ops".into(),
            verified: None,
            result: "refused: back-edge from insn 1438 to 1439".into(),
        };
        assert_eq!(read(&line.repeat(2)).programs, [refused]);
    }

    #[test]
    fn a_kernel_that_lacks_what_the_programs_need_has_one_row_with_what_it_lacks() {
        let line = "error: Linux 5.10.0-40 lacks what the programs need: atomics (5.12); run Linux 5.15 or later\n";
        let refused = Program {
            name: "all".into(),
            verified: None,
            result: "refused: lacks atomics (5.12); run Linux 5.15 or later".into(),
        };
        assert_eq!(read(line).programs, [refused]);
    }

    #[test]
    fn a_program_of_a_kernel_that_does_not_count_has_a_row_without_a_number() {
        let read = read("verified 5.15.0-1-generic connect4 - 500000\n");
        let row = Program {
            name: "connect4".into(),
            verified: None,
            result: "ok".into(),
        };
        assert_eq!(read.programs, [row]);
        assert_eq!(read.verified().next(), None);
    }

    #[test]
    fn a_machine_that_does_not_power_off_is_a_failure_beside_what_it_said() {
        let report = Report::read("6.1", "test verified::all ... ok\n", Some("hangs".into()));
        let rows = [("verified::all", "ok"), ("hangs", "FAILED")];
        assert_eq!(
            report.tests,
            rows.map(|(name, result)| (name.to_owned(), result.to_owned()))
        );
        assert!(!report.is_good(1));
    }

    #[test]
    fn a_kernel_is_good_when_enough_tests_ran_and_all_passed() {
        assert!(!read(SAID).is_good(2), "one failed");
        let passed = read("test verified::all ... ok\n");
        assert!(passed.is_good(1) && !passed.is_good(2));
        assert!(!read("").is_good(1), "none ran");
        let attached = |took| {
            read(&format!(
                "test attach_time::soon ... ok\nattached 6.1 {took} 5000\n"
            ))
        };
        let [late, too_late] = [15_000, 15_001].map(attached);
        assert!(late.is_good(1) && !too_late.is_good(1));
        assert!(table(&[late]).contains(" of at most 5000  LATE\n"));
        assert!(table(&[too_late]).contains(" of at most 5000  TOO LATE\n"));
    }
}
