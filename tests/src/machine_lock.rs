//! Who may run beside whom. Most tests share the machine; one that measures time has it alone.

use std::{env, fs::File};

/// Held for as long as a test uses the machine. A file lock, so that it also holds between processes.
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Beside other shared turns.
    pub fn shared() -> Self {
        Self::take(File::lock_shared)
    }

    /// Beside no other test.
    pub fn alone() -> Self {
        Self::take(File::lock)
    }

    fn take(lock: fn(&File) -> std::io::Result<()>) -> Self {
        let path = env::temp_dir().join("mesh-test-turns");
        let file = File::create(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        lock(&file).unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()));
        Self { _file: file }
    }
}
