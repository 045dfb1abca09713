//! A port of a service.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use crate::{
    model::Protocol,
    source::{
        document::Value,
        setting::{Kind, Plain, Setting, Wrong},
        value::{Name, NodePort, PortNumber, Word},
    },
};

/// A port at which the service is reached.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "Port", extend("required" = ["port"]))]
pub struct PortForm {
    /// Name of the port; required where there are several ports.
    pub name: Plain<Name>,
    /// Port of the service.
    pub port: Plain<PortNumber>,
    /// Port of the endpoints.
    #[schemars(extend("x-default" = "`port`"))]
    pub target_port: Plain<Target>,
    /// Transport protocol.
    pub protocol: Plain<Word<Protocol>>,
    /// Port on every address of the node and on loopback, reachable from pods as well.
    pub node_port: Plain<NodePort>,
}

impl Default for PortForm {
    fn default() -> Self {
        Self {
            name: Setting::Absent,
            port: Setting::Absent,
            target_port: Setting::Absent,
            protocol: Plain::default_to(Protocol::Tcp),
            node_port: Setting::Absent,
        }
    }
}

/// Value of `targetPort`.
pub enum Target {
    /// The service's own port.
    Same,
    /// The same port on every endpoint.
    Number(u16),
    /// The port that each endpoint lists by this name.
    Name(String),
}

impl Kind for Target {
    type Value = Self;

    fn read(value: &Value<'_>) -> Result<Self, Wrong> {
        match value {
            Value::Number(_) => PortNumber::read(value).map(Self::Number),
            Value::Text(_) => Name::read(value).map(Self::Name),
            _ => Err(Wrong::expected(
                "a port from 1 to 65535 or the name of a port",
            )),
        }
    }

    fn schema() -> Schema {
        json_schema!({
            "anyOf": [PortNumber::schema(), Name::schema()], "x-range": "a number or a name"
        })
    }
}
