//! The ports of a service, which both families of documents write alike.

use std::collections::HashMap;

use super::{field::Field, value};
use crate::model::{Protocol, ServicePort};

/// One port of a service, and where it is written.
pub struct Port<'a> {
    /// The element of `ports`.
    pub field: Field<'a>,
    /// Empty where none is given.
    pub name: String,
    /// Port of the frontend.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

impl<'a> Port<'a> {
    /// Reads what is common to all families.
    pub fn read(field: Field<'a>) -> Option<Self> {
        let field = field.mapping()?;
        let name = field.get("name").map_or(Some(String::new()), value::name);
        let port = field.required("port").and_then(value::port);
        let protocol = value::protocol(field.get("protocol"));
        Some(Self { field, name: name?, port: port?, protocol: protocol? })
    }

    /// As the model has it, still without endpoints.
    pub fn model(&self) -> ServicePort {
        ServicePort { name: self.name.clone(), port: self.port, protocol: self.protocol, endpoints: Vec::new() }
    }
}

/// Reports what the ports of one service must not have in common.
pub fn check<'a>(ports: impl Iterator<Item = &'a Port<'a>> + Clone) {
    let several = ports.clone().nth(1).is_some();
    let (mut numbers, mut names) = (HashMap::new(), HashMap::new());
    for Port { field, name, port, protocol } in ports {
        let line = field.line();
        if let Some(first) = numbers.insert((*port, *protocol), line) {
            field.report(format!("port {port}/{protocol} listed twice, first on line {first}"));
        }
        match names.insert(name, line) {
            _ if name.is_empty() && several => {
                field.report("a service with several ports must name each of them");
            }
            Some(first) => {
                field.report(format!("port name `{name}` given twice, first on line {first}"));
            }
            None => {}
        }
    }
}
