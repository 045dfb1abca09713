//! Reads run times, memory and CPU time of programs and processes from the kernel.

pub mod cpu;
pub mod empty;
pub mod memory;
pub mod stats;
pub mod sys;
