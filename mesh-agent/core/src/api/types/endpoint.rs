//! An endpoint with its state in the kernel.

use std::time::Duration;

use mesh_common::agreement::Standing;
use serde::{Deserialize, Serialize};

use super::EndpointHealth;
use crate::{
    dataplane::Evidence,
    desired::Ineligible,
    model::{Condition, Words as _},
};

/// One endpoint of a service port.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `10.0.0.1:80` or `[fd00::1]:80`
    pub endpoint: String,
    /// Configured weight.
    pub weight: u32,
    /// `ready`, `terminating` or `notReady`.
    pub condition: String,
    /// Whether it gets new connections now.
    pub active: bool,
    /// Why it gets none: `draining`, `unhealthy`, `notReady`, `terminating`, `not on this node`,
    /// `no IPv6 service address`, `inactive` for weight 0; absent when it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_reason: Option<String>,
    /// Why no frontend of its service leads to it: `not on this node`, `no IPv6 service address`;
    /// absent when one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_reach: Option<String>,
    /// Name of the node it runs on; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Result of health checks; absent when its service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<EndpointHealth>,
    /// Row in BACKENDS; absent while it has none.
    pub index: Option<u32>,
    /// Connects that got this endpoint.
    pub connects: u64,
    /// Connections of this node to it now.
    #[serde(default)]
    pub connections: u64,
    /// Connections that are not established yet.
    #[serde(default)]
    pub connecting: u64,
    /// Seconds, rounded up, until a trial connect may reach it; zero when the next one may. Absent
    /// unless it is ejected for all clients of this node, because several agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_for_seconds: Option<u64>,
    /// Clients of this node that have ejected it for themselves.
    #[serde(default)]
    pub ejected_by_clients: u32,
    /// Failed connects in a row of one client; of the client with the most.
    #[serde(default)]
    pub consecutive_failures: u32,
    /// Ejections in a row.
    #[serde(default)]
    pub ejections: u32,
    /// Moving average of the time to connect; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_microseconds: Option<u32>,
    /// Moving average of the time that short connections are open; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_microseconds: Option<u32>,
    /// Weight in effect now, rounded; zero where it is below one.
    #[serde(default)]
    pub effective_weight: u32,
    /// Its tier, 1 for the nearest; absent when the service has one tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// Its locality, as far as known.
    #[serde(default)]
    pub locality: Locality,
    /// Its source; absent for the local one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Connections it can serve for each unit of its weight.
    #[serde(default)]
    pub capacity: u32,
    /// Whether an operator has drained it.
    #[serde(default)]
    pub draining: bool,
}

impl Endpoint {
    /// Returns its state: `active`, `draining`, `ejected 8s`,
    /// `unhealthy`, `notReady`, `terminating`, `not on this node`, `inactive`.
    pub fn state(&self) -> String {
        let is_ready = Condition::of_word(&self.condition) == Some(Condition::Ready);
        match (&self.inactive_reason, self.ejected_for_seconds) {
            // It is active until its weight has fallen to zero.
            _ if self.draining => Ineligible::Drained.word().to_owned(),
            (Some(reason), _) => reason.clone(),
            // An agent of another version may not tell why.
            (None, _) if !self.active => Ineligible::NoWeight.word().to_owned(),
            (None, Some(0)) => "ejected, on trial".to_owned(),
            (None, Some(seconds)) => format!("ejected {seconds}s"),
            (None, None) if is_ready && self.ejected_by_clients > 0 => {
                format!("active, ejected by {}", clients(self.ejected_by_clients))
            }
            (None, None) if is_ready => "active".to_owned(),
            (None, None) => format!("active, {}", self.condition),
        }
    }

    /// Returns whether it takes new connections: its state is `active`.
    pub fn is_usable(&self) -> bool {
        self.active && !self.draining && self.ejected_for_seconds.is_none()
    }

    /// Returns whether it takes new connections when no endpoint is usable. Ejected endpoints then
    /// take them in turn.
    fn is_last_resort(&self) -> bool {
        self.active && !self.draining
    }

    /// Returns for each endpoint of a port whether it takes new connections now.
    pub fn takers(all: &[Self]) -> impl Iterator<Item = bool> {
        let any = all.iter().any(Self::is_usable);
        all.iter().map(move |endpoint| {
            if any {
                endpoint.is_usable()
            } else {
                endpoint.is_last_resort()
            }
        })
    }

    /// Returns whether its address is IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.endpoint.starts_with('[')
    }
}

/// `1 client`, `2 clients`
pub fn clients(number: u32) -> String {
    if number == 1 {
        "1 client".to_owned()
    } else {
        format!("{number} clients")
    }
}

/// An ejection that is not over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ejection {
    /// Seconds, rounded up, until a trial connect may reach the backend.
    pub for_seconds: u64,
    /// Ejections in a row.
    pub times: u32,
    /// Clients that have ejected it for themselves.
    pub by_clients: u32,
    /// Whether clients agree: then it is ejected for all.
    pub is_agreed: bool,
}

impl Ejection {
    /// Returns the ejection at `now` of the monotonic clock; nothing when the backend is ejected for
    /// no client. The longest ejection of a single client counts.
    pub fn of(evidence: &Evidence, now: Duration) -> Option<Self> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let known = evidence.at(now)?;
        let by_clients = u32::try_from(known.ejected().count()).unwrap_or(u32::MAX);
        let is_agreed = known.agreement.standing == Standing::Ejected;
        let own = known
            .ejected()
            .map(|health| (health.until, health.ejections))
            .max();
        let (until, times) = if is_agreed {
            (known.agreement.until, known.agreement.ejections)
        } else {
            own?
        };
        let for_seconds = until.saturating_sub(now).div_ceil(1000);
        Some(Self {
            for_seconds,
            times: times.into(),
            by_clients,
            is_agreed,
        })
    }
}

/// A locality, as far as known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Locality {
    /// Cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<String>,
    /// Region, unique within the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Zone, unique within the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl Locality {
    /// Returns `aws/eu-1/a`, from the known parts; empty when none is known.
    pub fn label(&self) -> String {
        let Self {
            cloud,
            region,
            zone,
        } = self;
        [cloud, region, zone]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("/")
    }
}
