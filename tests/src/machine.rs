//! The machine that runs the tests.

use std::{fs, sync::OnceLock};

/// Returns whether the processor is emulated, as by `cargo xtask vm`. Then it is many times slower.
pub fn is_emulated() -> bool {
    static EMULATED: OnceLock<bool> = OnceLock::new();
    *EMULATED.get_or_init(|| {
        let processors = fs::read_to_string("/proc/cpuinfo").expect("/proc is mounted");
        processors.contains("QEMU TCG")
    })
}
