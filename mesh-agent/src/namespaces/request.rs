//! The requests of the daemon to the helper. Requests and answers are JSON, one of each on a
//! socket.

use std::{collections::HashSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::stale::Tracked;

/// A request to the helper.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Request {
    /// Close these sockets; answered by a [`CloseReport`](crate::stale::CloseReport).
    Close(Vec<Tracked>),
    /// Search the sockets with these cookies; answered by a [`ScanResult`](crate::stale::ScanResult).
    Scan(HashSet<u64>),
    /// Return the cookie of the network namespace at this path; answered by it or by the reason.
    Cookie(PathBuf),
}
