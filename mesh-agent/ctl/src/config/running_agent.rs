//! Asks the running agent which service owns each address, and which addresses are allowed.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;

use crate::{
    api::{
        client::Client,
        types::{FrontendStatus, Service, frontend_state},
    },
    model::{Admission, Protocol, ServiceName, Words as _},
    session::Session,
    source::frontend_owners::{FrontendOwners, L4Address},
};

/// Most time for an answer. Files can be checked without an agent.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state of the agent that decides about claims.
#[derive(Default)]
pub(super) struct AgentState {
    /// The service of each frontend in the kernel.
    pub(super) owners: FrontendOwners,
    /// Which addresses and node ports services may have.
    pub(super) admission: Admission,
}

/// Asks the agent; returns the default when none answers.
pub(super) async fn ask(session: &Session<'_>) -> AgentState {
    timeout(PATIENCE, state(&session.client))
        .await
        .ok()
        .flatten()
        .unwrap_or_default()
}

async fn state(client: &Client) -> Option<AgentState> {
    let admission = client.status().await.ok()?.admission;
    Some(AgentState {
        owners: owners(client).await?,
        admission: admission.map(Into::into).unwrap_or_default(),
    })
}

async fn owners(client: &Client) -> Option<FrontendOwners> {
    let services = client.services(None).await.ok()?;
    let endpoints: Vec<(L4Address, ServiceName)> = services.iter().flat_map(endpoints).collect();
    let frontends = services.into_iter().flat_map(|service| {
        let name = ServiceName {
            namespace: service.namespace,
            name: service.name,
        };
        let addresses: Vec<L4Address> = service.frontends.iter().filter_map(l4_address).collect();
        addresses
            .into_iter()
            .map(move |address| (address, name.clone()))
    });
    Some(
        frontends
            .collect::<FrontendOwners>()
            .with_endpoints(endpoints),
    )
}

/// Returns the addresses of a service's endpoints.
fn endpoints(service: &Service) -> impl Iterator<Item = (L4Address, ServiceName)> {
    let all = service
        .ports
        .iter()
        .flat_map(|port| port.endpoints.iter().map(move |it| (port, it)));
    all.filter_map(|(port, it)| {
        let at: SocketAddr = it.endpoint.parse().ok()?;
        let name = ServiceName {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
        };
        Some((
            (at.ip(), at.port(), Protocol::of_word(&port.protocol)?),
            name,
        ))
    })
}

/// Returns the address of a frontend; nothing when the service does not own it.
fn l4_address(frontend: &FrontendStatus) -> Option<L4Address> {
    let protocol = Protocol::of_word(&frontend.protocol)?;
    let is_held = [frontend_state::SERVED, frontend_state::REFUSED].contains(&&*frontend.state);
    Some((
        frontend.address.parse().ok().filter(|_| is_held)?,
        frontend.port,
        protocol,
    ))
}
