//! The counters that the kernel programs keep for each service: one list from which metrics, API
//! and CLI follow. Programs count by [`Counter::index`]; the agent reads rows and names.

/// One counter: its place in a [`ServiceCounters`](crate::abi::ServiceCounters) row and its public
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// A connect was answered with a backend.
    Connects,
    /// A connect was refused because the service has no usable backend.
    RefusedNoBackend,
    /// A connect was refused because a map row refers to a missing row.
    RefusedBroken,
    /// A connect was answered without a socket record, because no row was free; `getpeername` shows
    /// the backend.
    Unrecorded,
    /// A connect was refused because the service, or every usable backend, is at its connection
    /// limit.
    RefusedLimit,
    /// A connect to a backend was refused there, or not answered in time.
    Failures,
    /// A backend was ejected.
    Ejections,
    /// A connect went to an ejected backend as its trial.
    Trials,
    /// A connect went to another backend because its first choice was at its connection limit.
    Overflows,
    /// A connect went to a farther tier than the first.
    Failovers,
    /// A connect went to an ejected backend because too few others were usable.
    Panics,
    /// A connect was refused because its client is at its limit of the service's connections.
    RefusedShare,
}

impl Counter {
    /// All counters, in the order of their index.
    pub const ALL: [Self; 12] = [
        Self::Connects,
        Self::RefusedNoBackend,
        Self::RefusedBroken,
        Self::Unrecorded,
        Self::RefusedLimit,
        Self::Failures,
        Self::Ejections,
        Self::Trials,
        Self::Overflows,
        Self::Failovers,
        Self::Panics,
        Self::RefusedShare,
    ];

    /// Returns the place in a counter row.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the metric name without the `mesh_agent_service_` prefix and the `_total` suffix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connects => "connects",
            Self::RefusedNoBackend => "refused_no_backend",
            Self::RefusedBroken => "refused_broken",
            Self::Unrecorded => "unrecorded",
            Self::RefusedLimit => "refused_limit",
            Self::Failures => "failures",
            Self::Ejections => "ejections",
            Self::Trials => "trials",
            Self::Overflows => "overflows",
            Self::Failovers => "failovers",
            Self::Panics => "panics",
            Self::RefusedShare => "refused_share",
        }
    }

    /// Returns one sentence for `# HELP`.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Connects => "Connects that got a backend",
            Self::RefusedNoBackend => "Connects refused because no backend was usable",
            Self::RefusedBroken => "Connects refused because a map row refers to a missing row",
            Self::Unrecorded => {
                "Connects that got a backend but no socket record, because no row was free"
            }
            Self::RefusedLimit => "Connects refused because a connection limit was reached",
            Self::Failures => "Connects that the backend refused or did not answer in time",
            Self::Ejections => "Ejections of backends",
            Self::Trials => "Connects sent to an ejected backend as a trial",
            Self::Overflows => {
                "Connects that went to another backend because the first choice was full"
            }
            Self::Failovers => "Connects that went to a farther tier than the first",
            Self::Panics => "Connects sent to ejected backends because too few others were usable",
            Self::RefusedShare => {
                "Connects refused because their client holds its share of the connections"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_place_in_the_list() {
        for (place, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter.index(), place);
        }
    }
}
