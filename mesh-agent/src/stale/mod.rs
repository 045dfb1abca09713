//! Closes sockets whose backend left, and no others. A connected UDP socket gets no FIN and would
//! send to an address without a server for as long as it is open.
//!
//! ```text
//! backends that left ──► CloseSchedule ──► rows of SOCKETS ──stale()──► Attempts::due() ──destroy()──► SOCK_DESTROY in every
//!                            pure                          pure           pure            │           network namespace
//!                              ▲──────────────── unfinished() ──────────────┴◄─ record() ─┴── CloseReport
//! ```
//!
//! [`namespace`] finds the network namespaces; [`sock_diag`] lists and closes the sockets of a
//! thread's namespace.
//!
//! Also releases what sockets hold that ended without a hook:
//! ```text
//! rows of SOCKETS ──► scan() in every network namespace ──ScanResult──► MissingSockets ──► Request::Settle, then Forget
//!        └──────────► counts before and after ──────────────────────► CountDrift ──────► Request::Backend, Service, Add
//!                                            └────────────────► expired() ─► the same, to clear reservations
//! ```

mod attempts;
mod close_schedule;
mod count_drift;
mod destroy;
mod error;
mod json;
mod missing_sockets;
mod namespace;
mod sock_diag;
mod socket_scan;
mod tracked;

#[cfg(test)]
pub(crate) mod tests;

pub use self::{
    attempts::Attempts,
    close_schedule::{BackendSet, CloseSchedule, DueClose},
    count_drift::{CountDrift, CountSamples},
    destroy::{CloseReport, destroy},
    missing_sockets::MissingSockets,
    namespace::NamespaceScope,
    socket_scan::{ScanResult, scan},
    tracked::{Tracked, TrackedSocket, closes, is_tracked, stale},
};
