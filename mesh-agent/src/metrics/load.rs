//! Metrics of the present load of backends and services.

use std::{borrow::Cow, fmt};

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::{Reading, count, family, port_labels};
use crate::api::types::{Endpoint, PortCapacity, Service, ServicePort};

/// Name, help and value of a metric of every backend.
type Gauge = (&'static str, &'static str, fn(&Endpoint) -> u64);

const GAUGES: [Gauge; 3] = [
    (
        "mesh_agent_backend_connections",
        "Open connections of this node to a backend",
        |it| it.connections,
    ),
    (
        "mesh_agent_backend_connecting",
        "Connections of this node to a backend that are not established yet",
        |it| it.connecting,
    ),
    (
        "mesh_agent_backend_ejected",
        "1 while a backend is ejected for all clients of this node",
        |it| it.ejected_for_seconds.is_some().into(),
    ),
];

impl Reading {
    /// Connects by backend.
    pub(super) fn encode_backends(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Connects that got this backend";
        let mut metric = family(
            encoder,
            "mesh_agent_backend_connects",
            help,
            MetricType::Counter,
        )?;
        self.endpoints().try_for_each(|(service, port, endpoint)| {
            count(
                &mut metric,
                &labels(service, port, endpoint),
                endpoint.connects,
            )
        })
    }

    /// Connections, ejections and latencies.
    pub(super) fn encode_load(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in GAUGES {
            let mut metric = family(encoder, name, help, MetricType::Gauge)?;
            for (service, port, endpoint) in self.endpoints() {
                metric
                    .encode_family(&labels(service, port, endpoint))?
                    .encode_gauge(&value(endpoint))?;
            }
        }
        self.encode_handshakes(encoder)?;
        let help = "Open connections of this node to a service";
        let mut metric = family(
            encoder,
            "mesh_agent_service_connections",
            help,
            MetricType::Gauge,
        )?;
        for (service, port) in self.ports() {
            metric
                .encode_family(&port_labels(service, port))?
                .encode_gauge(&port.connections)?;
        }
        self.encode_capacity(encoder)
    }

    /// Encodes connect times. Backends without a measured connect have no value.
    fn encode_handshakes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Moving average of the time to connect to a backend";
        let found = self
            .endpoints()
            .filter_map(|it| Some((it, it.2.handshake_microseconds?)));
        let mut measured = found.peekable();
        if measured.peek().is_none() {
            return Ok(());
        }
        let mut metric = family(
            encoder,
            "mesh_agent_backend_handshake_seconds",
            help,
            MetricType::Gauge,
        )?;
        for ((service, port, endpoint), microseconds) in measured {
            let seconds = f64::from(microseconds) / 1e6;
            metric
                .encode_family(&labels(service, port, endpoint))?
                .encode_gauge(&seconds)?;
        }
        Ok(())
    }

    fn encode_capacity(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Sum of capacity times weight over the endpoints of a service, in connections: usable endpoints only, \
                    or all as configured";
        let mut metric = family(
            encoder,
            "mesh_agent_service_capacity",
            help,
            MetricType::Gauge,
        )?;
        for (service, port) in self.ports() {
            let PortCapacity {
                usable,
                total,
                used: _,
            } = port.capacity;
            for (state, value) in [("usable", usable), ("total", total)] {
                let labels = (port_labels(service, port), [("state", state)]);
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// Iterates over every backend of every port.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&Service, &ServicePort, &Endpoint)> {
        self.ports()
            .flat_map(|(service, port)| port.endpoints.iter().map(move |it| (service, port, it)))
    }
}

type Labels<'a> = (
    [(&'static str, Cow<'a, str>); 4],
    [(&'static str, String); 1],
);

fn labels<'a>(service: &'a Service, port: &'a ServicePort, endpoint: &Endpoint) -> Labels<'a> {
    (
        port_labels(service, port),
        [("endpoint", endpoint.endpoint.clone())],
    )
}
