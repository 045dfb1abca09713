//! What the kernel knows of programs and processes: run times, memory, CPU.

pub mod cpu;
pub mod empty;
pub mod memory;
pub mod stats;
pub mod sys;
