//! Why a connect goes where it goes.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/explain`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What a program connects to, `address:port` with brackets around an IPv6 address.
    pub to: String,
    /// `tcp` or `udp`; TCP where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Who connects: `netns:PATH`, `cgroup:PATH` or a source address; anybody where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// `GET /v1/explain`: what the kernel would answer now, and why.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked for, `10.96.0.1:80/TCP`.
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
    /// `untouched`, `answered`, `refused`, or `partly refused`.
    pub verdict: String,
    /// Why, unless it is simply answered.
    #[serde(default)]
    pub reason: String,
    /// What this answer does not know, or takes for granted.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Backends that connects may go to, those that come first first.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Backends of the service that no connect from this front end goes to.
    #[serde(default)]
    pub others: Vec<Candidate>,
    /// Connects that were replayed.
    pub replayed: u32,
    /// Where those went, the most frequent first.
    #[serde(default)]
    pub outcomes: Vec<Destination>,
    /// What was counted besides, by the names of counters.
    #[serde(default)]
    pub counted: Vec<Share>,
}

impl Explanation {
    /// `shop/cart`; nothing when it is no service.
    pub fn service_name(&self) -> Option<String> {
        Some(format!(
            "{}/{}",
            self.namespace.as_deref()?,
            self.service.as_deref()?
        ))
    }

    /// `shop/cart:http/TCP`, the name under which the port keeps its id; nothing when it is no
    /// service.
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

    /// Takes the parts of such a name.
    pub fn identify(&mut self, identity: &str) {
        let parts = identity.split_once('/').and_then(|(namespace, rest)| {
            let (service, rest) = rest.split_once(':')?;
            let (port, protocol) = rest.rsplit_once('/')?;
            Some([namespace, service, port, protocol].map(|part| Some(part.to_owned())))
        });
        let parts = parts.unwrap_or_default();
        [self.namespace, self.service, self.port_name, self.protocol] = parts;
    }
}

/// Backends that are equally near.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Percent of its weight that is usable. Below the service's failover share, connects go on to
    /// the next tier.
    pub usable_percent: f64,
    /// Its backends.
    pub backends: Vec<Candidate>,
}

/// A backend, and whether it takes a connection now.
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
    /// Those of them that are not established yet.
    pub connecting: u64,
    /// `usable`, `due`, `ejected`, `full` or `down`, as the kernel sees it.
    pub status: String,
    /// The same in words.
    pub reason: String,
    /// Percent of the draws within its tier that fall on it, before load and status are looked at.
    pub draws_percent: f64,
}

/// Where some of the replayed connects went.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// `address:port`; absent when they were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name of the counter of the refusal; absent when they were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Percent of all.
    pub percent: f64,
    /// Whether it is the trial of an ejected backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trial: bool,
}

/// A part of the replayed connects.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Name of the counter.
    pub counter: String,
    /// Percent of all.
    pub percent: f64,
}
