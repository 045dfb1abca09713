//! Findings about other programs of the node that handle service addresses.

use std::collections::BTreeMap;

use super::facts::Neighbour;
use crate::api::types::Finding;

/// Returns one finding for each program of which there are traces.
pub(super) fn neighbours(traces: &[Neighbour]) -> Vec<Finding> {
    let mut by_name: BTreeMap<&str, Vec<&Neighbour>> = BTreeMap::new();
    for trace in traces {
        by_name.entry(trace.name).or_default().push(trace);
    }
    let found = by_name.into_iter();
    found
        .map(|(name, traces)| neighbour(name, &traces))
        .collect()
}

fn neighbour(name: &str, traces: &[&Neighbour]) -> Finding {
    let names: Vec<&str> = traces.iter().map(|trace| trace.trace.as_str()).collect();
    let seen = names.join(", ");
    let id = format!("neighbour/{name}");
    if traces.iter().any(|trace| trace.in_sockets) {
        let what = format!(
            "{name} answers connects to services on this node, too ({seen}): of two programs at one hook, the first decides"
        );
        let remedy = match name {
            "cilium" => {
                "turn its socket load balancing off (socketLB.enabled=false and kubeProxyReplacement=false), or exclude its \
                 pods' cgroups with --exclude-cgroup"
            }
            _ => "turn its connect-time load balancing off (bpfConnectTimeLoadBalancing: Disabled)",
        };
        return Finding::warning(id, what, remedy);
    }
    let what = match name {
        "kube-proxy" => format!(
            "kube-proxy runs on this node ({seen}): it sees only connects that the agent leaves alone, since the agent decides \
             first, and packets from outside of the node"
        ),
        _ => format!(
            "{name} runs on this node ({seen}): it carries the packets after the agent chose an endpoint, and its network \
             policy applies to the endpoint"
        ),
    };
    Finding::ok(id, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Severity;

    fn trace(name: &'static str, trace: &str, in_sockets: bool) -> Neighbour {
        Neighbour {
            name,
            trace: trace.into(),
            in_sockets,
        }
    }

    #[test]
    fn kube_proxy_decides_after_the_agent() {
        let found = neighbours(&[
            trace("kube-proxy", "process kube-proxy", false),
            trace("kube-proxy", "interface kube-ipvs0", false),
        ]);
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (finding.id.as_str(), finding.severity),
            ("neighbour/kube-proxy", Severity::Ok)
        );
        assert!(
            finding.what.starts_with(
                "kube-proxy runs on this node (process kube-proxy, interface kube-ipvs0): it sees only connects"
            ),
            "{finding:?}"
        );
    }

    #[test]
    fn programs_of_cilium_or_calico_at_the_same_hooks_are_a_warning() {
        let found = neighbours(&[
            trace("cilium", "interface cilium_host", false),
            trace("cilium", "programs in /sys/fs/bpf/cilium/socketlb", true),
            trace("calico", "interface cali1", false),
        ]);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.id.as_str(), it.severity, it.remedy.is_empty()))
            .collect();
        assert_eq!(
            found,
            [
                ("neighbour/calico", Severity::Ok, true),
                ("neighbour/cilium", Severity::Warning, false)
            ]
        );
    }
}
