//! Services for unit tests.

use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use mesh_common::abi::FrontendKey;

use super::{Target, World};
use crate::model::{
    Addresses, Condition, Endpoint, HealthCheck, InternalTraffic, Origin, Probe, Protocol, Service,
    ServiceName, ServicePort, Services, Traffic,
};

pub fn name(name: &str) -> ServiceName {
    ServiceName {
        namespace: "test".into(),
        name: name.into(),
    }
}

pub fn services(services: impl IntoIterator<Item = Service>) -> Services {
    services
        .into_iter()
        .map(|service| (service.name.clone(), Arc::new(service)))
        .collect()
}

/// One TCP port, 80, at `address`, without endpoints.
pub fn fixed(service: &str, address: &str) -> Service {
    Service {
        name: name(service),
        origin: Origin::Line {
            file: Arc::new("test.yaml".into()),
            line: 1,
        },
        addresses: Addresses::Fixed(vec![address.parse().expect("a test writes an address")]),
        external: vec![],
        ports: vec![ServicePort {
            name: String::new(),
            port: 80,
            protocol: Protocol::Tcp,
            node_port: None,
            endpoints: vec![],
        }],
        internal_traffic: InternalTraffic::Cluster,
        affinity: None,
        close_stale_tcp: None,
        traffic: Traffic::default(),
        unserved: vec![],
    }
}

/// The same service with its port for UDP.
pub fn udp(mut service: Service) -> Service {
    service.ports[0].protocol = Protocol::Udp;
    service
}

pub fn auto(service: &str) -> Service {
    Service {
        addresses: Addresses::Auto,
        ..fixed(service, "192.0.2.1")
    }
}

/// The same service with these endpoints, each an address and a weight.
pub fn with(mut service: Service, endpoints: &[(&str, u32)]) -> Service {
    service.ports[0].endpoints = endpoints
        .iter()
        .map(|(address, weight)| endpoint(address, *weight))
        .collect();
    service
}

/// A TCP check, which keeps endpoints when all fail.
pub fn check() -> Box<HealthCheck> {
    Box::new(HealthCheck {
        probe: Probe::Tcp,
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        jitter_percent: 10,
        rise: NonZeroU32::MIN,
        fall: NonZeroU32::MIN,
        allow_empty: false,
    })
}

/// Has the checks of these endpoints fail, and of no others. Services without a check get one that
/// takes out all endpoints that fail.
pub fn fail(world: &mut World, endpoints: impl IntoIterator<Item = Target>) {
    let endpoints = endpoints.into_iter();
    world.failing = endpoints.map(|target| (target, Duration::MAX)).collect();
    let names: BTreeSet<ServiceName> = world.failing.keys().map(|it| it.service.clone()).collect();
    for name in names {
        let Some(service) = world.services.get(&name) else {
            continue;
        };
        let mut service = Service::clone(service);
        service.traffic.health.get_or_insert_with(|| {
            Box::new(HealthCheck {
                allow_empty: true,
                ..*check()
            })
        });
        world.services.insert(name, Arc::new(service));
    }
}

fn endpoint(address: &str, weight: u32) -> Endpoint {
    let address: SocketAddr = address.parse().expect("a test writes an address");
    Endpoint {
        weight,
        condition: Condition::Ready,
        ..Endpoint::new(address.ip(), address.port())
    }
}

/// The frontend at `address:port`, UDP.
pub fn udp_key(address: &str) -> FrontendKey {
    FrontendKey {
        protocol: Protocol::Udp.number(),
        ..key(address)
    }
}

/// The frontend at `address:port`, TCP.
pub fn key(address: &str) -> FrontendKey {
    let address: SocketAddr = address.parse().expect("a test writes an address");
    FrontendKey {
        addr: address.ip().into(),
        port: address.port().to_be(),
        protocol: Protocol::Tcp.number(),
        pad: 0,
    }
}
