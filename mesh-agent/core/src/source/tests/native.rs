//! The native form: which services its fields make, and which errors.

use std::time::Duration;

use super::{joined, lines, names, parse, problems};
use crate::{
    model::{Affinity, AffinityClient, InternalTraffic},
    source::Serve,
};

/// A file with many fields.
pub(super) fn shop() -> &'static str {
    include_str!("shop.yaml")
}

fn served(text: &str) -> Vec<String> {
    let file = parse(text);
    assert_eq!(file.errors, []);
    file.contents
        .services
        .iter()
        .flat_map(|service| lines(service))
        .collect()
}

#[test]
fn native_services_are_read_whole() {
    let expected = [
        "shop/cart 10.96.0.10 http 80/TCP: 10.0.0.1:8080 x1 ready, 10.0.0.2:8081 x3 terminating",
        "shop/cart 10.96.0.10 dns 53/UDP: 10.0.0.1:5353 x1 ready, 10.0.0.2:5354 x3 terminating",
        "default/web 10.96.0.11,fd00::11 443 443/TCP: 10.0.0.3:8443 x1 ready, [fd00::3]:443 x1 notReady",
        "default/later auto 9000 9000/UDP:",
    ];
    assert_eq!(served(shop()), expected);
}

#[test]
fn json_is_the_same_as_yaml() {
    let json = r#"{"services": [{"name": "a", "address": "10.96.0.1", "ports": [{"port": 80, "targetPort": 8080}],
        "endpoints": [{"address": "10.0.0.1", "weight": 0}]}]}"#;
    assert_eq!(
        served(json),
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x0 ready"]
    );
}

#[test]
fn most_specific_port_of_an_endpoint_counts() {
    let text = |target: &str, endpoint: &str| {
        format!(
            "services:\n- {{name: a, address: auto, ports: [{{name: http, port: 80{target}}}], \
             endpoints: [{{address: 10.0.0.1{endpoint}}}]}}\n"
        )
    };
    let port = |target: &str, endpoint: &str| {
        parse(&text(target, endpoint)).contents.services[0].ports[0].endpoints[0].port
    };
    assert_eq!(port("", ""), 80);
    assert_eq!(port(", targetPort: 81", ""), 81);
    assert_eq!(port(", targetPort: 81", ", port: 82"), 82);
    assert_eq!(
        port(", targetPort: 81", ", port: 82, ports: {http: 83}"),
        83
    );
    assert_eq!(port(", targetPort: web", ", port: 82"), 82);
    assert_eq!(
        port(", targetPort: web", ", port: 82, ports: {web: 84}"),
        84
    );
    assert_eq!(
        port(", targetPort: web", ", ports: {web: 84, http: 83}"),
        83
    );
    let missing = "a.yaml:2: services[0].endpoints[0]: says no port for port 80/TCP of the service";
    assert_eq!(problems(&text(", targetPort: web", "")), [missing]);
}

#[test]
fn mapped_address_is_the_address_itself() {
    let text = "services: [{name: a, address: \"::ffff:10.96.0.1\", ports: [{port: 1}]}]";
    assert_eq!(served(text), ["default/a 10.96.0.1 1 1/TCP:"]);
}

#[test]
fn all_errors_are_reported_together_with_line_and_field() {
    let text = "\
services:
- name: Cart_1
  namespace: -x
  adress: 10.96.0.1
  ports:
  - port: http
    targetPort: 0
  - name: b
    port: 65536
    protocol: tcp
  endpoints:
  - address: 0.0.0.0
    weight: 65536
    state: up
  - port: -1
    adress: 10.0.0.1
- address: [10.96.0.2, ten, 10.96.0.2]
  ports: []
  endpoints: 10.0.0.1
- 7
service: []
";
    let known = "known here: name, namespace, address, externalIPs, ports, endpoints, enabled, internalTrafficPolicy, \
                 affinity, balance, locality, limits, outlier, health, slowStart, drain, closeStaleTcp, drainSeconds";
    let name = "expected lower-case letters, digits and `-`, with a letter or digit at both ends";
    let expected = [
        "a.yaml:2: services[0].address: missing".to_owned(),
        format!("a.yaml:2: services[0].name: {name}, found `Cart_1`"),
        format!("a.yaml:3: services[0].namespace: {name}, found `-x`"),
        format!("a.yaml:4: services[0].adress: unknown field; {known}"),
        "a.yaml:6: services[0].ports[0].port: expected a port from 1 to 65535, found `http`".to_owned(),
        "a.yaml:7: services[0].ports[0].targetPort: expected a port from 1 to 65535, found `0`".to_owned(),
        "a.yaml:9: services[0].ports[1].port: expected a port from 1 to 65535, found `65536`".to_owned(),
        "a.yaml:10: services[0].ports[1].protocol: expected TCP or UDP, found `tcp`".to_owned(),
        "a.yaml:12: services[0].endpoints[0].address: \
             0.0.0.0 is the unspecified address, no host can be reached at it"
            .to_owned(),
        "a.yaml:13: services[0].endpoints[0].weight: \
             expected a weight from 0 to 65535 (only the ratio of weights matters), found `65536`"
            .to_owned(),
        "a.yaml:14: services[0].endpoints[0].state: expected ready, terminating or notReady, found `up`".to_owned(),
        "a.yaml:15: services[0].endpoints[1].address: missing".to_owned(),
        "a.yaml:15: services[0].endpoints[1].port: expected a port from 1 to 65535, found `-1`".to_owned(),
        "a.yaml:16: services[0].endpoints[1].adress: unknown field; \
             known here: address, port, ports, weight, state, node, cloud, region, zone, capacity"
            .to_owned(),
        "a.yaml:17: services[1].address[1]: expected an IPv4 or IPv6 address, found `ten`".to_owned(),
        "a.yaml:17: services[1].name: missing".to_owned(),
        "a.yaml:18: services[1].ports: a service needs at least one port".to_owned(),
        "a.yaml:19: services[1].endpoints: expected a list, found `10.0.0.1`".to_owned(),
        "a.yaml:20: services[2]: expected a mapping, found `7`".to_owned(),
        "a.yaml:21: service: unknown field; known here: services".to_owned(),
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn duplicates_within_a_service_are_errors() {
    let text = "\
services:
- name: a
  address: [10.96.0.1, 10.96.0.1]
  ports:
  - {name: x, port: 80}
  - {name: x, port: 81}
  - {name: y, port: 80}
  - {name: z, port: 80, protocol: UDP}
  - port: 82
- name: b
  address: 224.0.0.1
  ports: [{port: 80}]
  endpoints:
  - {address: 10.0.0.1, port: 1}
  - {address: 10.0.0.1, port: 2}
  - {address: 10.0.0.1, port: 1, weight: 7}
  - {address: 10.0.0.2, ports: {web: 8080}}
- name: c
  address: 255.255.255.255
  ports: [{port: 80}]
";
    let unreachable = "no host can be reached at it";
    let expected = [
        "a.yaml:3: services[0].address[1]: 10.96.0.1 listed twice".to_owned(),
        "a.yaml:6: services[0].ports[1]: port name `x` given twice, first on line 5".to_owned(),
        "a.yaml:7: services[0].ports[2]: port 80/TCP listed twice, first on line 5".to_owned(),
        "a.yaml:9: services[0].ports[4]: a service with several ports must name each of them"
            .to_owned(),
        format!("a.yaml:11: services[1].address: 224.0.0.1 is a multicast address, {unreachable}"),
        "a.yaml:16: services[1].endpoints[2]: 10.0.0.1:1 listed twice, first on line 14".to_owned(),
        "a.yaml:17: services[1].endpoints[3].ports.web: \
         no port of this service has this name, nor this `targetPort`"
            .to_owned(),
        format!(
            "a.yaml:19: services[2].address: 255.255.255.255 is the broadcast address, {unreachable}"
        ),
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn names_are_as_long_as_dns_allows() {
    let text =
        |name: &str| format!("services: [{{name: {name}, address: auto, ports: [{{port: 1}}]}}]");
    assert_eq!(problems(&text(&"a".repeat(63))), [""; 0]);
    assert_eq!(
        problems(&text(&"a".repeat(64))),
        ["a.yaml:1: services[0].name: 64 characters long, at most 63 fit"]
    );
}

#[test]
fn every_kubernetes_setting_has_a_native_field() {
    let text = "\
services:
- name: a
  address: 10.96.0.1
  externalIPs: [192.0.2.1]
  internalTrafficPolicy: Local
  affinity: {client: cgroup, timeoutSeconds: 1}
  closeStaleTcp: true
  ports: [{port: 80, nodePort: 30080}]
  endpoints: [{address: 10.0.0.1, node: n1}]
";
    let file = parse(text);
    assert_eq!(file.errors, []);
    let service = &file.contents.services[0];
    let affinity = Affinity {
        client: AffinityClient::Cgroup,
        timeout: Duration::from_secs(1),
    };
    assert_eq!(
        (service.affinity, service.close_stale_tcp),
        (Some(affinity), Some(Duration::ZERO))
    );
    assert_eq!(
        (service.internal_traffic, service.external.len()),
        (InternalTraffic::Local, 1)
    );
    assert_eq!(service.ports[0].node_port, Some(30080));
    assert_eq!(service.ports[0].endpoints[0].node.as_deref(), Some("n1"));
    let text = text.replace("Local", "Near").replace(
        "cgroup, timeoutSeconds: 1",
        "pod, timeoutSeconds: 0, ttl: 1",
    );
    let text = text
        .replace("true", "'true'")
        .replace("node: n1", "node: [n1]");
    let expected = [
        "a.yaml:5: services[0].internalTrafficPolicy: expected Cluster or Local, found `Near`",
        "a.yaml:6: services[0].affinity.client: expected namespace or cgroup, found `pod`",
        "a.yaml:6: services[0].affinity.timeoutSeconds: expected seconds from 1 to 86400, found `0`",
        "a.yaml:6: services[0].affinity.ttl: unknown field; known here: client, timeoutSeconds",
        "a.yaml:7: services[0].closeStaleTcp: expected true or false, found the text `\"true\"`",
        "a.yaml:9: services[0].endpoints[0].node: expected text, found a list",
    ];
    assert_eq!(problems(&text), expected);
}

#[test]
fn service_and_setting_decide_which_services_are_served() {
    let service = |name: &str, rest: &str| {
        format!("- {{name: {name}, address: auto, ports: [{{port: 1}}]{rest}}}\n")
    };
    let text = "services:\n".to_owned() + &service("a", "") + &service("in", ", enabled: true");
    let text = text + &service("out", ", enabled: false");
    let all = joined(&text, Serve::All);
    assert_eq!(names(&all), ["a", "in"]);
    let note = "a.yaml:4: service default/out is left alone: opted out (enabled is false)";
    assert_eq!(
        all.notes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [note]
    );
    let annotated = joined(&text, Serve::Annotated);
    assert_eq!(
        (names(&annotated), annotated.left_out.len()),
        (vec!["in".to_owned()], 2)
    );
}

#[test]
fn a_port_that_is_a_text_is_called_a_text() {
    let text = "services:\n- name: cart\n  address: 10.96.0.1\n  ports: [{port: \"80\"}]\n";
    let expected = "a.yaml:4: services[0].ports[0].port: expected a port from 1 to 65535, found the text `\"80\"`";
    assert_eq!(problems(text), [expected]);
}

#[test]
fn an_endpoint_at_a_link_local_address_is_an_error() {
    let text = "services:\n- {name: a, address: \"fd00::1\", ports: [{port: 80}], endpoints: [{address: \"fe80::1\"}]}\n";
    let expected = "a.yaml:2: services[0].endpoints[0].address: fe80::1 is a link-local address, which a connect reaches \
                    only with the name of an interface (a scope): list another address of that host";
    assert_eq!(problems(text), [expected]);
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv6\n\
                 metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}\n\
                 ports: [{port: 80}]\nendpoints: [{addresses: [\"fe80::1\"]}]\n";
    assert!(
        problems(slice)[0].contains("endpoints[0].addresses[0]: fe80::1 is a link-local address"),
        "{:?}",
        problems(slice)
    );
    assert_eq!(
        problems(
            &text
                .replace("fe80::1", "169.254.169.254")
                .replace("fd00::1", "10.96.0.1")
        ),
        [""; 0]
    );
}
