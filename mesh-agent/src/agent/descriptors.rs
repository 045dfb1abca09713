//! How many files and sockets the agent may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Raises the limit to what the system allows. Processes begin with 1,024, for the sake of programs
/// that use `select`, and as many health checks can be under way.
pub fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!("cannot raise the number of open files: {error}");
    }
}
