//! Reads the addresses of a `v1` `Service`, inside and outside the cluster.

use std::net::IpAddr;

use crate::{
    model::{External, FrontendKind},
    source::{
        document::Value,
        field::{Field, all},
        setting::read_as,
        value::{Address, external_ips},
    },
};

/// Returns `clusterIPs` if given, else `clusterIP`. Both are empty until Kubernetes allocates an
/// address.
pub fn cluster_addresses(spec: Field<'_>) -> impl Iterator<Item = Field<'_>> {
    let single = if spec.get("clusterIPs").is_some() {
        None
    } else {
        spec.get("clusterIP")
    };
    let given = |field: &Field<'_>| !matches!(field.value(), Value::Text(text) if text.is_empty() || text == "None");
    spec.list("clusterIPs").chain(single).filter(given)
}

/// Whether the service has one of these types. A service may still have ports and addresses of an
/// earlier type.
pub fn has_type(spec: Field<'_>, types: &[&str]) -> bool {
    spec.get("type")
        .is_some_and(|it| matches!(it.value(), Value::Text(it) if types.contains(&&**it)))
}

/// Load balancer status of a service.
#[derive(Default)]
pub struct Ingress {
    /// Addresses that are served.
    addresses: Vec<IpAddr>,
    /// Addresses or names that are not served.
    left_alone: Vec<LeftAlone>,
}

/// An external address or host name that is left alone.
pub struct LeftAlone {
    /// Address or name.
    pub address: String,
    /// Kind of frontend.
    pub kind: FrontendKind,
    /// Why it is left alone.
    pub reason: &'static str,
}

/// Reads the ingress addresses of the load balancer.
pub fn ingress(object: Field<'_>, spec: Field<'_>) -> Option<Ingress> {
    let mut ingress = Ingress::default();
    let status = object
        .get("status")
        .filter(|_| has_type(spec, &["LoadBalancer"]));
    let Some(balancer) = status.and_then(|status| status.get("loadBalancer")) else {
        return Some(ingress);
    };
    all(balancer
        .list("ingress")
        .map(|point| read_ingress(point, &mut ingress)))?;
    Some(ingress)
}

fn read_ingress(point: Field<'_>, into: &mut Ingress) -> Option<()> {
    let is_proxy = point
        .get("ipMode")
        .is_some_and(|mode| matches!(mode.value(), Value::Text(it) if it == "Proxy"));
    match (point.get("ip"), point.get("hostname")) {
        (Some(ip), _) if is_proxy => {
            let reason = "ipMode Proxy: what is sent there goes through the load balancer";
            into.leave(read_as::<Address>(ip)?.to_string(), reason);
        }
        (Some(ip), _) => into.addresses.push(read_as::<Address>(ip)?),
        (None, Some(name)) => into.leave(name.text()?.to_owned(), "a host name is resolved by DNS"),
        (None, None) => {}
    }
    Some(())
}

impl Ingress {
    fn leave(&mut self, address: String, reason: &'static str) {
        self.left_alone.push(LeftAlone {
            address,
            kind: FrontendKind::LoadBalancer,
            reason,
        });
    }
}

/// The addresses of a service outside the cluster: those that are served, and those that are left
/// alone. A service has endpoints only in the address families that it has inside the cluster.
pub fn outside(
    external: Vec<External>,
    ingress: Ingress,
    inside: &[IpAddr],
) -> (Vec<External>, Vec<LeftAlone>) {
    let has_family = |it: &External| {
        inside
            .iter()
            .any(|inside| inside.is_ipv4() == it.address.is_ipv4())
    };
    let (served, foreign): (Vec<_>, Vec<_>) = external.into_iter().partition(has_family);
    let foreign = foreign.into_iter().map(|External { address, kind }| {
        let v4 = "the service has no IPv4 address inside the cluster";
        let v6 = "the service has no IPv6 address inside the cluster";
        LeftAlone {
            address: address.to_string(),
            kind,
            reason: if address.is_ipv4() { v4 } else { v6 },
        }
    });
    (
        served,
        ingress.left_alone.into_iter().chain(foreign).collect(),
    )
}

/// Reads `externalIPs` and adds the addresses of the load balancer.
pub fn external(spec: Field<'_>, ingress: &Ingress) -> Option<Vec<External>> {
    let listed = external_ips(spec)?;
    let balancer = ingress.addresses.iter().map(|&address| External {
        address,
        kind: FrontendKind::LoadBalancer,
    });
    Some(balancer.fold(listed, |mut all, external| {
        if !all.iter().any(|known| known.address == external.address) {
            all.push(external);
        }
        all
    }))
}
