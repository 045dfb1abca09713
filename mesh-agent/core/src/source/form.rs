//! The form of a service: its settings, each with its name, kind, default and meaning. The readers
//! of native services and of annotations, the JSON Schema and the reference in
//! `docs/configuration.md` follow from it.

mod address;
mod affinity;
mod endpoint;
mod port;

use std::{mem::take, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    address::AddressForm,
    affinity::{AffinityForm, Timeout},
    endpoint::EndpointForm,
    port::{PortForm, Target},
};
use super::{
    field::Field,
    setting::{Later, List, Plain, Scalar, Setting},
    traffic::{
        balance::BalanceForm,
        check_origin,
        health::HealthForm,
        limits::LimitsForm,
        locality::LocalityForm,
        outlier::OutlierForm,
        ramp::{DrainForm, SlowStartForm},
    },
    value::{Address, Bool, DrainSeconds, Name, Word},
};
use crate::model::{InternalTraffic, LocalityPolicy, Outlier, Traffic};

/// Namespace of a service without one.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A service in the native form.
///
/// A field with `x-annotation` has the same meaning as the annotation `mesh-agent.io/…` of a
/// Kubernetes Service.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(
    rename = "Service",
    extend(
        "required" = ["name", "address", "ports"],
        "if" = serde_json::json!({"properties": {"ports": {"minItems": 2}}}),
        "then" = serde_json::json!({"properties": {"ports": {"items": {"required": ["name"]}}}})
    )
)]
pub struct ServiceForm {
    /// Name of the service.
    #[schemars(extend("x-kubernetes" = "the same"))]
    pub name: Plain<Name>,
    /// Namespace of the service.
    #[schemars(extend("default" = DEFAULT_NAMESPACE, "x-kubernetes" = "the same"))]
    pub namespace: Plain<Name>,
    /// An address, a list of addresses, or `auto` for one from `--vip-pool` that is kept over
    /// restarts.
    #[schemars(extend("x-kubernetes" = "`clusterIPs`"))]
    pub address: Setting<AddressForm>,
    /// Further addresses, within `--external-cidr`.
    #[serde(rename = "externalIPs")]
    #[schemars(extend("x-kubernetes" = "`externalIPs` and load balancer ingress addresses; ignored \
        where the service has no cluster address of their family"))]
    pub external_ips: List<Scalar<Address>>,
    /// Ports at which the service is reached.
    #[schemars(extend("minItems" = 1, "x-kubernetes" = "the same"))]
    pub ports: List<PortForm>,
    /// Endpoints that serve it.
    #[schemars(extend("x-kubernetes" = "EndpointSlices with zones and hints, or Endpoints"))]
    pub endpoints: Setting<Later<EndpointForm>>,
    /// `false`: the service is not served; `true` is needed with `--serve annotated`.
    #[schemars(extend("x-annotation" = "enabled", "x-default" = "see `--serve`"))]
    pub enabled: Plain<Bool>,
    /// `Local`: cluster addresses lead only to endpoints of this node, see `--node-name`.
    #[schemars(extend("x-default" = "`Cluster`", "x-kubernetes" = "the same"))]
    pub internal_traffic_policy: Plain<Word<InternalTraffic>>,
    /// Session affinity: a client stays with its endpoint.
    #[schemars(extend("x-default" = "off", "x-kubernetes" = "`sessionAffinity`"))]
    pub affinity: Setting<AffinityForm>,
    /// How an endpoint is chosen.
    #[schemars(extend("x-default" = "`leastConnections`"))]
    pub balance: Setting<BalanceForm>,
    /// Near endpoints first.
    #[schemars(extend("x-default" = "off", "x-kubernetes" = "`trafficDistribution`"))]
    pub locality: Setting<LocalityForm>,
    /// Limits of concurrent connections on this node.
    pub limits: Setting<LimitsForm>,
    /// When failed connects eject an endpoint.
    #[schemars(extend("x-annotation" = "outlier", "x-default" = "on"))]
    pub outlier: Setting<OutlierForm>,
    /// Active health checks by the agent.
    #[schemars(extend("x-annotation" = "health", "x-default" = "off"))]
    pub health: Setting<HealthForm>,
    /// The ramp of new endpoints.
    #[schemars(extend("x-annotation" = "slow-start", "x-default" = "off"))]
    pub slow_start: Setting<SlowStartForm>,
    /// The ramp of draining endpoints.
    #[schemars(extend("x-annotation" = "drain", "x-default" = "off"))]
    pub drain: Setting<DrainForm>,
    /// `true`: TCP connections to an endpoint that was removed are closed; otherwise they go on.
    #[schemars(extend("x-annotation" = "close-stale-tcp", "default" = false))]
    pub close_stale_tcp: Plain<Bool>,
    /// Time from the removal of an endpoint until its connections are closed, in seconds; turns
    /// `closeStaleTcp` on.
    #[schemars(extend("x-annotation" = "drain-seconds", "default" = 0))]
    pub drain_seconds: Plain<DrainSeconds>,
}

/// The fields of a form that annotations can give, in the model.
pub struct Settings {
    /// Whether the service is to be served, if given.
    pub enabled: Option<bool>,
    /// Session affinity, if given.
    pub affinity: Option<AffinityForm>,
    /// See [`Service`](crate::model::Service).
    pub close_stale_tcp: Option<Duration>,
    /// Traffic settings.
    pub traffic: Traffic,
}

impl ServiceForm {
    /// Takes the settings that annotations can give. `service` is the mapping.
    pub fn take_settings(&mut self, service: Field<'_>) -> Option<Settings> {
        let traffic = self.take_traffic(service);
        let close = take(&mut self.close_stale_tcp).optional();
        let drain = take(&mut self.drain_seconds).optional();
        let affinity = take(&mut self.affinity);
        Some(Settings {
            enabled: take(&mut self.enabled).optional()?,
            affinity: affinity.convert(None, |it| Some(Some(it)))?,
            close_stale_tcp: close_stale_tcp(close?, drain?),
            traffic: traffic?,
        })
    }

    fn take_traffic(&mut self, service: Field<'_>) -> Option<Traffic> {
        let get = |name| service.get(name);
        let balance =
            take(&mut self.balance).convert(Default::default(), |it| it.model(get("balance")));
        let outlier =
            take(&mut self.outlier).convert(Outlier::default(), |it| it.model(get("outlier")));
        let limits =
            take(&mut self.limits).convert(Default::default(), |it| it.model(get("limits")));
        let locality = take(&mut self.locality)
            .convert(LocalityPolicy::default(), |it| it.model(get("locality")));
        let slow_start = take(&mut self.slow_start).convert(None, |it| it.model().map(Some));
        let drain = take(&mut self.drain).convert(None, |it| it.model().map(Some));
        let health = take(&mut self.health).convert(None, |it| {
            it.model(get("health")).map(|check| Some(Box::new(check)))
        });
        Some(Traffic {
            balance: balance?,
            outlier: outlier?,
            limits: limits?,
            locality: locality?,
            slow_start: slow_start?,
            drain: drain?,
            health: health?,
            health_origin: check_origin(get("health"), false),
        })
    }
}

/// Returns the drain time of stale connections. A drain time implies that they are closed.
fn close_stale_tcp(close: Option<bool>, drain: Option<Duration>) -> Option<Duration> {
    match close {
        Some(true) => Some(drain.unwrap_or_default()),
        Some(false) => None,
        None => drain,
    }
}
