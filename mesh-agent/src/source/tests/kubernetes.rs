use super::{Node, lines, parse, problems};
use crate::source::join::join;

fn served(text: &str) -> Vec<String> {
    let file = parse(text);
    assert_eq!(file.errors, []);
    join(&[&file.contents], true).0.values().flat_map(|service| lines(service)).collect()
}

fn notes(text: &str) -> Vec<String> {
    let file = parse(text);
    assert_eq!(file.errors, []);
    join(&[&file.contents], true).1.iter().map(ToString::to_string).collect()
}

fn declared(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {spec}\n---\n")
}

fn slice(endpoints: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: a-1, labels: {{kubernetes.io/service-name: a}}}}\n\
         ports: [{{name: '', port: 8080}}]\nendpoints: {endpoints}\n---\n"
    )
}

const SPEC: &str = "{clusterIP: 10.96.0.1, ports: [{port: 80}]}";

#[test]
fn exported_objects_are_joined() {
    let expected = [
        "default/old 10.96.0.11 80 80/TCP: 10.0.1.1:8080 x1 ready, 10.0.1.2:8080 x1 not-ready",
        "shop/cart 10.96.0.10,fd00::10 http 80/TCP: 10.0.0.1:8080 x1 ready, 10.0.0.2:8080 x1 terminating, \
         10.0.0.3:8080 x1 not-ready, 10.0.0.4:8080 x1 ready, [fd00::1]:8081 x1 ready",
        "shop/cart 10.96.0.10,fd00::10 dns 53/UDP: 10.0.0.1:5353 x1 ready, 10.0.0.2:5353 x1 terminating, \
         10.0.0.3:5353 x1 not-ready, 10.0.0.4:5353 x1 ready",
    ];
    let text = include_str!("cluster.yaml");
    assert_eq!(served(text), expected);
    assert_eq!(notes(text), ["a.yaml:24: a port of protocol SCTP is left alone"]);
}

#[test]
fn service_without_slices_has_no_endpoints() {
    assert_eq!(served(&declared(SPEC)), ["default/a 10.96.0.1 80 80/TCP:"]);
    assert_eq!(notes(&declared(SPEC)), [""; 0]);
}

#[test]
fn endpoint_in_several_slices_is_one_and_ready_wins() {
    let gone = slice("[{addresses: [10.0.0.1], conditions: {ready: false}}]");
    let here = slice("[{addresses: [10.0.0.1], conditions: {ready: null}}, {addresses: [10.0.0.1, 10.0.0.2]}]");
    for text in [declared(SPEC) + &gone + &here, here + &declared(SPEC) + &gone] {
        assert_eq!(served(&text), ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"]);
    }
}

#[test]
fn publish_not_ready_addresses_makes_all_ready() {
    let spec = "{clusterIP: 10.96.0.1, ports: [{port: 80}], publishNotReadyAddresses: true}";
    let text = declared(spec) + &slice("[{addresses: [10.0.0.1], conditions: {ready: false}}]");
    assert_eq!(served(&text), ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"]);
}

#[test]
fn what_is_left_alone_is_noted_and_its_slices_are_not() {
    let left_alone = |spec: &str| notes(&(declared(spec) + &slice("[{addresses: [10.0.0.1]}]")));
    let note = |reason: &str| [format!("a.yaml:1: service default/a is left alone: {reason}")];
    assert_eq!(left_alone("{clusterIP: None, ports: [{port: 80}]}"), note("it is headless (clusterIP None)"));
    assert_eq!(left_alone("{type: ExternalName, externalName: x.org}"), note("ExternalName is an alias in DNS"));
    assert_eq!(left_alone("{clusterIP: '', ports: [{port: 80}]}"), note("it has no clusterIP"));
    assert_eq!(left_alone("{ports: [{port: 80}]}"), note("it has no clusterIP"));
    assert_eq!(left_alone("{clusterIP: 10.96.0.1}"), note("it has no TCP or UDP port"));
    let text = declared(SPEC).replace("{name: a}", "{name: a, labels: {service.kubernetes.io/service-proxy-name: x}}");
    assert_eq!(notes(&text), note("it has the label service.kubernetes.io/service-proxy-name"));
    assert_eq!(served(&text), [""; 0]);
}

#[test]
fn what_belongs_to_no_service_is_noted() {
    let stray = "a.yaml:1: endpoints of service default/a, which is not configured, are not used";
    assert_eq!(notes(&slice("[]")), [stray]);
    let unlabelled = slice("[]").replace("labels", "annotations");
    assert_eq!(
        notes(&unlabelled),
        ["a.yaml:1: an EndpointSlice without the label kubernetes.io/service-name belongs to no service"]
    );
    let names = slice("[{addresses: [x.org]}]").replace("ports:", "addressType: FQDN\nports:");
    assert_eq!(notes(&names), ["a.yaml:1: an EndpointSlice of host names (addressType FQDN) is not used"]);
    assert_eq!(notes("apiVersion: apps/v1\nkind: Deployment\n"), ["a.yaml:1: objects of kind Deployment are not used"]);
}

#[test]
fn elements_of_a_typed_list_need_no_kind() {
    let text = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n  \
                spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n";
    assert_eq!(served(text), ["default/a 10.96.0.1 80 80/TCP:"]);
}

#[test]
fn all_problems_of_all_objects_are_reported() {
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
    assert_eq!(super::served(&node.read()), ["default/a 10.96.0.1 80 80/TCP: 10.0.0.1:8080 x1 ready"]);
    node.write("b.yaml", &slice("[{addresses: [10.0.0.2]}]"));
    assert_eq!(super::served(&node.read()), ["default/a 10.96.0.1 80 80/TCP: 10.0.0.2:8080 x1 ready"]);
}

#[test]
fn service_whose_slices_may_be_in_a_broken_file_is_not_said_to_have_none() {
    let mut node = Node::new();
    node.write("a.yaml", &declared(SPEC));
    node.write("b.yaml", "[");
    let update = node.read();
    assert_eq!((super::served(&update), update.complete), (vec![], false));
    node.write("b.yaml", "# fixed");
    assert_eq!(super::served(&node.read()), ["default/a 10.96.0.1 80 80/TCP:"]);
}
