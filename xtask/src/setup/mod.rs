//! Installs what building and testing needs. Each step checks for a thing, installs it if it is
//! missing, and checks again.

mod bpffs;
mod clean_debian;
mod compiler;
mod debian;
mod emulator;
mod fuzzer;
mod linker;
pub mod peers;
mod programs;
mod tools;

use anyhow::{Context, bail};

/// A requirement of the machine.
pub struct Step {
    /// Name for the user.
    name: &'static str,
    /// Returns what is installed; `None` when it is missing.
    find: fn() -> Option<String>,
    /// Installs it, or fails with the commands that install it.
    install: fn() -> anyhow::Result<()>,
}

/// What building the agent needs.
pub const BUILD: &[Step] = &[compiler::STEP, linker::STEP];

/// What making packages needs, besides building the agent.
pub const PACKAGE: &[Step] = &[programs::DPKG];

/// What the demo needs.
pub const DEMO: &[Step] = &[compiler::STEP, linker::STEP, programs::STEP, bpffs::STEP];

/// What the tests need.
pub const TEST: &[Step] = &[
    compiler::STEP,
    linker::STEP,
    programs::STEP,
    bpffs::STEP,
    programs::DPKG,
    programs::PACKAGES,
    clean_debian::STEP,
    tools::NEXTEST,
];

/// What the switches between two releases need.
pub const UPGRADE: &[Step] = &[
    compiler::STEP,
    linker::STEP,
    programs::STEP,
    bpffs::STEP,
    tools::NEXTEST,
];

/// What tests on other kernels need.
pub const VM: &[Step] = &[compiler::STEP, linker::STEP, programs::STEP, emulator::STEP];

/// What fuzzing needs.
pub const FUZZ: &[Step] = &[fuzzer::STEP];

/// What `lint` needs.
pub const LINT: &[Step] = &[compiler::STEP, linker::STEP, tools::MACHETE, tools::DENY];

/// What `setup` installs. What only `lint` needs takes minutes to build, and is left to `lint`.
pub const MACHINE: &[Step] = TEST;

/// Checks every step in order, and installs what is missing.
pub fn ensure(steps: &[Step]) -> anyhow::Result<()> {
    steps.iter().try_for_each(Step::ensure)
}

impl Step {
    fn ensure(&self) -> anyhow::Result<()> {
        if let Some(found) = (self.find)() {
            println!("ok          {}: {found}", self.name);
            return Ok(());
        }
        println!("installing  {}", self.name);
        (self.install)().with_context(|| format!("{} is missing", self.name))?;
        let Some(found) = (self.find)() else {
            bail!("{}: installed, and still not found", self.name)
        };
        println!("ok          {}: {found}", self.name);
        Ok(())
    }
}
