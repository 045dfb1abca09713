//! The emulator that boots other kernels than this machine's.

use super::{Step, debian};
use crate::run;

pub const STEP: Step = Step {
    name: "emulator",
    find,
    install,
};

fn find() -> Option<String> {
    run::which("qemu-system-x86_64").map(|path| path.display().to_string())
}

fn install() -> anyhow::Result<()> {
    debian::install(&["qemu-system-x86"])
}
