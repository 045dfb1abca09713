//! The counters that the kernel programs keep for each service: one table, from which metrics, API
//! and meshctl follow. Programs count by [`Counter::index`]; the agent reads rows and names.

/// What a counter says about a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was answered.
    Answer,
    /// It was refused. Outputs that have no room for each refusal show the sum.
    Refusal,
    /// It was answered with a backend other than the first choice.
    Detour,
    /// Neither: something that happened besides the answer.
    Event,
}

/// Declares the enum and its properties. One line per counter: variant, kind, metric name without
/// the `mesh_agent_service_` prefix and the `_total` suffix, and the sentence for `# HELP`.
macro_rules! counters {
    ($($(#[$doc:meta])+ $variant:ident, $kind:ident, $name:literal, $help:literal;)+) => {
        /// One counter: its place in a [`ServiceCounters`](crate::abi::ServiceCounters) row and its
        /// public name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[$doc])+ $variant,)+
        }

        impl Counter {
            /// All counters, in the order of their index.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// Returns the kind.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)+
                }
            }

            /// Returns the metric name without the `mesh_agent_service_` prefix and the `_total`
            /// suffix. In JSON it is written in camel case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns one sentence for `# HELP`. It begins with `Connects` unless the kind is
            /// [`Kind::Event`].
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $help,)+
                }
            }
        }
    };
}

// Running kernels hold rows in this order: new counters go to the end.
counters! {
    /// A connect was answered with a backend.
    Connects, Answer, "connects", "Connects that got a backend";
    /// A connect was refused because the service has no usable backend.
    RefusedNoBackend, Refusal, "refused_no_backend", "Connects refused because no backend was usable";
    /// A connect was refused because a map row refers to a missing row.
    RefusedBroken, Refusal, "refused_broken", "Connects refused because a map row refers to a missing row";
    /// A connect was answered without a socket record, because no row was free; `getpeername` shows
    /// the backend.
    Unrecorded, Event, "unrecorded", "Connects that got a backend but no socket record, because no row was free";
    /// A connect was refused because the service, or every usable backend, is at its connection
    /// limit.
    RefusedLimit, Refusal, "refused_limit", "Connects refused because a connection limit was reached";
    /// A connect to a backend was refused there, or not answered in time.
    Failures, Event, "failures", "Connects that the backend refused or did not answer in time";
    /// A backend was ejected.
    Ejections, Event, "ejections", "Ejections of backends";
    /// A connect went to an ejected backend as its trial.
    Trials, Detour, "trials", "Connects sent to an ejected backend as a trial";
    /// A connect went to another backend because its first choice was at its connection limit.
    Overflows, Detour, "overflows", "Connects that went to another backend because the first choice was full";
    /// A connect went to a farther tier than the first.
    Failovers, Detour, "failovers", "Connects that went to a farther tier than the first";
    /// A connect went to an ejected backend because too few others were usable.
    Panics, Detour, "panics", "Connects sent to ejected backends because too few others were usable";
    /// A connect was refused because its client is at its limit of the service's connections.
    RefusedShare, Refusal, "refused_share", "Connects refused because their client holds its share of the connections";
}

impl Counter {
    /// Returns the place in a counter row.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns all counters of a kind.
    pub fn of_kind(kind: Kind) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |counter| counter.kind() == kind)
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

    #[test]
    fn help_begins_with_the_word_that_meshctl_replaces() {
        for counter in Counter::ALL {
            let is_event = counter.kind() == Kind::Event;
            assert!(
                is_event || counter.help().starts_with("Connects "),
                "{counter:?}"
            );
        }
    }
}
