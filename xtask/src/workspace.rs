//! Where things are in this repository.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Top directory of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target)
}

/// The target that everything optimised is built for. It is named although it is the host's: only
/// then do build scripts and procedural macros, which the compiler loads, keep their own flags.
pub fn triple() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// Directory of the optimised and static binaries.
pub fn built() -> PathBuf {
    target().join(triple()).join("dist")
}

/// The shop that the demo serves.
pub fn example() -> PathBuf {
    root().join("deploy/example")
}
