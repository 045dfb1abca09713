//! Traffic settings: balancing, outlier detection, limits, locality, ramps and health checks.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use super::words::Words as _;

/// Balancing policy. Every policy honours weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Balance {
    /// The less loaded, per weight, of two random choices.
    #[default]
    LeastConnections,
    /// Like least connections, with the load multiplied by a moving average of the connect time.
    LatencyAware,
    /// Weighted random.
    Random,
    /// Weighted round robin.
    RoundRobin,
    /// Consistent hashing of the client (Maglev).
    ConsistentHash(HashKey),
}

/// Client attribute to hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HashKey {
    /// The network namespace, which is the pod.
    #[default]
    NetworkNamespace,
    /// The cgroup, which is the container.
    Cgroup,
    /// The source address that the socket is bound to, or the network namespace if it is not bound.
    SourceAddress,
}

/// Outlier detection in the kernel: when connect failures eject an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outlier {
    /// Consecutive failures that eject; zero means never.
    pub consecutive_failures: u8,
    /// Length of the first ejection; each consecutive one is twice as long. Whole milliseconds, at
    /// most a day.
    pub base_ejection: Duration,
    /// Longest ejection. Whole milliseconds, at most a day.
    pub max_ejection: Duration,
    /// Largest share of the capacity that may be ejected, in percent. If absent, the default
    /// applies to ejections by agreement, and a client's own ejections are unbounded.
    pub max_ejected_percent: Option<u8>,
    /// Ejections are ignored while less than this share of the capacity is usable, in percent. If
    /// absent, the default applies to ejections by agreement only.
    pub panic_percent: Option<u8>,
    /// Time after which an unanswered connect counts as failed. Whole milliseconds, at most a
    /// minute.
    pub connect_timeout: Duration,
}

/// Default of [`Outlier::max_ejected_percent`] for ejections by agreement.
pub const MAX_EJECTED_PERCENT: u8 = 50;
/// Default of [`Outlier::panic_percent`] for ejections by agreement.
pub const PANIC_PERCENT: u8 = 50;

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_failures: 3,
            base_ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: None,
            panic_percent: None,
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// Limits of concurrent connections on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// To all endpoints together.
    pub connections: Option<NonZeroU32>,
    /// To each endpoint.
    pub connections_per_endpoint: Option<NonZeroU32>,
    /// Percent of `connections` that one client may hold, 1 to 100; only together with it.
    pub percent_per_client: Option<u8>,
}

/// Location of a node or an endpoint, as far as known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Locality {
    /// Cloud.
    pub cloud: Option<Arc<str>>,
    /// Region, unique within the cloud.
    pub region: Option<Arc<str>>,
    /// Zone, unique within the region.
    pub zone: Option<Arc<str>>,
}

/// Where the connects to an endpoint should come from, as its EndpointSlice says; at least one of
/// the lists has a name.
/// <https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution>
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// Names of nodes (`forNodes`).
    pub nodes: Vec<Arc<str>>,
    /// Names of zones (`forZones`).
    pub zones: Vec<Arc<str>>,
}

/// Level at which an endpoint and this node may share their location.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LocalityLevel {
    /// The node.
    Node,
    /// The zone.
    Zone,
    /// The region.
    Region,
    /// The cloud.
    Cloud,
}

impl fmt::Display for LocalityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which endpoints come first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalityPolicy {
    /// Distinct levels in the order of preference; endpoints that share none come last. If empty,
    /// all endpoints are equal.
    pub order: Vec<LocalityLevel>,
    /// While less than this share of a tier's capacity is usable, in percent, the missing part of
    /// the connects goes to the next tier.
    pub failover_percent: u8,
    /// A tier spills into the next one when it is this many times busier per weight, in 1/100,
    /// above 100.
    pub spill: Option<u16>,
    /// Preferred sources, before any level.
    pub sources: SourcePreference,
    /// Whether the hints of EndpointSlices apply, instead of `order`, to endpoints that have hints.
    pub by_hints: bool,
}

impl Default for LocalityPolicy {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            failover_percent: 70,
            spill: None,
            sources: SourcePreference::None,
            by_hints: false,
        }
    }
}

/// Preferred endpoints of a service that several sources define.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SourcePreference {
    /// Endpoints of the local source.
    Local,
    /// Endpoints of other sources.
    Remote,
    /// No preference.
    #[default]
    None,
}

/// A number from 0 to 1, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ratio(pub u32);

/// Slow start: the weight of a new endpoint approaches its target T by S(n+1) = S(n) + α·(T −
/// S(n)), S(0) = α·T.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowStart {
    /// α, above 0 and at most 1.
    pub alpha: Ratio,
    /// Time from n to n+1, at least 100 ms.
    pub tick: Duration,
}

/// Drain: the weight of a draining endpoint shrinks by C(n+1) = C(n)·β.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// β, below 1.
    pub beta: Ratio,
    /// Time from n to n+1, at least 100 ms.
    pub tick: Duration,
}

/// A health check.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HealthCheck {
    /// Probe.
    pub probe: Probe,
    /// Port to probe; the endpoint's own port if absent.
    pub port: Option<u16>,
    /// Time from one probe to the next.
    pub interval: Duration,
    /// Timeout of a probe; at most the interval.
    pub timeout: Duration,
    /// Jitter: the interval varies by up to this percentage.
    pub jitter_percent: u8,
    /// Consecutive successes that make an endpoint healthy.
    pub rise: NonZeroU32,
    /// Consecutive failures that make it unhealthy.
    pub fall: NonZeroU32,
    /// Whether the last healthy endpoint may be taken out of service as well.
    pub allow_empty: bool,
}

/// Kind of probe.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Probe {
    /// Opens a TCP connection.
    Tcp,
    /// Sends an HTTP/1.1 request.
    Http(HttpProbe),
    /// Sends a request of the gRPC health checking protocol.
    Grpc {
        /// Service name in the request; empty for the server as a whole.
        service: String,
    },
}

/// An HTTP request and the expected answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpProbe {
    /// Whether to use TLS. The certificate is not verified, because an endpoint is probed by its
    /// address.
    pub tls: bool,
    /// Path and query.
    pub path: String,
    /// Request headers, including `host` if it is not the address.
    pub headers: Vec<(String, String)>,
    /// First and last accepted status code.
    pub status: (u16, u16),
    /// A header that the answer must have, with this value.
    pub expect_header: Option<(String, String)>,
}
