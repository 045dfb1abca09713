//! How connects are spread over endpoints, when an endpoint is left alone, and which are near.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

/// Which endpoint takes a connect. Every policy honours weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Balance {
    /// The less loaded per weight of two random choices.
    #[default]
    LeastConnections,
    /// As least connections, the load multiplied by a moving average of the time that connections take.
    LatencyAware,
    /// Weighted random.
    Random,
    /// In turn.
    RoundRobin,
    /// The same for the same client, whatever happens to the others (Maglev).
    ConsistentHash(HashKey),
}

/// What of a client is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HashKey {
    /// Its network namespace, which is a pod.
    #[default]
    NetworkNamespace,
    /// Its cgroup, which is a container.
    Cgroup,
    /// The address its socket is bound to; its network namespace while that is none.
    SourceAddress,
}

/// When connect failures eject an endpoint, in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outlier {
    /// Failures in a row; zero for never.
    pub consecutive_failures: u8,
    /// Length of the first ejection; each further one in a row is twice as long. Whole milliseconds, at most a day.
    pub base_ejection: Duration,
    /// Longest ejection. Whole milliseconds, at most a day.
    pub max_ejection: Duration,
    /// Share of the capacity that may be ejected, percent. Where it is not given, it is the default of what clients agree
    /// on, and what a client ejects for itself has no bound.
    pub max_ejected_percent: Option<u8>,
    /// Ejections are ignored while less than this share of the capacity is usable, percent. As for the share.
    pub panic_percent: Option<u8>,
    /// A connect that is not answered for so long has failed. Whole milliseconds, at most a minute.
    pub connect_timeout: Duration,
}

/// Default of [`Outlier::max_ejected_percent`] for what clients agree on.
pub const MAX_EJECTED_PERCENT: u8 = 50;
/// Default of [`Outlier::panic_percent`] for what clients agree on.
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

/// How many connections at the same time, on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// To all endpoints together.
    pub connections: Option<NonZeroU32>,
    /// To each endpoint.
    pub connections_per_endpoint: Option<NonZeroU32>,
    /// Percent of `connections` that one client may hold, 1 to 100; only together with it.
    pub percent_per_client: Option<u8>,
}

/// Where something is, as far as known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Locality {
    /// Cloud.
    pub cloud: Option<Arc<str>>,
    /// Region, unique within the cloud.
    pub region: Option<Arc<str>>,
    /// Zone, unique within the region.
    pub zone: Option<Arc<str>>,
}

/// Where the connects to an endpoint should come from, as its EndpointSlice says; at least one of the lists has a name.
/// <https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution>
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// Names of nodes (`forNodes`).
    pub nodes: Vec<Arc<str>>,
    /// Names of zones (`forZones`).
    pub zones: Vec<Arc<str>>,
}

/// What an endpoint and this node may have in common.
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
        f.write_str(match self {
            Self::Node => "node",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Cloud => "cloud",
        })
    }
}

/// Which endpoints come first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nearness {
    /// Levels in the order in which they are used, none twice; endpoints that share none come last. Empty when all are
    /// equally near.
    pub order: Vec<LocalityLevel>,
    /// The next level gets the missing share while less than this share of a level's capacity is usable, percent.
    pub failover_percent: u8,
    /// How many times busier per weight than the next a level is left at, in 1/100, above 100.
    pub spill: Option<u16>,
    /// Which sources come first, before any level.
    pub sources: SourcePreference,
    /// Whether the hints of EndpointSlices count. Endpoints that have some are judged by them instead of by `order`.
    pub by_hints: bool,
}

impl Default for Nearness {
    fn default() -> Self {
        Self { order: Vec::new(), failover_percent: 70, spill: None, sources: SourcePreference::None, by_hints: false }
    }
}

/// Of a service that several sources have, whose endpoints come first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SourcePreference {
    /// Those of the local source.
    Local,
    /// Those of other sources.
    Remote,
    /// All alike.
    #[default]
    None,
}

/// A number from 0 to 1, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ratio(pub u32);

/// How the weight of a new endpoint approaches its target T: S(n+1) = S(n) + α·(T − S(n)), S(0) = α·T.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowStart {
    /// α, above 0 and at most 1.
    pub alpha: Ratio,
    /// Time from n to n+1, at least 100 ms.
    pub tick: Duration,
}

/// How the weight of a draining endpoint shrinks: C(n+1) = C(n)·β. Without it, to zero at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// β, below 1.
    pub beta: Ratio,
    /// Time from n to n+1, at least 100 ms.
    pub tick: Duration,
}

/// How the agent finds out whether an endpoint works.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Port that is asked; the endpoint's own where absent.
    pub port: Option<u16>,
    /// From one probe to the next.
    pub interval: Duration,
    /// How long an answer may take; at most the interval.
    pub timeout: Duration,
    /// The interval is up to this much longer or shorter, percent.
    pub jitter_percent: u8,
    /// Successes in a row that make an endpoint healthy.
    pub rise: NonZeroU32,
    /// Failures in a row that make it unhealthy.
    pub fall: NonZeroU32,
    /// Whether the last healthy endpoint may be taken out as well.
    pub allow_empty: bool,
}

/// What a health check asks an endpoint.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Probe {
    /// Whether it accepts a TCP connection.
    Tcp,
    /// Whether it answers an HTTP/1.1 request.
    Http(HttpProbe),
    /// What it says of itself by the gRPC health checking protocol.
    Grpc {
        /// The service that is asked for; empty for the server as a whole.
        service: String,
    },
}

/// An HTTP request and what is a good answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpProbe {
    /// By way of TLS. The certificate is not checked: an endpoint is asked by its address.
    pub tls: bool,
    /// Path and query.
    pub path: String,
    /// Request headers, `host` among them where it is not to be the address.
    pub headers: Vec<(String, String)>,
    /// First and last status code that is good.
    pub status: (u16, u16),
    /// A header that the answer must have, with this value.
    pub expect_header: Option<(String, String)>,
}
