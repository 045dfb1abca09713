//! Load: client and server processes, each in its cgroup.

pub mod cpu;
pub mod drive;
pub mod serve;
