//! The events that the owner handles, and the effects of each. Both are plain data, so that tests
//! of the owner need no runtime.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{
    api::{types::Change, view::Refusal},
    desired::Target,
    health::{HealthReport, Wanted},
    source::SourceUpdate,
};

/// What the owner is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A whole snapshot of one source.
    Source(SourceUpdate),
    /// A source ended, for this reason. It is started again.
    SourceEnded {
        /// Name of the source.
        source: Arc<str>,
        /// Why it ended.
        reason: String,
    },
    /// The results of all health checks.
    Health(Arc<HealthReport>),
    /// An operator changes an endpoint.
    Command(Command),
    /// The present state of the node.
    Node(NodeState),
    /// Rows in the kernel may differ from what the owner wrote.
    Resync,
    /// The time of [`Effects::wake`] has come.
    Tick,
}

/// An operator's change of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Command {
    pub(super) target: Target,
    pub(super) change: Change,
    /// Whether the last active endpoint may be removed.
    pub(super) force: bool,
}

impl Command {
    /// Returns the command line that asks for it, for the log.
    pub(super) fn line(&self) -> String {
        let force = if self.force { " --force" } else { "" };
        format!("meshctl backend {}{force}", self.change.verb())
    }

    /// Returns the address of the endpoint.
    pub(super) fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.target.address, self.target.port)
    }
}

/// The result of a command: a warning, if there is one.
pub(super) type Answer = Result<Option<String>, Refusal>;

/// State of the node that the owner depends on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct NodeState {
    /// Addresses at which node ports are served; nothing if they cannot be read.
    pub(super) addresses: Option<BTreeSet<IpAddr>>,
    /// Problems of excluded cgroups and network namespaces.
    pub(super) excluded: Vec<String>,
    /// Problems of the program links.
    pub(super) links: Vec<String>,
}

/// What follows from an event. The rows of the data plane are written already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Effects {
    /// The maps hold the configuration for the first time: attach the programs.
    pub(super) attach: bool,
    /// The snapshot has changed.
    pub(super) publish: bool,
    /// The endpoints to check from now on, if they have changed.
    pub(super) checks: Option<Arc<Wanted>>,
    /// The answer to the command.
    pub(super) answer: Option<Answer>,
    /// Backends whose sockets must be closed.
    pub(super) close: RemovedBackends,
    /// The sockets of all backends are checked again.
    pub(super) close_all: bool,
    /// Unused memory is returned to the system.
    pub(super) trim: Trim,
    /// When to send [`Event::Tick`], by the monotonic clock.
    pub(super) wake: Option<Duration>,
}

/// When unused memory is returned to the system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum Trim {
    /// Not because of this event.
    #[default]
    No,
    /// When nothing else is left to do.
    WhenIdle,
    /// At once.
    Now,
}

/// Backends that were removed while sockets held them. Only these need a search of all sockets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct RemovedBackends {
    /// Backends that take no more connects, and whose sockets must be closed.
    pub(super) removed: BTreeSet<u32>,
    /// Backends whose row was freed. The drain is over, or a connect under way at the removal may
    /// have taken the backend.
    pub(super) freed: BTreeSet<u32>,
}
