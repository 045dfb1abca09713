//! Work in other network namespaces. A small, separate process does it, `mesh-agent
//! namespace-helper`, so that the daemon keeps no capability to enter namespaces.
//!
//! ```text
//! Namespaces ──► Helper ──► Channel ══ a socket per request ══► serve: a thread per request ──► stale, exclude
//!    │           process     client                             in the helper                  setns, list, close
//!    └── without a helper, only the daemon's own namespace
//! ```

mod channel;
mod helper;
mod pass_socket;
mod request;
mod serve;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, io, path::Path};

use tokio_util::sync::CancellationToken;

use self::{helper::Error, request::Request};
pub use self::{helper::Helper, serve::run};
use crate::{
    dataplane::exclude,
    stale::{self, CloseReport, NamespaceScope, ScanResult, Tracked},
};

/// Name of the subcommand that is the helper.
pub const COMMAND: &str = "namespace-helper";
/// Flag of the helper for an agent without a system call filter.
const UNFILTERED: &str = "--unfiltered";

/// Where sockets are listed and closed, and by which process.
pub struct Namespaces {
    scope: NamespaceScope,
    helper: Option<Helper>,
}

impl Namespaces {
    /// Without a helper, only the daemon's own namespace is searched.
    pub fn new(scope: NamespaceScope, helper: Option<Helper>) -> Self {
        Self { scope, helper }
    }

    /// Closes these sockets in the namespaces in scope; see [`stale::destroy`].
    pub fn close(&self, sockets: &[Tracked]) -> CloseReport {
        let here = || stale::destroy(sockets, NamespaceScope::Own);
        let Some(helper) = self.helper_in_scope() else {
            return here();
        };
        let request = Request::Close(sockets.to_vec());
        helper
            .ask(&request, &CancellationToken::new())
            .unwrap_or_else(|error| {
                let mut report = here();
                report.failed.extend(new(&error));
                report
            })
    }

    /// Searches these sockets in the namespaces in scope; see [`stale::scan`]. Ends early at `stop`.
    pub fn scan(&self, wanted: &HashSet<u64>, stop: &CancellationToken) -> ScanResult {
        let here = || stale::scan(wanted, NamespaceScope::Own);
        let Some(helper) = self.helper_in_scope() else {
            return here();
        };
        let request = Request::Scan(wanted.clone());
        helper.ask(&request, stop).unwrap_or_else(|error| {
            let mut seen = here();
            seen.unsearched.extend(new(&error));
            seen
        })
    }

    /// Returns the cookie of the namespace at this path.
    pub fn cookie(&self, path: &Path) -> io::Result<u64> {
        let Some(helper) = &self.helper else {
            return exclude::netns_cookie_at(path);
        };
        let request = Request::Cookie(path.to_owned());
        let answer: Result<u64, String> = helper
            .ask(&request, &CancellationToken::new())
            .map_err(io::Error::other)?;
        answer.map_err(io::Error::other)
    }

    /// Returns why other namespaces can no longer be entered.
    pub fn problem(&self) -> Option<String> {
        self.helper.as_ref()?.ended().map(|error| error.to_string())
    }

    /// Returns the helper if it is to search other namespaces.
    fn helper_in_scope(&self) -> Option<&Helper> {
        self.helper
            .as_ref()
            .filter(|_| self.scope == NamespaceScope::All)
    }
}

/// Returns the words for an error unless [`Namespaces::problem`] has them.
fn new(error: &Error) -> Option<String> {
    match error {
        Error::Failed(_) => Some(error.to_string()),
        Error::Ended(_) | Error::Stopping => None,
    }
}
