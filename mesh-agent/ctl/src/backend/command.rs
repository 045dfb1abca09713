//! `meshctl backend drain`, `undrain` and `weight`

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Serialize;

use super::wait::{self, connections};
use crate::{
    Exit, Failure,
    api::{
        suggestions::told,
        types::{self, Change, CommandResult, Service},
    },
    model::ServiceName,
    render::count,
    service_name::NameArg,
    session::Session,
};

/// An endpoint of a service.
#[derive(clap::Args)]
pub(crate) struct Endpoint {
    /// NAME or NAMESPACE/NAME
    service: NameArg,
    /// ADDRESS:PORT, or ADDRESS if the endpoint has one port
    endpoint: String,
    /// Name or number of the service port of the endpoint
    #[arg(long, value_name = "NAME")]
    port: Option<String>,
}

/// A weight; nothing for the configured one.
#[derive(Clone, Copy)]
pub(crate) struct Weight(pub(crate) Option<u16>);

pub(super) fn weight(text: &str) -> Result<Weight, String> {
    match text {
        "default" => Ok(Weight(None)),
        number => number.parse().map(|weight| Weight(Some(weight))).map_err(|_| {
            format!("expected a number from 0 to 65535, or `default` for the configured weight, found `{text}`")
        }),
    }
}

/// The command line does not name exactly one endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("expected ADDRESS:PORT or ADDRESS, like 10.0.0.1:8080 or [fd00::1]:8080, found `{0}`")]
    Malformed(String),
    #[error("service {service} has no port `{port}`; it has: {known}")]
    NoPort {
        service: String,
        port: String,
        known: String,
    },
    #[error("service {service} has no endpoint {endpoint}; it has: {known}")]
    NoEndpoint {
        service: String,
        endpoint: String,
        known: String,
    },
    #[error("--deadline says how long --wait waits: add --wait, or leave out --deadline")]
    DeadlineAlone,
    #[error(
        "{address} has several ports: {known}; write one of them, or a service port with --port"
    )]
    Ambiguous { address: IpAddr, known: String },
}

/// The result of a command. Stable: fields are added, never renamed.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    namespace: String,
    service: String,
    endpoint: String,
    /// The change that is in effect.
    order: String,
    /// Connections of this node to the endpoint.
    pub(super) connections: u64,
    /// Why the change ends with the agent; absent when it was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Answer {
    fn new(
        CommandResult { service, warning }: &CommandResult,
        endpoint: SocketAddr,
        change: Change,
    ) -> Self {
        Self {
            namespace: service.namespace.clone(),
            service: service.name.clone(),
            endpoint: endpoint.to_string(),
            order: change.to_string(),
            connections: connections(service, endpoint),
            warning: warning.clone(),
        }
    }

    fn text(&self) -> String {
        let Self {
            namespace,
            service,
            endpoint,
            order,
            connections,
            warning: _,
        } = self;
        let connections = count(
            usize::try_from(*connections).unwrap_or(usize::MAX),
            "connection",
        );
        format!("{namespace}/{service} {endpoint}: {order}, {connections}\n")
    }
}

/// Sends a command and shows the result.
pub(super) async fn run(
    session: &mut Session<'_>,
    endpoint: &Endpoint,
    change: Change,
    force: bool,
) -> Result<Exit, Failure> {
    let (result, endpoint) = send(session, endpoint, change, force).await?;
    show(session, &Answer::new(&result, endpoint, change))?;
    Ok(Exit::Ok)
}

/// Drains an endpoint, and waits for the end of the drain when `deadline` is given.
pub(super) async fn drain(
    session: &mut Session<'_>,
    endpoint: &Endpoint,
    force: bool,
    deadline: Option<Duration>,
) -> Result<Exit, Failure> {
    let (mut result, address) = send(session, endpoint, Change::Drain, force).await?;
    let mut left = None;
    if let Some(deadline) = deadline {
        result.service = wait::until_idle(
            session,
            &endpoint.service,
            result.service,
            address,
            deadline,
        )
        .await?;
        left = wait::left(&result.service, address, deadline);
    }
    show(session, &Answer::new(&result, address, Change::Drain))?;
    let Some(left) = left else {
        return Ok(Exit::Ok);
    };
    session.notify(&left)?;
    Ok(Exit::No)
}

fn show(session: &mut Session<'_>, answer: &Answer) -> Result<(), Failure> {
    session.show(answer, |answer, _| answer.text())?;
    match &answer.warning {
        Some(warning) => Ok(session.notify(&format!("warning: {warning}"))?),
        None => Ok(()),
    }
}

async fn send(
    session: &Session<'_>,
    endpoint: &Endpoint,
    change: Change,
    force: bool,
) -> Result<(CommandResult, SocketAddr), Failure> {
    let name = session.resolve(&endpoint.service)?;
    let address = match (endpoint.endpoint.parse(), &endpoint.port) {
        (Ok(address), None) => address,
        _ => {
            let service = session.client.service(&name.namespace, &name.name).await?;
            resolve(&service, &endpoint.endpoint, endpoint.port.as_deref())?
        }
    };
    let ServiceName { namespace, name } = &name;
    let result = session
        .client
        .change_endpoint(namespace, name, &address.to_string(), change, force)
        .await?;
    Ok((result, address))
}

fn resolve(service: &Service, endpoint: &str, port: Option<&str>) -> Result<SocketAddr, Error> {
    let name = format!("{}/{}", service.namespace, service.name);
    let is_meant = |it: &&types::ServicePort| {
        port.is_none_or(|port| it.port_name == port || it.port.to_string() == port)
    };
    let ports: Vec<&types::ServicePort> = service.ports.iter().filter(is_meant).collect();
    if let Some(port) = port.filter(|_| ports.is_empty()) {
        let known = told(service.ports.iter().map(types::ServicePort::label));
        return Err(Error::NoPort {
            service: name,
            port: port.to_owned(),
            known,
        });
    }
    let endpoints: BTreeSet<SocketAddr> = ports
        .iter()
        .flat_map(|port| &port.endpoints)
        .filter_map(|it| it.endpoint.parse().ok())
        .collect();
    let address = match (endpoint.parse::<SocketAddr>(), endpoint.parse::<IpAddr>()) {
        (Ok(address), _) if endpoints.contains(&address) => return Ok(address),
        (Ok(address), _) => address.ip(),
        (_, Ok(address)) => address,
        _ => return Err(Error::Malformed(endpoint.to_owned())),
    };
    let is_exact = endpoint.parse::<SocketAddr>().is_ok();
    let alike: Vec<SocketAddr> = endpoints
        .iter()
        .filter(|it| it.ip() == address && !is_exact)
        .copied()
        .collect();
    match alike.as_slice() {
        [one] => Ok(*one),
        [] => {
            let known = told(endpoints.iter().map(ToString::to_string));
            Err(Error::NoEndpoint {
                service: name,
                endpoint: endpoint.to_owned(),
                known,
            })
        }
        several => Err(Error::Ambiguous {
            address,
            known: told(several.iter().map(ToString::to_string)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fixture::cart;

    #[test]
    fn endpoint_is_found_by_its_address_and_port() {
        let found = |endpoint: &str, port: Option<&str>| {
            resolve(&cart(), endpoint, port)
                .map(|it| it.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(found("10.0.0.1:8080", None), Ok("10.0.0.1:8080".into()));
        assert_eq!(found("10.0.0.4", None), Ok("10.0.0.4:9000".into()));
        assert_eq!(
            found("fd00::a:1", Some("http")),
            Ok("[fd00::a:1]:8080".into())
        );
        let error = "service shop/cart has no endpoint 10.0.0.4; it has: 10.0.0.1:8080, 10.0.0.2:8080, 10.0.0.3:8080, \
                     [fd00::a:1]:8080";
        assert_eq!(found("10.0.0.4", Some("80")), Err(error.into()));
        let error = "service shop/cart has no port `web`; it has: http:80/TCP, admin:9000/TCP";
        assert_eq!(found("10.0.0.4", Some("web")), Err(error.into()));
        assert!(
            found("cart-1", None)
                .unwrap_err()
                .starts_with("expected ADDRESS:PORT or ADDRESS")
        );
        let mut both = cart();
        both.ports[1].endpoints[0].endpoint = "10.0.0.1:9000".into();
        let error = "10.0.0.1 has several ports: 10.0.0.1:8080, 10.0.0.1:9000; write one of them, or a service port with --port";
        assert_eq!(
            resolve(&both, "10.0.0.1", None).unwrap_err().to_string(),
            error
        );
    }
}
