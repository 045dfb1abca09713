//! Builds the fuzzer. The options are of the stable compiler; `cargo fuzz` gives the same ones.

use std::path::PathBuf;

use crate::{cargo::cargo, run, workspace};

/// Counters of coverage, and the operands of comparisons, for libFuzzer.
const COVERAGE: [&str; 5] = [
    "passes=sancov-module",
    "llvm-args=-sanitizer-coverage-level=4",
    "llvm-args=-sanitizer-coverage-inline-8bit-counters",
    "llvm-args=-sanitizer-coverage-pc-table",
    "llvm-args=-sanitizer-coverage-trace-compares",
];
/// The host target, which is named so that build scripts and macros are built without counters.
const HOST: &str = match cfg!(target_arch = "aarch64") {
    true => "aarch64-unknown-linux-gnu",
    false => "x86_64-unknown-linux-gnu",
};

/// Builds the fuzzer, beside other builds, and returns its path.
pub fn fuzzer() -> anyhow::Result<PathBuf> {
    let directory = workspace::target().join("fuzz");
    let flags: Vec<String> = COVERAGE
        .iter()
        .map(|option| format!("-C{option}"))
        .collect();
    let arguments = [
        "build",
        "--package",
        "mesh-fuzz",
        "--features",
        "libfuzzer",
        "--bin",
        "mesh-fuzz",
        "--profile",
        "fuzz",
        "--target",
        HOST,
        "--target-dir",
    ];
    let mut cargo = cargo(&arguments);
    cargo
        .arg(&directory)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    run::check(&mut cargo)?;
    Ok(directory.join(HOST).join("fuzz/mesh-fuzz"))
}
