//! Settings about what services may use: addresses, node ports, and a share of the maps.

use std::{num::NonZeroU8, ops::RangeInclusive};

use clap::Args;
use ipnet::IpNet;

use super::{
    error::{reason, reasons},
    text::{self, Parsed, all_valid, parsed, valid},
};
use crate::{
    desired::Quotas,
    model::{Admission, NODE_PORTS},
};

/// Bounds from one origin.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Bounds {
    /// Network of cluster addresses (`clusterIPs` and `address`): other cluster addresses are
    /// refused, and no external address may be in it; repeat for several [default: any except
    /// loopback and link-local addresses]
    #[arg(long, env = "MESH_SERVICE_CIDR", value_name = "CIDR", value_delimiter = ',', value_parser = parsed(text::network))]
    pub(super) service_cidr: Vec<Parsed<IpNet>>,
    /// Network that external and load balancer addresses of services may be in; repeat for several.
    /// Addresses of loopback, link-local, services and this node are allowed only by a network that
    /// holds nothing else [default: none: connects to such addresses are left untouched]
    #[arg(long, env = "MESH_EXTERNAL_CIDR", value_name = "CIDR", value_delimiter = ',', value_parser = parsed(text::network))]
    pub(super) external_cidr: Vec<Parsed<IpNet>>,
    /// Node ports that services may have [default: 30000-32767]
    #[arg(long, env = "MESH_NODE_PORT_RANGE", value_name = "FIRST-LAST", value_parser = parsed(text::ports))]
    pub(super) node_port_range: Option<Parsed<RangeInclusive<u16>>>,
    /// Percent of the rows for endpoints, slots and service addresses that one service may have;
    /// endpoints beyond that are not served [default: 25]
    #[arg(long, env = "MESH_QUOTA_PER_SERVICE", value_name = "PERCENT", value_parser = parsed(text::percent))]
    pub(super) quota_per_service: Option<Parsed<NonZeroU8>>,
    /// Percent of those rows that the services of one namespace may have together; a service that
    /// does not fit keeps its last version, or is left out [default: 50]
    #[arg(long, env = "MESH_QUOTA_PER_NAMESPACE", value_name = "PERCENT", value_parser = parsed(text::percent))]
    pub(super) quota_per_namespace: Option<Parsed<NonZeroU8>>,
}

impl Bounds {
    /// Notes what is wrong with flags and environment.
    pub(super) fn wrong(&self, note: &mut impl FnMut(&str, Vec<&String>)) {
        note("service-cidr", reasons(&self.service_cidr));
        note("external-cidr", reasons(&self.external_cidr));
        note("node-port-range", reason(self.node_port_range.as_ref()));
        note("quota-per-service", reason(self.quota_per_service.as_ref()));
        note(
            "quota-per-namespace",
            reason(self.quota_per_namespace.as_ref()),
        );
    }

    pub(super) fn or(self, other: Self) -> Self {
        let list = |ours: Vec<_>, others| if ours.is_empty() { others } else { ours };
        Self {
            service_cidr: list(self.service_cidr, other.service_cidr),
            external_cidr: list(self.external_cidr, other.external_cidr),
            node_port_range: self.node_port_range.or(other.node_port_range),
            quota_per_service: self.quota_per_service.or(other.quota_per_service),
            quota_per_namespace: self.quota_per_namespace.or(other.quota_per_namespace),
        }
    }

    /// Returns which addresses and node ports services may have.
    pub(super) fn admission(&self, vip_pools: &[IpNet]) -> Admission {
        Admission {
            service_cidrs: all_valid(self.service_cidr.clone()),
            external_cidrs: all_valid(self.external_cidr.clone()),
            vip_pools: vip_pools.to_vec(),
            node_ports: valid(self.node_port_range.clone()).unwrap_or(NODE_PORTS),
        }
    }

    /// Returns the share of the maps that services may use.
    pub(super) fn quotas(&self) -> Quotas {
        let default = Quotas::default();
        let percent = |given: &Option<Parsed<NonZeroU8>>| valid(given.clone()).map(NonZeroU8::get);
        Quotas {
            service_percent: percent(&self.quota_per_service).unwrap_or(default.service_percent),
            namespace_percent: percent(&self.quota_per_namespace)
                .unwrap_or(default.namespace_percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, fixture};

    fn resolve(text: &str, bounds: Bounds) -> Result<(Admission, Quotas), Vec<String>> {
        let given = Given {
            bounds,
            ..Given::default()
        };
        let settings = fixture::resolve(text, given)?;
        Ok((settings.admission, settings.quotas))
    }

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn nothing_outside_of_the_cluster_is_allowed_by_default() {
        let admission = Admission {
            service_cidrs: vec![],
            external_cidrs: vec![],
            vip_pools: networks(&["240.96.0.0/16"]),
            node_ports: 30_000..=32_767,
        };
        let quotas = Quotas {
            service_percent: 25,
            namespace_percent: 50,
        };
        assert_eq!(resolve("", Bounds::default()), Ok((admission, quotas)));
    }

    #[test]
    fn bounds_come_from_the_file_and_from_flags() {
        let text = "serviceCidr: [10.96.0.0/12, fd00:96::/108]\nexternalCidr: [192.0.2.0/24]\nnodePortRange: 80-90\n\
                    quotaPerService: 10\nquotaPerNamespace: 100\n";
        let external_cidr = vec![text::network("203.0.113.0/24")];
        let given = Bounds {
            external_cidr,
            quota_per_service: Some(text::percent("5")),
            ..Bounds::default()
        };
        let admission = Admission {
            service_cidrs: networks(&["10.96.0.0/12", "fd00:96::/108"]),
            external_cidrs: networks(&["203.0.113.0/24"]),
            vip_pools: networks(&["240.96.0.0/16"]),
            node_ports: 80..=90,
        };
        assert_eq!(
            resolve(text, given),
            Ok((
                admission,
                Quotas {
                    service_percent: 5,
                    namespace_percent: 100
                }
            ))
        );
    }

    #[test]
    fn wrong_bounds_are_named_with_their_place() {
        let text = "serviceCidr: [ten]\nnodePortRange: 30000\nquotaPerService: 0\nquotaPerNamespace: 101\n";
        let given = Bounds {
            external_cidr: vec![text::network("any")],
            node_port_range: Some(text::ports("9-8")),
            quota_per_namespace: Some(text::percent("half")),
            ..Bounds::default()
        };
        let expected = [
            "agent.yaml:2: serviceCidr[0]: expected a network, like 10.96.0.0/16, found `ten`",
            "agent.yaml:3: nodePortRange: expected text, found `30000`",
            "agent.yaml:4: quotaPerService: expected a whole number from 1 to 100, found `0`",
            "agent.yaml:5: quotaPerNamespace: expected a whole number from 1 to 100, found `101`",
            "--external-cidr (or MESH_EXTERNAL_CIDR): expected a network, like 10.96.0.0/16, found `any`",
            "--node-port-range (or MESH_NODE_PORT_RANGE): expected the first and the last port, like 30000-32767, found `9-8`",
            "--quota-per-namespace (or MESH_QUOTA_PER_NAMESPACE): expected a whole number from 1 to 100, found `half`",
        ];
        assert_eq!(resolve(text, given).unwrap_err(), expected);
    }
}
