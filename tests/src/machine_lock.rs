//! A lock on the machine: most tests share it, and tests that measure time hold it exclusively.

use std::{env, fs::File};

/// The lock, held while a test runs. A file lock also works between processes.
pub struct MachineLock {
    _file: File,
}

impl MachineLock {
    /// Takes the lock shared.
    pub fn shared() -> Self {
        Self::take(File::lock_shared)
    }

    /// Takes the lock exclusively.
    pub fn alone() -> Self {
        Self::take(File::lock)
    }

    fn take(lock: fn(&File) -> std::io::Result<()>) -> Self {
        let path = env::temp_dir().join("mesh-test-turns");
        let file = File::create(&path)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        lock(&file).unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()));
        Self { _file: file }
    }
}
