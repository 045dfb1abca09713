//! Finds the programs under test.

use std::{env, path::PathBuf};

/// Returns the path of a program of this workspace, built with the same profile as the running
/// test.
pub fn find(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `cargo xtask test`",
        path.display()
    );
    path
}

/// `MESH_BIN_DIR`, else `target/<profile>`: tests run from `target/<profile>/deps`.
fn directory() -> PathBuf {
    if let Some(directory) = env::var_os("MESH_BIN_DIR") {
        return directory.into();
    }
    let test = env::current_exe().expect("the running test has a path");
    test.ancestors()
        .nth(2)
        .expect("tests run from target/<profile>/deps")
        .into()
}
