//! Claims that are not admitted are refused, and the rest of the service is served.

use std::net::SocketAddr;

use super::{Node, errors, names, one, served, wrong};
use crate::{
    model::{Admission, Protocol, Service, ServiceName, Update},
    source::{dir::ScanReader, frontend_owners::FrontendOwners},
};

/// The bounds of an agent without settings.
fn strict() -> Admission {
    Admission {
        external_cidrs: vec![],
        ..Admission::default()
    }
}

impl Node {
    /// Acts as an agent that starts with these bounds and with these TCP frontends in the kernel.
    fn admitting(mut self, admission: Admission, held: &[(&str, &str)]) -> Self {
        let place = |address: &str| {
            let address: SocketAddr = address.parse().unwrap();
            (address.ip(), address.port(), Protocol::Tcp)
        };
        let name = |name: &str| ServiceName {
            namespace: "default".into(),
            name: name.into(),
        };
        let held: FrontendOwners = held
            .iter()
            .map(|(service, address)| (place(address), name(service)))
            .collect();
        self.reader = ScanReader::new([self.directory.clone()], false)
            .admitting(admission)
            .keeping(move || held);
        self
    }
}

/// Returns the services with their external addresses.
fn external(update: &Update) -> Vec<String> {
    let line = |service: &Service| {
        let addresses: Vec<String> = service
            .external
            .iter()
            .map(|it| it.address.to_string())
            .collect();
        format!("{}: {}", service.name.name, addresses.join(","))
    };
    update
        .services
        .values()
        .map(|service| line(service))
        .collect()
}

/// A native service with one external address.
fn with_external(name: &str, address: &str, external: &str) -> String {
    one(name, address).replace("ports:", &format!("externalIPs: [{external}], ports:"))
}

const ATTACK: &str = "\
apiVersion: v1
kind: Service
metadata: {name: thief}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.9
  externalIPs: [169.254.169.254, 127.0.0.1, 8.8.8.8]
  ports: [{name: http, port: 80, nodePort: 22}, {name: tls, port: 443, nodePort: 30443}]
status:
  loadBalancer: {ingress: [{ip: 203.0.113.9}]}
";

#[test]
fn addresses_and_ports_that_belong_to_no_service_are_refused_and_the_rest_is_served() {
    let mut node = Node::new().admitting(strict(), &[]);
    node.write("a.yaml", ATTACK);
    let update = node.read();
    let refused = |field: &str, what: &str, reason: &str| {
        format!("a.yaml:1: {field}: {what} of service default/thief is refused: {reason}")
    };
    let outside = "spec.externalIPs";
    let allows = "externalCidr (--external-cidr) allows it where it names";
    let expected = [
        refused(
            outside,
            "external address",
            &format!(
                "169.254.169.254 is link-local, like the metadata of clouds; {allows} 169.254.169.254/32"
            ),
        ),
        refused(
            outside,
            "external address",
            &format!("127.0.0.1 is a loopback address; {allows} 127.0.0.1/32"),
        ),
        refused(
            outside,
            "external address",
            "8.8.8.8 is in no network of externalCidr (--external-cidr); add 8.8.8.8/32 to it",
        ),
        refused(
            "status.loadBalancer.ingress",
            "load balancer address",
            "203.0.113.9 is in no network of externalCidr (--external-cidr); add 203.0.113.9/32 to it",
        ),
        refused(
            "spec.ports[0].nodePort",
            "node port",
            "22 is outside of 30000-32767, which nodePortRange (--node-port-range) can widen",
        ),
    ];
    assert_eq!(errors(&update, &node), expected);
    assert_eq!(
        wrong(&update, &node),
        ["a.yaml:1: service default/thief: the rest of it is in force"]
    );
    let service = update.services.values().next().unwrap();
    let node_ports: Vec<_> = service.ports.iter().map(|port| port.node_port).collect();
    assert_eq!(
        (external(&update), node_ports),
        (vec!["thief: ".to_owned()], vec![None, Some(30_443)])
    );
    let unserved: Vec<String> = service
        .unserved
        .iter()
        .map(|it| format!("{}:{}", it.address, it.port))
        .collect();
    assert_eq!(unserved.len(), 8, "{unserved:?}");
    assert_eq!(unserved[..2], ["169.254.169.254:80", "169.254.169.254:443"]);
}

#[test]
fn networks_in_the_settings_are_allowed() {
    let named = [
        "169.254.169.254/32",
        "127.0.0.1/32",
        "8.8.8.0/24",
        "203.0.113.0/24",
    ];
    let external_cidrs = named.iter().map(|text| text.parse().unwrap()).collect();
    let mut node = Node::new().admitting(
        Admission {
            external_cidrs,
            node_ports: 1..=65_535,
            ..strict()
        },
        &[],
    );
    node.write("a.yaml", ATTACK);
    let update = node.read();
    assert_eq!(errors(&update, &node), [""; 0]);
    assert_eq!(
        external(&update),
        ["thief: 169.254.169.254,127.0.0.1,8.8.8.8,203.0.113.9"]
    );
}

#[test]
fn cluster_addresses_win_over_external_ones_in_any_order() {
    let victim = one("victim", "10.96.0.2");
    let thief = with_external("thief", "10.96.0.1", "10.96.0.2");
    // Also if the thief already holds the address in the kernel.
    for held in [
        &[][..],
        &[("thief", "10.96.0.2:80"), ("thief", "10.96.0.1:80")],
    ] {
        for (first, second) in [("a.yaml", "z.yaml"), ("z.yaml", "a.yaml")] {
            let mut node = Node::new().admitting(Admission::default(), held);
            node.write(first, &thief);
            assert_eq!(external(&node.read()), ["thief: 10.96.0.2"]);
            node.write(second, &victim);
            let update = node.read();
            assert_eq!(external(&update), ["thief: ", "victim: "]);
            assert_eq!(
                served(&update)[1],
                "default/victim 10.96.0.2 80 80/TCP: 10.0.0.1:80 x1 ready"
            );
            let reason = format!(
                "{first}:2: externalIPs: external address of service default/thief is refused: 10.96.0.2 is the address of \
                 service default/victim inside the cluster, in {second}:2"
            );
            let shown: Vec<String> = errors(&update, &node)
                .iter()
                .map(|it| local(&node, it))
                .collect();
            assert_eq!(shown, [reason]);
        }
    }
}

/// Removes the directory from a message.
fn local(node: &Node, text: &str) -> String {
    text.replace(&format!("{}/", node.directory.display()), "")
}

#[test]
fn an_external_address_stays_with_the_service_that_holds_it() {
    let both = |node: &Node| {
        node.write("z.yaml", &with_external("z", "10.96.0.1", "192.0.2.1"));
        node.write("a.yaml", &with_external("a", "10.96.0.2", "192.0.2.1"));
    };
    let mut node = Node::new().admitting(Admission::default(), &[]);
    node.write("z.yaml", &with_external("z", "10.96.0.1", "192.0.2.1"));
    assert_eq!(external(&node.read()), ["z: 192.0.2.1"]);
    both(&node);
    let update = node.read();
    assert_eq!(external(&update), ["a: ", "z: 192.0.2.1"]);
    let blamed = "a.yaml:2: externalIPs: external address of service default/a is refused: 192.0.2.1 port \
                  80/TCP belongs to service default/z, in z.yaml:2";
    assert_eq!(
        errors(&update, &node)
            .iter()
            .map(|it| local(&node, it))
            .collect::<Vec<_>>(),
        [blamed]
    );
    assert_eq!(
        wrong(&update, &node),
        ["a.yaml:2: service default/a: the rest of it is in force"]
    );
    // A new agent finds the same frontends in the kernel.
    let mut node = Node::new().admitting(Admission::default(), &[("z", "192.0.2.1:80")]);
    both(&node);
    assert_eq!(external(&node.read()), ["a: ", "z: 192.0.2.1"]);
    node.remove("z.yaml");
    assert_eq!(external(&node.read()), ["a: 192.0.2.1"]);
}

#[test]
fn refused_addresses_are_free_for_others() {
    let admission = Admission {
        service_cidrs: vec!["10.96.0.0/16".parse().unwrap()],
        ..Admission::default()
    };
    let mut node = Node::new().admitting(admission, &[]);
    // The address is outside the cluster networks, so the service cannot take the external address
    // of another.
    node.write("a.yaml", &one("thief", "192.0.2.1"));
    node.write("b.yaml", &with_external("victim", "10.96.0.1", "192.0.2.1"));
    let update = node.read();
    assert_eq!(external(&update), ["victim: 192.0.2.1"]);
    let reason = "a.yaml:2: address: address of service default/thief is refused: 192.0.2.1 is outside of 10.96.0.0/16, which \
                  serviceCidr (--service-cidr) can widen";
    assert_eq!(errors(&update, &node), [reason]);
    assert_eq!(
        wrong(&update, &node),
        ["a.yaml:2: service default/thief: it is left out: no good version of it is known"]
    );
}

#[test]
fn a_service_keeps_its_admitted_addresses() {
    let admission = Admission {
        service_cidrs: vec!["10.96.0.0/16".parse().unwrap()],
        ..Admission::default()
    };
    let mut node = Node::new().admitting(admission, &[]);
    node.write(
        "a.yaml",
        &one("a", "[10.96.0.1, 169.254.169.254, 'fd00::1']"),
    );
    let update = node.read();
    assert_eq!(
        served(&update),
        ["default/a 10.96.0.1,fd00::1 80 80/TCP: 10.0.0.1:80 x1 ready"]
    );
    assert_eq!(names(&update), ["a"]);
    assert_eq!(
        wrong(&update, &node),
        ["a.yaml:2: service default/a: the rest of it is in force"]
    );
}

#[test]
fn frontends_of_an_unreadable_service_are_not_given_to_another() {
    let held = [("victim", "10.96.0.2:80"), ("victim", "192.0.2.1:80")];
    let mut node = Node::new().admitting(Admission::default(), &held);
    node.write("z.yaml", "services: [");
    node.write(
        "a.yaml",
        &with_external("thief", "10.96.0.1", "192.0.2.1, 10.96.0.2"),
    );
    for _ in 0..2 {
        let update = node.read();
        assert_eq!(
            (external(&update), update.complete),
            (vec!["thief: ".to_owned()], false)
        );
        let blamed =
            "192.0.2.1 port 80/TCP belongs to service default/victim, which cannot be read now";
        assert!(
            errors(&update, &node)
                .iter()
                .any(|error| error.ends_with(blamed)),
            "{:?}",
            update.errors
        );
    }
    node.write("z.yaml", "services: []");
    assert_eq!(external(&node.read()), ["thief: 192.0.2.1,10.96.0.2"]);
}
