//! Makes a machine ready. A step is a cheap look and an installation; the look is repeated after
//! installing, so `ok` is never said on trust.

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

/// One thing a machine must have.
pub struct Step {
    /// What it is, for the user.
    name: &'static str,
    /// What there is already; `None` when it must be installed.
    find: fn() -> Option<String>,
    /// Installs it, or fails with the commands that would.
    install: fn() -> anyhow::Result<()>,
}

/// To build the agent.
pub const BUILD: &[Step] = &[compiler::STEP, linker::STEP];

/// To make packages, beside what builds the agent.
pub const PACKAGE: &[Step] = &[programs::DPKG];

/// To show the agent on this machine.
pub const DEMO: &[Step] = &[compiler::STEP, linker::STEP, programs::STEP, bpffs::STEP];

/// To test the agent.
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

/// To test the agent on other kernels.
pub const VM: &[Step] = &[compiler::STEP, linker::STEP, programs::STEP, emulator::STEP];

/// To fuzz what reads files and requests.
pub const FUZZ: &[Step] = &[fuzzer::STEP];

/// To check the sources.
pub const LINT: &[Step] = &[compiler::STEP, linker::STEP, tools::MACHETE, tools::DENY];

/// To work here; what only `lint` needs takes minutes to build and waits until asked for.
pub const MACHINE: &[Step] = TEST;

/// Looks for every step and installs what is missing, in order.
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
