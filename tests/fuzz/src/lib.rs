//! Fuzz targets. Each takes any bytes for something that the agent reads, and panics when the result
//! breaks a rule, not only when the agent would panic.
//!
//! ```text
//! native, kubernetes ──► file        one file of services
//! annotations        ──► annotations values of annotations, each in a valid Service
//! changes            ──► changes     files that are written, removed and restored over time
//! state              ──► state       what an earlier agent stored for this one
//!                            └──► report: errors have places, and are bounded
//!                                 serve:  what was accepted is compiled, and connects are decided
//! rows               ──► rows        rows that another process left in the maps
//! requests           ──► requests    one connection to the control socket
//! ```
//!
//! `memory` counts what a read allocates. `tests/replay.rs` runs the corpus without a fuzzer.

mod annotations;
mod changes;
mod file;
mod memory;
mod report;
mod requests;
mod rows;
mod serve;
mod state;

/// A fuzz target.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is also that of its directory in `corpus`.
    pub name: &'static str,
    /// Panics when the bytes break a rule.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "native",
        run: file::check,
    },
    // The same code; another corpus, so that the objects of both forms are explored as much.
    Target {
        name: "kubernetes",
        run: file::check,
    },
    Target {
        name: "annotations",
        run: annotations::check,
    },
    Target {
        name: "changes",
        run: changes::check,
    },
    Target {
        name: "state",
        run: state::check,
    },
    Target {
        name: "rows",
        run: rows::check,
    },
    Target {
        name: "requests",
        run: requests::check,
    },
];

/// Returns the target with this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
