//! Builds the kernel programs and leaves the object in `OUT_DIR/mesh`.

use std::process::Command;

use anyhow::bail;
use aya_build::{Package, Toolchain};

/// The toolchain that `cargo xtask setup` links on Debian, see there.
const DISTRIBUTION: &str = "bpf";

fn main() -> anyhow::Result<()> {
    let toolchain = if can_build_core("nightly") {
        Toolchain::Nightly
    } else if can_build_core(DISTRIBUTION) {
        // A stable compiler builds `core` from source only when told that it may.
        // SAFETY: the build script has one thread here.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
        Toolchain::Custom(DISTRIBUTION)
    } else {
        bail!("no compiler for the kernel programs on this machine: run `cargo xtask setup`");
    };
    if Command::new("bpf-linker")
        .arg("--version")
        .output()
        .is_err()
    {
        bail!("no bpf-linker on this machine: run `cargo xtask setup`");
    }
    let linker = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../mesh-ebpf/linker.sh");
    // SAFETY: as above.
    unsafe { std::env::set_var("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker) };
    let features: &[&str] = match std::env::var_os("CARGO_FEATURE_KERNEL_LOG") {
        Some(_) => &["kernel-log"],
        None => &[],
    };
    let ebpf = Package {
        name: "mesh-ebpf",
        root_dir: "../mesh-ebpf",
        features,
        ..Package::default()
    };
    println!("cargo:rerun-if-changed=../mesh-common/src");
    aya_build::build_ebpf([ebpf], toolchain)
}

/// Whether a rustup toolchain has the sources of `core`, which has no prebuilt form for the BPF
/// target.
fn can_build_core(toolchain: &str) -> bool {
    let sysroot = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .output();
    let Ok(output) = sysroot else { return false };
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let sources =
        std::path::Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    output.status.success() && sources.exists()
}
