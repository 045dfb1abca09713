//! Builds the kernel programs and leaves the object in `OUT_DIR/mesh`.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, bail};
use aya_build::{Package, Toolchain};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};

/// The toolchain that `cargo xtask setup` links on Debian, see there.
const DISTRIBUTION: &str = "bpf";

fn main() -> anyhow::Result<()> {
    let toolchain = if can_build_core("nightly") {
        Toolchain::Nightly
    } else if can_build_core(DISTRIBUTION) {
        // A stable compiler builds `core` from source only when told that it may.
        // SAFETY: the build script has one thread here.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
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
    let linker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mesh-ebpf/linker.sh");
    // SAFETY: as above.
    unsafe { env::set_var("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker) };
    // Paths of this machine would be in the object, and make it differ from one that is built elsewhere.
    for (name, value) in [
        ("CARGO_UNSTABLE_TRIM_PATHS", "true"),
        ("CARGO_PROFILE_RELEASE_TRIM_PATHS", "object"),
    ] {
        // SAFETY: as above.
        unsafe { env::set_var(name, value) };
    }
    let features: &[&str] = match env::var_os("CARGO_FEATURE_KERNEL_LOG") {
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
    aya_build::build_ebpf([ebpf], toolchain)?;
    let output = env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?;
    strip(&Path::new(&output).join("mesh"))
}

/// Removes the sections for debuggers, three quarters of the object. The kernel takes types and lines of source from
/// `.BTF` and `.BTF.ext`.
fn strip(file: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let mut object = Builder::read(&*bytes)?;
    for section in &mut object.sections {
        let name = section.name.as_slice();
        section.delete = [&b".debug_"[..], b".rel.debug_"]
            .iter()
            .any(|start| name.starts_with(start));
    }
    // LLVM writes names of sections and of symbols into one section, which the builder cannot.
    let names = object.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    object.delete_orphans();
    let mut stripped = Vec::new();
    object.write(&mut stripped)?;
    fs::write(file, stripped).with_context(|| file.display().to_string())
}

/// Whether a rustup toolchain has the sources of `core`, which has no prebuilt form for the BPF
/// target.
fn can_build_core(toolchain: &str) -> bool {
    let sysroot = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .output();
    let Ok(output) = sysroot else { return false };
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    output.status.success() && sources.exists()
}
