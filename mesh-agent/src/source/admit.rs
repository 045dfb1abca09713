//! What services may have of what they ask for: addresses within the bounds of the settings, and outside of the cluster
//! only what no other service has. What is refused is taken out, and the rest of the service is served.
//!
//! Addresses inside the cluster come first, whatever the order of files. Of external addresses and node ports, a service
//! keeps what it holds; then the preferred source comes first, then the first file and line.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    claims::{Frontend, at},
    holders::Holders,
};
use crate::{
    config::Source,
    model::{
        Addresses, Admission, Effect, External, FrontendKind, Origin, Refused, Service, ServiceName, ServicePort,
        Services, Unserved, field, refusal,
    },
};

/// Takes out what services may not have. `held` says which service holds what, before and after.
pub fn admit(
    services: &mut Services,
    admission: &Admission,
    held: &mut Holders,
    source: impl Fn(&Origin) -> Source,
) -> Refused {
    let mut refused = Refused::default();
    keep_inside(services, admission, &mut refused);
    let mut claimants: Vec<Arc<Service>> = services.values().filter(|service| claims(service)).cloned().collect();
    claimants.sort_by_cached_key(|service| (source(&service.origin), service.origin.clone(), service.name.clone()));
    let mut outside = Outside::new(services, admission, &claimants, held);
    for service in &claimants {
        let (rest, reasons) = outside.of(service);
        if !reasons.is_empty() {
            reasons.into_iter().for_each(|(field, reason)| refused.add(service, field, reason, Effect::Part));
            services.insert(service.name.clone(), Arc::new(rest));
        }
    }
    *held = outside.taken.iter().map(|(frontend, service)| (*frontend, service.name.clone())).collect();
    refused
}

/// Whether a service asks for anything outside of the cluster.
fn claims(service: &Service) -> bool {
    !service.external.is_empty() || service.ports.iter().any(|port| port.node_port.is_some())
}

/// Takes addresses inside the cluster out that are out of bounds, and services that are left without any.
fn keep_inside(services: &mut Services, admission: &Admission, refused: &mut Refused) {
    let is_refused = |address: &IpAddr| admission.refuses_inside(*address).is_some();
    let wrong = services.values().filter(|service| service.addresses.given().iter().any(is_refused));
    for service in wrong.cloned().collect::<Vec<_>>() {
        let kind = match service.addresses {
            Addresses::Cluster(_) => FrontendKind::ClusterIp,
            Addresses::Fixed(_) | Addresses::Auto => FrontendKind::Address,
        };
        let mut rest = Service::clone(&service);
        if let Addresses::Cluster(addresses) | Addresses::Fixed(addresses) = &mut rest.addresses {
            addresses.retain(|address| !is_refused(address));
        }
        let effect = if rest.addresses.given().is_empty() { Effect::LeftOut } else { Effect::Part };
        let reasons = service.addresses.given().iter().filter_map(|address| admission.refuses_inside(*address));
        for reason in reasons {
            refused.add(&service, field(&service, kind), refusal(kind, &service, &reason), effect.clone());
        }
        match effect {
            Effect::LeftOut => _ = services.remove(&service.name),
            _ => _ = services.insert(service.name.clone(), Arc::new(rest)),
        }
    }
}

/// What services have outside of the cluster.
struct Outside<'a> {
    admission: &'a Admission,
    /// Addresses inside the cluster.
    inside: HashMap<IpAddr, Arc<Service>>,
    /// Front ends that are held, of services that still ask for them.
    reserved: HashMap<Frontend, &'a Service>,
    /// Front ends that are given.
    taken: HashMap<Frontend, &'a Service>,
}

impl<'a> Outside<'a> {
    fn new(services: &Services, admission: &'a Admission, claimants: &'a [Arc<Service>], held: &Holders) -> Self {
        let (inside, reserved, taken) = Default::default();
        let mut outside = Self { admission, inside, reserved, taken };
        if claimants.is_empty() {
            return outside;
        }
        let inside = services.values().flat_map(|it| it.addresses.given().iter().map(move |address| (*address, it)));
        outside.inside = inside.map(|(address, service)| (address, Arc::clone(service))).collect();
        for service in claimants {
            let external = service.external.iter().filter(|it| outside.bound(service, it).is_none());
            let wanted =
                external.flat_map(|it| at(service, it.address)).chain(service.ports.iter().filter_map(at_node));
            let wanted: Vec<Frontend> = wanted.filter(|it| held.of(*it) == Some(&service.name)).collect();
            outside.reserved.extend(wanted.into_iter().map(|frontend| (frontend, &**service)));
        }
        outside
    }

    /// A service without what it may not have, and why, by field.
    fn of(&mut self, service: &'a Service) -> (Service, Vec<(String, String)>) {
        let (mut rest, mut reasons) = (service.clone(), Vec::new());
        rest.external.clear();
        for external in &service.external {
            match self.take_external(service, external) {
                None => rest.external.push(*external),
                Some(reason) => {
                    rest.unserved.extend(unserved(service, external, &reason));
                    reasons.push((field(service, external.kind).to_owned(), refusal(external.kind, service, &reason)));
                }
            }
        }
        for (position, port) in rest.ports.iter_mut().enumerate() {
            if let Some(reason) = self.take_node_port(service, port) {
                port.node_port = None;
                let field = format!("{}[{position}].nodePort", field(service, FrontendKind::NodePort));
                reasons.push((field, refusal(FrontendKind::NodePort, service, &reason)));
            }
        }
        (rest, reasons)
    }

    /// Takes an external address, on all ports of the service, or says why not.
    fn take_external(&mut self, service: &'a Service, external: &External) -> Option<String> {
        let taken = || at(service, external.address).find_map(|frontend| self.another(frontend, service));
        let reason = self.bound(service, external).or_else(taken);
        if reason.is_none() {
            self.taken.extend(at(service, external.address).map(|frontend| (frontend, service)));
        }
        reason
    }

    /// Takes the node port of a port, or says why not.
    fn take_node_port(&mut self, service: &'a Service, port: &ServicePort) -> Option<String> {
        let frontend = at_node(port)?;
        let bound = port.node_port.and_then(|number| self.admission.refuses_node_port(number));
        let reason = bound.or_else(|| self.another(frontend, service));
        if reason.is_none() {
            self.taken.insert(frontend, service);
        }
        reason
    }

    /// Why no service, or only the one that has it inside the cluster, may have an external address. A service may have its
    /// own address twice.
    fn bound(&self, service: &Service, external: &External) -> Option<String> {
        let owner = self.inside.get(&external.address);
        if let Some(owner) = owner.filter(|owner| owner.name != service.name) {
            let ServiceName { namespace, name } = &owner.name;
            let address = external.address;
            return Some(format!(
                "{address} is the address of service {namespace}/{name} inside the cluster, in {}",
                owner.origin
            ));
        }
        if owner.is_some() { None } else { self.admission.refuses_outside(external.address) }
    }

    /// Says which other service has a front end.
    fn another(&self, frontend: Frontend, service: &Service) -> Option<String> {
        let first = self.taken.get(&frontend).or_else(|| self.reserved.get(&frontend))?;
        (first.name != service.name)
            .then(|| format!("{frontend} belongs to service {}, in {}", first.name, first.origin))
    }
}

fn at_node(port: &ServicePort) -> Option<Frontend> {
    Some(Frontend::AtNode(port.node_port?, port.protocol))
}

fn unserved(service: &Service, external: &External, reason: &str) -> Vec<Unserved> {
    let of = |port: &ServicePort| Unserved {
        address: external.address.to_string(),
        port: port.port,
        protocol: port.protocol.to_string(),
        kind: external.kind,
        reason: format!("refused: {reason}"),
    };
    service.ports.iter().map(of).collect()
}
