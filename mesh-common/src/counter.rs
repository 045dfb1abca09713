//! Every number the kernel programs count per service. Metrics and the CLI follow from this list.

/// One counter: its place in a [`ServiceCounters`](crate::abi::ServiceCounters) row and its public name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// A connect was answered with a backend.
    Connects,
    /// A connect was refused because the service has no usable backend.
    RefusedNoBackend,
    /// A connect was refused because a row named one that is not there; the maps contradict each other.
    RefusedBroken,
    /// A connect was answered but its socket record could not be stored, so `getpeername` shows the backend.
    Unrecorded,
}

impl Counter {
    /// All counters, in the order of their index.
    pub const ALL: [Self; 4] = [Self::Connects, Self::RefusedNoBackend, Self::RefusedBroken, Self::Unrecorded];

    /// Place in a counter row.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Metric name without the `mesh_agent_service_` prefix and the `_total` suffix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connects => "connects",
            Self::RefusedNoBackend => "refused_no_backend",
            Self::RefusedBroken => "refused_broken",
            Self::Unrecorded => "unrecorded",
        }
    }

    /// One sentence for `# HELP`.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Connects => "Connects answered with a backend",
            Self::RefusedNoBackend => "Connects refused because no backend was usable",
            Self::RefusedBroken => "Connects refused because the maps contradict each other",
            Self::Unrecorded => "Connects answered without room for the socket record",
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
