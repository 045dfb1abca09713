//! `bpf-linker`, which turns the compiler's LLVM bitcode into a BPF object.

use std::{path::Path, process::Command};

use anyhow::Context;

use super::{Step, compiler, debian, tools};
use crate::run;

pub const STEP: Step = Step {
    name: "bpf-linker",
    find,
    install,
};

/// Builds with LLVM 21, 22 and 23.
const VERSION: &str = "0.13.0";

fn find() -> Option<String> {
    run::which("bpf-linker").map(|path| path.display().to_string())
}

/// Installs a linker that is built with the compiler's LLVM, because another version may not read the
/// bitcode.
fn install() -> anyhow::Result<()> {
    let llvm = compiler::llvm()?;
    let prefix = format!("/usr/lib/llvm-{llvm}");
    if !Path::new(&prefix).join("include/llvm-c").exists() {
        debian::install(&[&format!("llvm-{llvm}-dev")])
            .context("`cargo binstall bpf-linker` fetches a prebuilt one")?;
    }
    run::check(&mut build(llvm, &prefix))
}

fn build(llvm: u32, prefix: &str) -> Command {
    let mut cargo = tools::cargo_install("bpf-linker", VERSION);
    cargo.args([
        "--no-default-features",
        "--features",
        &format!("llvm-{llvm}"),
    ]);
    cargo
        .env("LLVM_PREFIX", prefix)
        .env(format!("LLVM_SYS_{llvm}1_PREFIX"), prefix);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linker_is_built_for_the_llvm_of_the_compiler() {
        assert_eq!(
            run::line(&build(22, "/usr/lib/llvm-22")),
            "LLVM_PREFIX=/usr/lib/llvm-22 LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker \
             --version 0.13.0 --locked --no-default-features --features llvm-22"
        );
    }
}
