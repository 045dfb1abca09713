//! The ports of a service, native or of Kubernetes.

use std::collections::HashMap;

use super::{
    field::Field,
    setting::read_as,
    value::{Name, NodePort, PortNumber, Word},
};
use crate::model::{Protocol, ServicePort};

/// One port of a service and its field.
pub struct Port<'a> {
    /// The element of `ports`.
    pub field: Field<'a>,
    /// Empty where none is given.
    pub name: String,
    /// Port of the frontend.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on every address of the node.
    pub node_port: Option<u16>,
}

impl<'a> Port<'a> {
    /// Reads a port of a Kubernetes service.
    pub fn read(field: Field<'a>) -> Option<Self> {
        let field = field.mapping()?;
        let name = field.or("name", String::new(), read_as::<Name>);
        let port = field.required("port").and_then(read_as::<PortNumber>);
        let protocol = field.or("protocol", Protocol::Tcp, read_as::<Word<Protocol>>);
        let node_port = field.or("nodePort", None, read_as::<NodePort>);
        Some(Self {
            field,
            name: name?,
            port: port?,
            protocol: protocol?,
            node_port: node_port?,
        })
    }

    /// Converts to the model, still without endpoints.
    pub fn model(&self) -> ServicePort {
        let Self {
            field: _,
            name,
            port,
            protocol,
            node_port,
        } = self;
        let (name, endpoints) = (name.clone(), Vec::new());
        ServicePort {
            name,
            port: *port,
            protocol: *protocol,
            node_port: *node_port,
            endpoints,
        }
    }
}

/// Reports ports of one service that are not distinct.
pub fn check<'a>(ports: impl Iterator<Item = &'a Port<'a>> + Clone) {
    let several = ports.clone().nth(1).is_some();
    let (mut numbers, mut names, mut node_ports) = (HashMap::new(), HashMap::new(), HashMap::new());
    for Port {
        field,
        name,
        port,
        protocol,
        node_port,
    } in ports
    {
        let line = field.line();
        if let Some(first) = numbers.insert((*port, *protocol), line) {
            field.report(format!(
                "port {port}/{protocol} listed twice, first on line {first}"
            ));
        }
        let node_port =
            node_port.map(|node_port| (node_port, node_ports.insert((node_port, *protocol), line)));
        if let Some((node_port, Some(first))) = node_port {
            field.report(format!(
                "node port {node_port}/{protocol} listed twice, first on line {first}"
            ));
        }
        match names.insert(name, line) {
            _ if name.is_empty() && several => {
                field.report("a service with several ports must name each of them");
            }
            Some(first) => {
                field.report(format!(
                    "port name `{name}` given twice, first on line {first}"
                ));
            }
            None => {}
        }
    }
}
