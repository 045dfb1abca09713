//! Reads the agent's API, and waits for conditions in it.

use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

use mesh_core::api::types;

use super::{Node, SETTLE};
use crate::{Server, api, wait};

impl Node {
    /// `GET /v1/status`
    pub fn status(&self) -> types::Status {
        self.get("/v1/status").json()
    }

    /// `GET /v1/services`
    pub fn services(&self) -> Vec<types::Service> {
        self.get("/v1/services").json()
    }

    /// One service, which must exist.
    pub fn service(&self, name: &str) -> types::Service {
        self.find_service(name)
            .unwrap_or_else(|| panic!("there is no service {name}"))
    }

    /// One service, if it exists.
    pub fn find_service(&self, name: &str) -> Option<types::Service> {
        let answer = self.get(&format!("/v1/services/{name}"));
        (answer.code == 200).then(|| answer.json())
    }

    /// The only port of a service.
    pub fn port(&self, service: &str) -> types::ServicePort {
        let [port] =
            <[_; 1]>::try_from(self.service(service).ports).expect("a service of one port");
        port
    }

    /// The port of a service with this number and protocol.
    pub fn port_of(&self, service: &str, port: u16, protocol: &str) -> types::ServicePort {
        let mut ports = self.service(service).ports.into_iter();
        let found = ports.find(|found| found.port == port && found.protocol == protocol);
        found.unwrap_or_else(|| panic!("{service} has no port {port}/{protocol}"))
    }

    /// `GET` of any path; the agent must answer.
    pub fn get(&self, path: &str) -> api::Answer {
        self.try_get(path)
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// `GET` of any path.
    pub fn try_get(&self, path: &str) -> io::Result<api::Answer> {
        api::get(&self.directories.socket, path)
    }

    /// Waits until the agent is ready: the kernel holds the configured services.
    pub fn wait_until_ready(&mut self, deadline: Duration) {
        wait::until("the agent to be ready", deadline, || {
            self.expect_agent_lives();
            self.try_get("/v1/status")
                .is_ok_and(|answer| answer.json::<types::Status>().ready)
        });
    }

    /// Waits until new connects of every port of a service go to exactly these servers.
    pub fn wait_until_served(&self, service: &str, servers: &[&Server]) {
        self.wait_until_served_within(service, servers, SETTLE);
    }

    /// Waits with this deadline.
    pub fn wait_until_served_within(&self, service: &str, servers: &[&Server], deadline: Duration) {
        let expected: BTreeSet<_> = servers.iter().map(|server| server.address()).collect();
        wait::until_equal(
            &format!("endpoints of {service}"),
            deadline,
            &Some(expected),
            || self.active(service),
        );
    }

    /// Waits until the service does not exist.
    pub fn wait_until_gone(&self, service: &str) {
        wait::until(&format!("{service} to be gone"), SETTLE, || {
            self.find_service(service).is_none()
        });
    }

    /// Waits until there is exactly this number of errors.
    pub fn wait_for_errors(&self, count: usize) -> Vec<types::ConfigProblem> {
        wait::until_equal("configuration errors", SETTLE, &count, || {
            self.status().errors.len()
        });
        self.status().errors
    }

    /// Endpoints that take new connects, if all ports agree on them.
    fn active(&self, service: &str) -> Option<BTreeSet<SocketAddr>> {
        let mut ports = self
            .find_service(service)?
            .ports
            .into_iter()
            .map(|port| active_endpoints(&port));
        let first = ports.next()?;
        ports.all(|other| other == first).then_some(first)
    }
}

/// Endpoints of a port that take new connects.
pub fn active_endpoints(port: &types::ServicePort) -> BTreeSet<SocketAddr> {
    let active = port.endpoints.iter().filter(|endpoint| endpoint.active);
    active
        .map(|endpoint| endpoint.endpoint.parse().expect("an address and a port"))
        .collect()
}
