//! Annotations and policies of Kubernetes services.

use std::time::Duration;

use super::kubernetes::{SPEC, declared};
use super::{external_addresses, joined, problems};
use crate::{
    model::{Affinity, AffinityClient, InternalTraffic},
    source::Serve,
};

#[test]
fn annotations_and_policies_are_read() {
    let text = "\
apiVersion: v1
kind: Service
metadata:
  name: a
  annotations: {mesh-agent.io/affinity-client: cgroup, mesh-agent.io/close-stale-tcp: 'true'}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.1
  externalIPs: [192.0.2.1, 192.0.2.1]
  internalTrafficPolicy: Local
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86400}}
  ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 81, nodePort: 0}, {name: c, port: 9, protocol: SCTP}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.2}, {ip: 192.0.2.3, ipMode: Proxy}]}}
";
    let update = joined(text, Serve::All);
    let service = update.services.values().next().unwrap();
    assert_eq!(
        external_addresses(service),
        ["ExternalIP 192.0.2.1", "LoadBalancer 192.0.2.2"]
    );
    let timeout = Duration::from_secs(86_400);
    assert_eq!(
        service.affinity,
        Some(Affinity {
            client: AffinityClient::Cgroup,
            timeout
        })
    );
    assert_eq!(
        (service.internal_traffic, service.close_stale_tcp),
        (InternalTraffic::Local, Some(Duration::ZERO))
    );
    assert_eq!(
        service
            .ports
            .iter()
            .map(|port| port.node_port)
            .collect::<Vec<_>>(),
        [Some(30080), None]
    );
    let unserved = service
        .unserved
        .iter()
        .map(|it| format!("{}:{}/{} {}", it.address, it.port, it.protocol, it.kind));
    let expected = [
        "10.96.0.1:9/SCTP ClusterIP",
        "192.0.2.3:80/TCP LoadBalancer",
        "192.0.2.3:81/TCP LoadBalancer",
    ];
    assert_eq!(unserved.collect::<Vec<_>>(), expected);
}

#[test]
fn wrong_annotations_and_policies_are_errors() {
    let text = "\
apiVersion: v1
kind: Service
metadata:
  name: a
  annotations:
    mesh-agent.io/enabled: true
    mesh-agent.io/affinity-client: pod
    mesh-agent.io/close-stale-tcp: 'yes'
    mesh-agent.io/of-a-later-version: x
spec:
  clusterIP: 10.96.0.1
  externalIPs: [0.0.0.0]
  internalTrafficPolicy: local
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}
  ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 81, nodePort: 30080}, {name: c, port: 82, nodePort: x}]
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {clusterIP: 10.96.0.2, sessionAffinity: Cookie, ports: [{port: 80}]}
";
    let expected = [
        "a.yaml:6: metadata.annotations.mesh-agent.io/enabled: expected text, in quotes, found `true`",
        "a.yaml:7: metadata.annotations.mesh-agent.io/affinity-client: expected namespace or cgroup, found `pod`",
        "a.yaml:8: metadata.annotations.mesh-agent.io/close-stale-tcp: expected true or false, found `yes`",
        "a.yaml:12: spec.externalIPs[0]: 0.0.0.0 is the unspecified address, no host can be reached at it",
        "a.yaml:13: spec.internalTrafficPolicy: expected Cluster or Local, found `local`",
        "a.yaml:15: spec.sessionAffinityConfig.clientIP.timeoutSeconds: \
         expected seconds from 1 to 86400, found `86401`",
        "a.yaml:16: spec.ports[1]: node port 30080/TCP listed twice, first on line 16",
        "a.yaml:16: spec.ports[2].nodePort: expected a port from 1 to 65535, found `x`",
        "a.yaml:21: spec.sessionAffinity: expected ClientIP or None, found `Cookie`",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn annotation_and_setting_decide_which_services_are_served() {
    let text = |name: &str, annotations: &str| {
        declared(SPEC).replace(
            "{name: a}",
            &format!("{{name: {name}, annotations: {{{annotations}}}}}"),
        )
    };
    let text = text("out", "mesh-agent.io/enabled: 'false'")
        + &text("in", "mesh-agent.io/enabled: 'true'");
    let text = text.replacen("10.96.0.1", "10.96.0.2", 1)
        + &declared(SPEC).replace("10.96.0.1", "10.96.0.3");
    let taken = |serve| {
        let update = joined(&text, serve);
        let left_out = update
            .left_out
            .iter()
            .map(|(name, it)| format!("{} {}: {}", it.origin, name.name, it.reason));
        (super::names(&update), left_out.collect::<Vec<_>>())
    };
    let out = "a.yaml:1 out: opted out (mesh-agent.io/enabled is false)".to_owned();
    assert_eq!(
        taken(Serve::All),
        (vec!["a".into(), "in".into()], vec![out.clone()])
    );
    let a =
        "a.yaml:11 a: not opted in (mesh-agent.io/enabled is not set, and `serve` is `annotated`)"
            .to_owned();
    assert_eq!(taken(Serve::Annotated), (vec!["in".into()], vec![a, out]));
}
