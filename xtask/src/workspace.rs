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

/// A binary of the release build.
pub fn release(binary: &str) -> PathBuf {
    target().join("release").join(binary)
}

/// The shop that the demo serves.
pub fn example() -> PathBuf {
    root().join("deploy/example")
}
