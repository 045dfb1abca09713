//! The C++ compiler, with which libFuzzer is built.

use super::{Step, debian};
use crate::run;

pub const STEP: Step = Step {
    name: "C++ compiler",
    find,
    install,
};

fn find() -> Option<String> {
    run::which("c++").map(|path| path.display().to_string())
}

fn install() -> anyhow::Result<()> {
    debian::install(&["g++"])
}
