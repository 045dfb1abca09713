//! An endpoint of a service.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::Condition,
    source::{
        setting::{Entries, Plain, Scalar, Setting},
        value::{EndpointAddress, Place, PortNumber, Text, Weight, Whole, Word},
    },
};

/// An endpoint of a service.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "Endpoint", extend("required" = ["address"]))]
pub struct EndpointForm {
    /// Address of the endpoint; not link-local (`fe80::`).
    pub address: Plain<EndpointAddress>,
    /// Port of the endpoint.
    #[schemars(extend("x-default" = "`targetPort`"))]
    pub port: Plain<PortNumber>,
    /// Ports by the name of the service's port or of its target.
    pub ports: Setting<Entries<Scalar<PortNumber>>>,
    /// Share of the connects; 0 takes none. Only the ratio of weights matters.
    pub weight: Plain<Weight>,
    /// Whether it takes connections, as the conditions of an EndpointSlice.
    pub state: Plain<Word<Condition>>,
    /// Name of the node it runs on.
    pub node: Plain<Text>,
    /// Name of the cloud it is in.
    pub cloud: Plain<Place>,
    /// Name of the region it is in.
    pub region: Plain<Place>,
    /// Name of the zone it is in.
    pub zone: Plain<Place>,
    /// Number of connections that the endpoint is made for, multiplied by its weight.
    // The capacity of a service times a weight fits into 64 bits.
    pub capacity: Plain<Whole<u32, 1, 1_000_000>>,
}

impl Default for EndpointForm {
    fn default() -> Self {
        Self {
            address: Setting::Absent,
            port: Setting::Absent,
            ports: Setting::Absent,
            weight: Plain::default_to(1),
            state: Plain::default_to(Condition::Ready),
            node: Setting::Absent,
            cloud: Setting::Absent,
            region: Setting::Absent,
            zone: Setting::Absent,
            capacity: Plain::default_to(1),
        }
    }
}
