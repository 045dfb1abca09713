//! Reads the run time of programs that the kernel measures (`BPF_ENABLE_STATS`).

use std::{collections::BTreeMap, os::fd::OwnedFd};

use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};

/// The kernel measures programs until this is dropped.
pub struct Measuring(#[expect(dead_code, reason = "held, not read")] OwnedFd);

impl Measuring {
    /// Turns the measurement on.
    pub fn start() -> Self {
        Self(enable_stats(Stats::RunTime).expect("root may have programs measured"))
    }
}

/// Program ids, by hook.
#[derive(Clone, Debug, Default)]
pub struct Programs(BTreeMap<u32, String>);

/// Run time of the programs of a hook.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Cost {
    /// Total, nanoseconds.
    pub time: f64,
    /// Number of runs.
    pub runs: f64,
}

impl Cost {
    /// Returns the nanoseconds of one run; zero without runs.
    pub fn each(self) -> f64 {
        if self.runs > 0.0 {
            self.time / self.runs
        } else {
            0.0
        }
    }
}

/// Costs by hook.
pub type Costs = BTreeMap<String, Cost>;

impl Programs {
    /// Creates the table from hooks and ids.
    pub fn new(programs: impl IntoIterator<Item = (String, u32)>) -> Self {
        Self(programs.into_iter().map(|(hook, id)| (id, hook)).collect())
    }

    /// Returns the costs since the programs were loaded.
    pub fn costs(&self) -> Costs {
        let mut costs = Costs::new();
        for program in loaded_programs().flatten() {
            if let Some(hook) = self.0.get(&program.id()) {
                let cost = costs.entry(hook.clone()).or_default();
                cost.time += program.run_time().as_nanos() as f64;
                cost.runs += program.run_count() as f64;
            }
        }
        costs
    }

    /// Runs `work`; returns its result, and the costs meanwhile.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Costs) {
        let before = self.costs();
        let result = work();
        (result, difference(&before, self.costs()))
    }
}

fn difference(before: &Costs, mut after: Costs) -> Costs {
    for (hook, cost) in &mut after {
        let Cost { time, runs } = before.get(hook).copied().unwrap_or_default();
        *cost = Cost {
            time: cost.time - time,
            runs: cost.runs - runs,
        };
    }
    after
}

/// Returns the nanoseconds of all hooks, less the cost of as many runs of an empty program on the
/// same hook. For a hook without an empty program, that of `connect4` is used, which is the cheapest.
pub fn net(costs: &Costs, empty: &Costs) -> f64 {
    let of_empty = |hook: &str| {
        empty
            .get(hook)
            .filter(|cost| cost.runs > 0.0)
            .or_else(|| empty.get("connect4"))
    };
    let net = |(hook, cost): (&String, &Cost)| {
        let each = of_empty(hook).copied().unwrap_or_default().each();
        cost.time - cost.runs * each
    };
    costs.iter().map(net).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(costs: &[(&str, f64, f64)]) -> Costs {
        costs
            .iter()
            .map(|&(hook, time, runs)| (hook.to_owned(), Cost { time, runs }))
            .collect()
    }

    #[test]
    fn each_hook_is_net_of_its_own_empty_program() {
        let empty = costs(&[
            ("connect4", 400.0, 10.0),
            ("sock_ops", 300.0, 10.0),
            ("sock_release", 0.0, 0.0),
        ]);
        let ours = costs(&[
            ("connect4", 100.0, 1.0),
            ("sock_ops", 200.0, 4.0),
            ("sock_release", 50.0, 1.0),
        ]);
        assert!((net(&ours, &empty) - (60.0 + 80.0 + 10.0)).abs() < 1e-9);
    }

    #[test]
    fn only_what_was_added_counts() {
        let (before, after) = (
            costs(&[("connect4", 100.0, 2.0)]),
            costs(&[("connect4", 160.0, 4.0)]),
        );
        let expected = costs(&[("connect4", 60.0, 2.0)]);
        assert_eq!(difference(&before, after), expected);
        assert!((expected["connect4"].each() - 30.0).abs() < 1e-9);
    }
}
