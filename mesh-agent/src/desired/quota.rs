//! How much of the maps one service, and the services of one namespace, may have.

/// Shares of the rows of each map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// Of one service, percent, from 1 to 100.
    pub service_percent: u8,
    /// Of all services of one namespace, percent, from 1 to 100.
    pub namespace_percent: u8,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { service_percent: 25, namespace_percent: 50 }
    }
}
