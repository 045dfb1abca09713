//! Kubernetes objects: which of them are joined to a service, and what their fields mean.

use super::{Node, external_addresses, joined, problems};
use crate::source::Serve;

fn served(text: &str) -> Vec<String> {
    super::served(&joined(text, Serve::All))
}

fn notes(text: &str) -> Vec<String> {
    joined(text, Serve::All)
        .notes
        .iter()
        .map(ToString::to_string)
        .collect()
}

pub(super) fn declared(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {spec}\n---\n")
}

pub(super) fn slice(endpoints: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: a-1, labels: {{kubernetes.io/service-name: a}}}}\n\
         ports: [{{name: '', port: 8080}}]\nendpoints: {endpoints}\n---\n"
    )
}

pub(super) const SPEC: &str = "{clusterIP: 10.96.0.1, ports: [{port: 80}]}";

#[test]
fn exported_objects_are_joined() {
    let expected = [
        "default/old 10.96.0.11 80 80/TCP: 10.0.1.1:8080 x1 ready, 10.0.1.2:8080 x1 notReady",
        "shop/cart 10.96.0.10,fd00::10 http 80/TCP: 10.0.0.1:8080 x1 ready, 10.0.0.2:8080 x1 terminating, \
         10.0.0.3:8080 x1 notReady, 10.0.0.4:8080 x1 ready, [fd00::1]:8081 x1 ready",
        "shop/cart 10.96.0.10,fd00::10 dns 53/UDP: 10.0.0.1:5353 x1 ready, 10.0.0.2:5353 x1 terminating, \
         10.0.0.3:5353 x1 notReady, 10.0.0.4:5353 x1 ready",
    ];
    let text = include_str!("cluster.yaml");
    assert_eq!(served(text), expected);
    assert_eq!(
        notes(text),
        ["a.yaml:24: a port of protocol SCTP is left alone"]
    );
}

#[test]
fn service_without_slices_has_no_endpoints() {
    assert_eq!(served(&declared(SPEC)), ["default/a 10.96.0.1 80 80/TCP:"]);
    assert_eq!(notes(&declared(SPEC)), [""; 0]);
}

#[test]
fn endpoint_in_several_slices_is_one_and_ready_wins() {
    let gone = slice("[{addresses: [10.0.0.1], conditions: {ready: false}}]");
    let here = slice(
        "[{addresses: [10.0.0.1], conditions: {ready: null}}, {addresses: [10.0.0.1, 10.0.0.2]}]",
    );
    for text in [
        declared(SPEC) + &gone + &here,
        here + &declared(SPEC) + &gone,
    ] {
        assert_eq!(
            served(&text),
            ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"]
        );
    }
}

#[test]
fn publish_not_ready_addresses_makes_all_ready() {
    let spec = "{clusterIP: 10.96.0.1, ports: [{port: 80}], publishNotReadyAddresses: true}";
    let text = declared(spec) + &slice("[{addresses: [10.0.0.1], conditions: {ready: false}}]");
    assert_eq!(
        served(&text),
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"]
    );
}

#[test]
fn services_that_are_left_alone_are_noted_and_their_slices_are_not() {
    let left_alone = |spec: &str| notes(&(declared(spec) + &slice("[{addresses: [10.0.0.1]}]")));
    let note = |reason: &str| {
        [format!(
            "a.yaml:1: service default/a is left alone: {reason}"
        )]
    };
    assert_eq!(
        left_alone("{clusterIP: None, ports: [{port: 80}]}"),
        note("it is headless (clusterIP None)")
    );
    assert_eq!(
        left_alone("{type: ExternalName, externalName: x.org}"),
        note("ExternalName is an alias in DNS")
    );
    assert_eq!(
        left_alone("{clusterIP: '', ports: [{port: 80}]}"),
        note("it has no clusterIP")
    );
    assert_eq!(
        left_alone("{ports: [{port: 80}]}"),
        note("it has no clusterIP")
    );
    assert_eq!(
        left_alone("{clusterIP: 10.96.0.1}"),
        note("it has no TCP or UDP port")
    );
    let text = declared(SPEC).replace(
        "{name: a}",
        "{name: a, labels: {service.kubernetes.io/service-proxy-name: x}}",
    );
    assert_eq!(
        notes(&text),
        note("it has the label service.kubernetes.io/service-proxy-name")
    );
    assert_eq!(served(&text), [""; 0]);
}

#[test]
fn objects_without_a_service_are_noted() {
    let stray = "a.yaml:1: endpoints of service default/a, which is not configured, are not used";
    assert_eq!(notes(&slice("[]")), [stray]);
    let unlabelled = slice("[]").replace("labels", "annotations");
    assert_eq!(
        notes(&unlabelled),
        [
            "a.yaml:1: an EndpointSlice without the label kubernetes.io/service-name belongs to no service"
        ]
    );
    let names = slice("[{addresses: [x.org]}]").replace("ports:", "addressType: FQDN\nports:");
    assert_eq!(
        notes(&names),
        ["a.yaml:1: an EndpointSlice of host names (addressType FQDN) is not used"]
    );
    assert_eq!(
        notes("apiVersion: apps/v1\nkind: Deployment\n"),
        ["a.yaml:1: objects of kind Deployment are not used"]
    );
}

#[test]
fn elements_of_a_typed_list_need_no_kind() {
    let text = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n  \
                spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n";
    assert_eq!(served(text), ["default/a 10.96.0.1 80 80/TCP:"]);
}

#[test]
fn all_errors_of_all_objects_are_reported() {
    let text = "\
apiVersion: v1
kind: List
items:
- kind: Service
- apiVersion: v1
  kind: Service
  metadata: {}
  spec:
    clusterIP: ten
    ports: [{port: 0}, {port: 81}]
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {labels: {kubernetes.io/service-name: a}}
  ports: [{port: x}]
  endpoints:
  - addresses: []
    conditions: {ready: 'yes'}
  - {}
---
- 1
";
    let expected = [
        "a.yaml:4: items[0]: expected `services`, or the `apiVersion` and `kind` of a Kubernetes object",
        "a.yaml:4: items[0].apiVersion: missing",
        "a.yaml:7: items[1].metadata.name: missing",
        "a.yaml:9: items[1].spec.clusterIP: expected an IPv4 or IPv6 address, found `ten`",
        "a.yaml:10: items[1].spec.ports[0].port: expected a port from 1 to 65535, found `0`",
        "a.yaml:14: items[2].ports[0].port: expected a port from 1 to 65535, found `x`",
        "a.yaml:16: items[2].endpoints[0].addresses: expected a list of at least one address, found a list",
        "a.yaml:17: items[2].endpoints[0].conditions.ready: expected true or false, found `yes`",
        "a.yaml:18: items[2].endpoints[1].addresses: missing",
        "a.yaml:20: expected a mapping, found a list",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn objects_of_one_service_may_be_in_different_files() {
    let mut node = Node::new();
    node.write(
        "a.json",
        r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}"#,
    );
    node.write("b.yaml", &slice("[{addresses: [10.0.0.1]}]"));
    assert_eq!(
        super::served(&node.read()),
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"]
    );
    node.write("b.yaml", &slice("[{addresses: [10.0.0.2]}]"));
    assert_eq!(
        super::served(&node.read()),
        ["default/a 10.96.0.1 80 80/TCP: 10.0.0.2:8080 x1 ready"]
    );
}

#[test]
fn service_whose_slices_may_be_in_a_broken_file_is_uncertain() {
    let mut node = Node::new();
    node.write("a.yaml", &declared(SPEC));
    node.write("b.yaml", "[");
    let update = node.read();
    let bare = ["default/a 10.96.0.1 80 80/TCP:"];
    assert_eq!(
        (&super::served(&update)[..], update.complete),
        (&bare.map(str::to_owned)[..], false)
    );
    assert_eq!(update.uncertain, update.services.keys().cloned().collect());
    node.write("b.yaml", "# fixed");
    let update = node.read();
    assert_eq!(
        (&super::served(&update)[..], update.uncertain),
        (&bare.map(str::to_owned)[..], [].into())
    );
}

#[test]
fn endpoint_that_moves_between_slices_is_on_the_node_of_the_ready_one() {
    let gone = slice("[{addresses: [10.0.0.1], nodeName: old, conditions: {ready: false}}]");
    let here = slice("[{addresses: [10.0.0.1], nodeName: new}]");
    for text in [
        declared(SPEC) + &gone + &here,
        here + &declared(SPEC) + &gone,
    ] {
        let update = joined(&text, Serve::All);
        let node = update.services.values().next().unwrap().ports[0].endpoints[0]
            .node
            .clone();
        assert_eq!(node.as_deref(), Some("new"));
    }
}

#[test]
fn endpoint_that_several_slices_list_is_on_all_their_nodes() {
    let slices = ["n1", "n2", "n1"]
        .map(|node| slice(&format!("[{{addresses: [10.0.0.1], nodeName: {node}}}]")));
    let unready = slice("[{addresses: [10.0.0.1], nodeName: n3, conditions: {ready: false}}]");
    for text in [
        slices.concat() + &slice("[{addresses: [10.0.0.1]}]") + &unready,
        unready + &slices.concat(),
    ] {
        let update = joined(&(declared(SPEC) + &text), Serve::All);
        let endpoints = &update.services.values().next().unwrap().ports[0].endpoints;
        assert_eq!(endpoints.len(), 1);
        assert_eq!(
            ["n1", "n2", "n3"].map(|node| endpoints[0].is_on(node)),
            [true, true, false]
        );
    }
}

#[test]
fn external_addresses_of_another_family_are_left_alone() {
    let text = "\
apiVersion: v1
kind: Service
metadata: {name: a}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.1
  externalIPs: [192.0.2.1, 2001:db8::1]
  ports: [{port: 80}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.2}, {ip: '2001:db8::2'}]}}
";
    let update = joined(text, Serve::All);
    let service = update.services.values().next().unwrap();
    assert_eq!(
        external_addresses(service),
        ["ExternalIP 192.0.2.1", "LoadBalancer 192.0.2.2"]
    );
    let why = "the service has no IPv6 address inside the cluster";
    let unserved = service
        .unserved
        .iter()
        .map(|it| format!("{} {}:{} {}", it.kind, it.address, it.port, it.reason));
    let left_alone = [
        format!("ExternalIP 2001:db8::1:80 {why}"),
        format!("LoadBalancer 2001:db8::2:80 {why}"),
    ];
    assert_eq!(unserved.collect::<Vec<_>>(), left_alone);
    let expected = [
        format!("a.yaml:1: external address 2001:db8::1 of service default/a is left alone: {why}"),
        format!("a.yaml:1: load balancer 2001:db8::2 of service default/a is left alone: {why}"),
    ];
    assert_eq!(notes(text), expected);
    let dual = text.replace("clusterIP: 10.96.0.1", "clusterIPs: [10.96.0.1, fd00::1]");
    assert_eq!(
        (
            notes(&dual).len(),
            joined(&dual, Serve::All)
                .services
                .values()
                .next()
                .unwrap()
                .external
                .len()
        ),
        (0, 4)
    );
}

#[test]
fn api_version_is_checked() {
    let wrong =
        |kind: &str, version: &str| problems(&format!("apiVersion: {version}\nkind: {kind}\n"));
    let expected = |what: &str, found: &str| {
        [format!(
            "a.yaml:1: apiVersion: expected {what}, found `{found}`"
        )]
    };
    let slices = "discovery.k8s.io/v1 or discovery.k8s.io/v1beta1";
    assert_eq!(wrong("Service", "v2"), expected("v1", "v2"));
    assert_eq!(wrong("ServiceList", "v1beta1"), expected("v1", "v1beta1"));
    assert_eq!(wrong("List", "v2"), expected("v1", "v2"));
    assert_eq!(wrong("Endpoints", "v1beta1"), expected("v1", "v1beta1"));
    assert_eq!(wrong("EndpointSlice", "v1"), expected(slices, "v1"));
    assert_eq!(
        wrong("EndpointSliceList", "discovery.k8s.io/v3"),
        expected(slices, "discovery.k8s.io/v3")
    );
    assert_eq!(wrong("Deployment", "''"), expected("an API version", ""));
    assert_eq!(wrong("Deployment", "apps/v7"), [""; 0]);
    let other = "apiVersion: serving.knative.dev/v1\nkind: Service\n";
    assert_eq!(
        notes(other),
        ["a.yaml:1: objects of kind Service of serving.knative.dev are not used"]
    );
}

#[test]
fn misspelled_kinds_are_errors() {
    let wrong =
        |kind: &str, version: &str| problems(&format!("apiVersion: {version}\nkind: {kind}\n"));
    let expected =
        |what: &str, found: &str| [format!("a.yaml:2: kind: expected {what}, found `{found}`")];
    assert_eq!(wrong("Servce", "v1"), expected("Service", "Servce"));
    assert_eq!(wrong("Endpoint", "v1"), expected("Endpoints", "Endpoint"));
    assert_eq!(
        wrong("EndpointSlices", "discovery.k8s.io/v1"),
        expected("EndpointSlice", "EndpointSlices")
    );
    assert_eq!(
        [wrong("Secret", "v1"), wrong("Device", "example.org/v1")],
        [const { Vec::<String>::new() }; 2]
    );
}
