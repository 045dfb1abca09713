//! Paths in this repository.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Returns the root directory of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Returns the target directory of cargo.
pub fn target() -> PathBuf {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target)
}

/// Returns the target of all optimised builds. It is the host's, and is named all the same: only
/// then do build scripts and procedural macros, which the compiler loads, keep their own flags.
pub fn triple() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// Directory of the optimised and static binaries.
pub fn built() -> PathBuf {
    target().join(triple()).join("dist")
}

/// Returns the directory of the example, which the demo serves.
pub fn example() -> PathBuf {
    root().join("deploy/example")
}
