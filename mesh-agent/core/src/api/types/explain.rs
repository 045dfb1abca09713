//! The explanation of a connect.

use serde::{Deserialize, Serialize};

/// [`Explanation::verdict`]
pub mod verdict {
    /// The address is no frontend, or the client is excluded.
    pub const UNTOUCHED: &str = "untouched";
    /// Connects get an endpoint.
    pub const ANSWERED: &str = "answered";
    /// Connects are refused.
    pub const REFUSED: &str = "refused";
    /// Some connects are refused.
    pub const PARTLY_REFUSED: &str = "partly refused";
}

/// [`Candidate::status`]
pub mod candidate_status {
    /// It takes connects.
    pub const USABLE: &str = "usable";
    /// Its ejection is over: one connect may become the trial.
    pub const DUE: &str = "due";
    /// Connects skip it.
    pub const EJECTED: &str = "ejected";
    /// It takes connects when no other backend is usable, because of failures in progress.
    pub const PROBATION: &str = "probation";
    /// It takes connects when no other backend is usable.
    pub const FAILING: &str = "failing";
    /// It is at its connection limit.
    pub const FULL: &str = "full";
    /// The agent took it out.
    pub const DOWN: &str = "down";
}

/// Query of `GET /v1/explain`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What a program connects to, `address:port` with brackets around an IPv6 address.
    pub to: String,
    /// `tcp` or `udp`; TCP where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The client: `netns:PATH`, `cgroup:PATH` or a source address; any client when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// `GET /v1/explain`: the kernel's answer to a connect now, and the reason.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The frontend of the question, `10.96.0.1:80/TCP`.
    pub frontend: String,
    /// Namespace of the service; absent when it is no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the service; absent when it is no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Port of the service; absent when it is no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Port name; absent where it has none, and when it is no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
    /// `TCP` or `UDP`; absent when it is no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// How its connects are spread; absent when it is no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// One of [`verdict`].
    pub verdict: String,
    /// The reason, unless the connect is answered.
    #[serde(default)]
    pub reason: String,
    /// What this answer does not know, or assumes.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Backends that connects may go to, in the order of tiers.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Backends of the service that no connect from this frontend goes to.
    #[serde(default)]
    pub others: Vec<Candidate>,
    /// Connects that were replayed.
    pub replayed: u32,
    /// Destinations of the replayed connects, the most frequent first.
    #[serde(default)]
    pub outcomes: Vec<Destination>,
    /// Other counters of the replay.
    #[serde(default)]
    pub counted: Vec<Share>,
}

impl Explanation {
    /// Returns `shop/cart`; nothing when it is no service.
    pub fn service_name(&self) -> Option<String> {
        Some(format!(
            "{}/{}",
            self.namespace.as_deref()?,
            self.service.as_deref()?
        ))
    }

    /// Returns `shop/cart:http/TCP`, the identity of the port; nothing when it is no service.
    pub fn identity(&self) -> Option<String> {
        let port = self
            .port_name
            .clone()
            .or_else(|| Some(self.port?.to_string()))?;
        Some(format!(
            "{}:{port}/{}",
            self.service_name()?,
            self.protocol.as_deref()?
        ))
    }

    /// Sets the service and port from an identity.
    pub fn identify(&mut self, identity: &str) {
        let found = identity.split_once('/').and_then(|(namespace, rest)| {
            let (service, rest) = rest.split_once(':')?;
            let (port, protocol) = rest.rsplit_once('/')?;
            Some([namespace, service, port, protocol].map(|part| Some(part.to_owned())))
        });
        let parts = found.unwrap_or_default();
        [self.namespace, self.service, self.port_name, self.protocol] = parts;
    }
}

/// Backends of equal distance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Percent of its weight that is usable. Below the failover share of the service, connects spill
    /// over to the next tier.
    pub usable_percent: f64,
    /// Its backends.
    pub backends: Vec<Candidate>,
}

/// A backend and its status.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// `address:port`
    pub endpoint: String,
    /// Row in BACKENDS.
    pub index: u32,
    /// Configured weight; absent while the backend is not configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Weight in effect now, rounded; zero where it is below one.
    pub effective_weight: u32,
    /// Connections of this node to it now.
    pub connections: u64,
    /// Connections that are not established yet.
    pub connecting: u64,
    /// One of [`candidate_status`], as the kernel sees it.
    pub status: String,
    /// The reason of the status.
    pub reason: String,
    /// Percent of the draws within its tier that fall on it, before load and status are compared.
    pub draws_percent: f64,
}

/// One destination of the replayed connects.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// `address:port`; absent when the connects were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name of the counter of the refusal; absent when the connects were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Percent of all.
    pub percent: f64,
    /// Whether it is the one trial connect to a backend whose ejection is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trial: bool,
}

/// A counter as part of the replayed connects.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Name of the counter.
    pub counter: String,
    /// Percent of all.
    pub percent: f64,
}
