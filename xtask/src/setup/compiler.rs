//! The compiler for the kernel programs. `core` has no prebuilt form for the BPF target, so the
//! compiler must come with its library sources. The agent's build script looks for the same two
//! toolchains in the same order.

use std::{path::Path, process::Command};

use anyhow::{Context, bail};

use super::{Step, debian};
use crate::run;

pub const STEP: Step = Step {
    name: "compiler for the kernel programs",
    find,
    install,
};

/// Names of toolchains in rustup that can be used: rustup's own, then Debian's, which [`install`]
/// links.
const TOOLCHAINS: [&str; 2] = ["nightly", "bpf"];

/// Major version of the compiler's LLVM, which `bpf-linker` must match.
pub fn llvm() -> anyhow::Result<u32> {
    let toolchain = toolchain().context("no compiler for the kernel programs")?;
    let version = run::read(Command::new("rustup").args(["run", toolchain, "rustc", "-vV"]))?;
    llvm_major(&version)
        .with_context(|| format!("rustc of toolchain {toolchain} does not name its LLVM"))
}

fn find() -> Option<String> {
    toolchain().map(|name| format!("toolchain {name} with library sources"))
}

fn toolchain() -> Option<&'static str> {
    TOOLCHAINS.into_iter().find(|name| can_build_core(name))
}

fn can_build_core(toolchain: &str) -> bool {
    let sysroot =
        run::read(Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]));
    sysroot.is_ok_and(|path| {
        Path::new(path.trim())
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .exists()
    })
}

/// Debian's own compiler, whose sources are a package.
fn install() -> anyhow::Result<()> {
    if run::which("rustup").is_none() {
        bail!("the toolchains are found through rustup, and there is no rustup on this machine");
    }
    if !debian::is_ours() {
        bail!("any of these provides it:\n{BY_RUSTUP}\n{BY_DEBIAN}");
    }
    debian::install(&["rustc-web", "cargo-web", "rust-web-src"]).context(BY_RUSTUP)?;
    run::check(Command::new("rustup").args(["toolchain", "link", TOOLCHAINS[1], "/usr"]))
}

const BY_RUSTUP: &str =
    "  anywhere:          rustup toolchain install nightly --component rust-src";
const BY_DEBIAN: &str = "  Debian 12 as root: apt-get update && apt-get install -y --no-install-recommends rustc-web \
                         cargo-web rust-web-src llvm-22-dev && rustup toolchain link bpf /usr";

fn llvm_major(rustc_version: &str) -> Option<u32> {
    let llvm = rustc_version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_is_read_from_verbose_version() {
        assert_eq!(
            llvm_major("rustc 1.96.0\nhost: x86_64\nLLVM version: 22.1.8\n"),
            Some(22)
        );
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
