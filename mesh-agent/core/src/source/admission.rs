//! Admits the addresses and node ports that services claim: those within the bounds of the settings
//! and, outside the cluster, those that no other service has. A refused claim is removed, and the
//! rest of the service is served.
//!
//! Addresses inside the cluster take precedence, in any order of files. A service keeps the
//! external addresses and node ports that it holds; other claims are served by preferred source,
//! then by file and line.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    frontend_address::{FrontendAddress, at},
    frontend_owners::FrontendOwners,
};
use crate::{
    model::{
        Addresses, Admission, Effect, External, FrontendKind, Refused, Service, ServicePort,
        Services, Unserved, field, refusal,
    },
    source::Source,
};

/// Removes claims that are not admitted. `held` lists the frontends that services hold, and is
/// updated. While the update is not `certain`, services that are missing keep what they hold.
pub fn admit(
    services: &mut Services,
    admission: &Admission,
    held: &mut FrontendOwners,
    certain: bool,
    source: impl Fn(&Service) -> Source,
) -> Refused {
    let mut refused = Refused::default();
    keep_inside(services, admission, &mut refused);
    let mut claimants: Vec<Arc<Service>> = services
        .values()
        .filter(|service| claims(service))
        .cloned()
        .collect();
    claimants.sort_by_cached_key(|service| {
        (
            source(service),
            service.origin.clone(),
            service.name.clone(),
        )
    });
    let absent = held.of_others(|name| certain || services.contains_key(name));
    let mut outside = Outside::new(services, admission, &claimants, (held, &absent));
    for service in &claimants {
        let reasons = outside.of(service);
        if !reasons.is_empty() {
            services.insert(service.name.clone(), Arc::new(without(service, &reasons)));
            for (claim, reason) in reasons {
                let (field, kind) = claim.place(service);
                refused.add(
                    service,
                    field,
                    refusal(kind, service, &reason),
                    Effect::Part,
                );
            }
        }
    }
    let owners = outside
        .taken
        .iter()
        .map(|(frontend, service)| (*frontend, service.name.clone()));
    let taken: FrontendOwners = owners.collect();
    *held = absent.or(taken);
    refused
}

/// Whether a service claims anything outside the cluster.
fn claims(service: &Service) -> bool {
    !service.external.is_empty() || service.ports.iter().any(|port| port.node_port.is_some())
}

/// Removes cluster addresses that are out of bounds, and services that have no address left.
fn keep_inside(services: &mut Services, admission: &Admission, refused: &mut Refused) {
    let is_refused = |address: &IpAddr| admission.refuses_inside(*address).is_some();
    let wrong = services
        .values()
        .filter(|service| service.addresses.given().iter().any(is_refused));
    for service in wrong.cloned().collect::<Vec<_>>() {
        let kind = match service.addresses {
            Addresses::Cluster(_) => FrontendKind::ClusterIp,
            Addresses::Fixed(_) | Addresses::Auto => FrontendKind::Address,
        };
        let mut rest = Service::clone(&service);
        if let Addresses::Cluster(addresses) | Addresses::Fixed(addresses) = &mut rest.addresses {
            addresses.retain(|address| !is_refused(address));
        }
        let effect = if rest.addresses.given().is_empty() {
            Effect::LeftOut
        } else {
            Effect::Part
        };
        let reasons = service
            .addresses
            .given()
            .iter()
            .filter_map(|address| admission.refuses_inside(*address));
        for reason in reasons {
            refused.add(
                &service,
                field(&service, kind),
                refusal(kind, &service, &reason),
                effect.clone(),
            );
        }
        match effect {
            Effect::LeftOut => _ = services.remove(&service.name),
            _ => _ = services.insert(service.name.clone(), Arc::new(rest)),
        }
    }
}

/// A claim outside the cluster, by its position in the service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    External(usize),
    NodePort(usize),
}

impl Claim {
    /// Returns the field that makes the claim, and its kind.
    fn place(self, service: &Service) -> (String, FrontendKind) {
        match self {
            Self::External(position) => {
                let kind = service.external[position].kind;
                (field(service, kind).to_owned(), kind)
            }
            Self::NodePort(position) => {
                let kind = FrontendKind::NodePort;
                (
                    format!("{}[{position}].nodePort", field(service, kind)),
                    kind,
                )
            }
        }
    }
}

/// Refused claims and their reasons.
type Reasons = Vec<(Claim, String)>;

/// Returns the service without the refused claims.
fn without(service: &Service, reasons: &Reasons) -> Service {
    let mut rest = service.clone();
    rest.external.clear();
    for (position, external) in service.external.iter().enumerate() {
        match reasons
            .iter()
            .find(|(claim, _)| *claim == Claim::External(position))
        {
            None => rest.external.push(*external),
            Some((_, reason)) => rest.unserved.extend(unserved(service, external, reason)),
        }
    }
    for (position, port) in rest.ports.iter_mut().enumerate() {
        if reasons
            .iter()
            .any(|(claim, _)| *claim == Claim::NodePort(position))
        {
            port.node_port = None;
        }
    }
    rest
}

/// Frontends outside the cluster and their owners.
struct Outside<'a> {
    admission: &'a Admission,
    /// Cluster addresses that are also claimed as external ones.
    inside: HashMap<IpAddr, Arc<Service>>,
    /// Frontends of services that may be missing by mistake.
    absent: &'a FrontendOwners,
    /// Frontends that services hold and still claim.
    reserved: HashMap<FrontendAddress, &'a Service>,
    /// Frontends that are assigned.
    taken: HashMap<FrontendAddress, &'a Service>,
}

impl<'a> Outside<'a> {
    fn new(
        services: &Services,
        admission: &'a Admission,
        claimants: &'a [Arc<Service>],
        (held, absent): (&FrontendOwners, &'a FrontendOwners),
    ) -> Self {
        let claimed: HashSet<IpAddr> = claimants
            .iter()
            .flat_map(|service| service.external.iter().map(|it| it.address))
            .collect();
        let all = services.values().filter(|_| !claimed.is_empty());
        let owned = all.flat_map(|it| {
            it.addresses
                .given()
                .iter()
                .map(move |address| (*address, it))
        });
        let claimed_inside = owned.filter(|(address, _)| claimed.contains(address));
        let inside = claimed_inside
            .map(|(address, service)| (address, Arc::clone(service)))
            .collect();
        let mut outside = Self {
            admission,
            inside,
            absent,
            reserved: HashMap::new(),
            taken: HashMap::new(),
        };
        for service in claimants {
            let external = service
                .external
                .iter()
                .filter(|it| outside.bound(service, it).is_none());
            let frontends = external
                .flat_map(|it| at(service, it.address))
                .chain(service.ports.iter().filter_map(at_node));
            let wanted: Vec<FrontendAddress> = frontends
                .filter(|it| held.of(*it) == Some(&service.name))
                .collect();
            outside
                .reserved
                .extend(wanted.into_iter().map(|frontend| (frontend, &**service)));
        }
        outside
    }

    /// Assigns a service its admitted frontends; returns the refused claims.
    fn of(&mut self, service: &'a Service) -> Reasons {
        let mut reasons = Reasons::new();
        for (position, external) in service.external.iter().enumerate() {
            let frontends: Vec<FrontendAddress> = at(service, external.address).collect();
            let reason = self.bound(service, external);
            reasons.extend(
                self.take(service, &frontends, reason)
                    .map(|reason| (Claim::External(position), reason)),
            );
        }
        for (position, port) in service.ports.iter().enumerate() {
            if let Some(number) = port.node_port {
                let frontends: Vec<FrontendAddress> = at_node(port).into_iter().collect();
                let reason = self.admission.refuses_node_port(number);
                reasons.extend(
                    self.take(service, &frontends, reason)
                        .map(|reason| (Claim::NodePort(position), reason)),
                );
            }
        }
        reasons
    }

    /// Assigns all of these frontends to a service, or none of them and returns the reason.
    fn take(
        &mut self,
        service: &'a Service,
        frontends: &[FrontendAddress],
        reason: Option<String>,
    ) -> Option<String> {
        let taken = || {
            frontends
                .iter()
                .find_map(|frontend| self.another(*frontend, service))
        };
        let reason = reason.or_else(taken);
        if reason.is_none() {
            self.taken
                .extend(frontends.iter().map(|frontend| (*frontend, service)));
        }
        reason
    }

    /// Returns why a service may not have an external address because of the bounds or of another
    /// service's cluster address. A service may list its own cluster address as an external one.
    fn bound(&self, service: &Service, external: &External) -> Option<String> {
        let address = external.address;
        match self.inside.get(&address) {
            Some(owner) if owner.name == service.name => None,
            Some(owner) => Some(format!(
                "{address} is the address of service {} inside the cluster, in {}",
                owner.name, owner.origin
            )),
            None => self.admission.refuses_outside(address),
        }
    }

    /// Returns a reason that names the other service with this frontend.
    fn another(&self, frontend: FrontendAddress, service: &Service) -> Option<String> {
        if let Some(refusal) = self.absent.refusal(frontend, &service.name) {
            return Some(refusal);
        }
        let first = self
            .taken
            .get(&frontend)
            .or_else(|| self.reserved.get(&frontend))?;
        (first.name != service.name).then(|| {
            format!(
                "{frontend} belongs to service {}, in {}",
                first.name, first.origin
            )
        })
    }
}

fn at_node(port: &ServicePort) -> Option<FrontendAddress> {
    Some(FrontendAddress::AtNode(port.node_port?, port.protocol))
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
