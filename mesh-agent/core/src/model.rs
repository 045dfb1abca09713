//! The model of services. All values are valid: sources parse and check them, and
//! [`desired`](crate::desired) compiles them.

mod admission;
mod check_policy;
mod endpoint;
mod frontend;
mod name;
pub mod probe_address;
mod refused;
mod service;
mod traffic;
mod update;
mod word_lists;
mod words;
mod wrong;

pub use self::{
    admission::{Admission, NODE_PORTS, field, refusal},
    check_policy::{CheckOrigin, CheckPolicy},
    endpoint::{Condition, Endpoint},
    frontend::{Addresses, External, FrontendKind, InternalTraffic, Unserved},
    name::{Origin, ServiceName, place},
    refused::Refused,
    service::{Affinity, AffinityClient, Protocol, Service, ServicePort, Services, Traffic},
    traffic::{
        Balance, Drain, HashKey, HealthCheck, Hints, HttpProbe, Limits, Locality, LocalityLevel,
        LocalityPolicy, MAX_EJECTED_PERCENT, Outlier, PANIC_PERCENT, Probe, Ratio, SlowStart,
        SourcePreference,
    },
    update::{ConfigError, ConfigNote, LeftOut, Update},
    words::{Words, hyphenated},
    wrong::{Effect, Scope, Wrong},
};
