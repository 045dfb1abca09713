//! Confines this process after its start: the capabilities of every thread, and the system calls.
//!
//! ```text
//! main ──► RunTime::begin ──► worker threads: RunTime::enter ──► programs are attached ──► main thread: RunTime::enter
//!          fewer at once      hold what is needed at run time                               nothing else is held any more
//!                                                                                           Filters::install
//! ```

pub mod capabilities;
mod system_call_lists;
pub mod system_calls;
