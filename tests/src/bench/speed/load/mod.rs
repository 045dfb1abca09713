//! Load: processes of their own that connect, and processes that answer, each in its cgroup.

pub mod cpu;
pub mod drive;
pub mod serve;
