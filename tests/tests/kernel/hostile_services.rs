//! Attacks by the author of a service: claims of foreign addresses and node ports. The network
//! namespace of the node has no route out, so nothing leaves the machine.

mod too_many_rows;

use std::net::SocketAddr;

use mesh_tests::{
    Client, Node, Pod, Server,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice},
    node::PATIENCE,
    service, wait,
};
use serde_json::json;

use super::invalid_objects::{pair, wrong};

const UNTOUCHED: &str = "connect ENETUNREACH";
const CONNECTS: u32 = 50;

/// Foreign addresses: cloud metadata, documentation, public ones.
const FOREIGN: [&str; 5] = [
    "169.254.169.254",
    "192.0.2.66",
    "8.8.8.8",
    "203.0.113.66",
    "127.0.0.66",
];

/// A node with a pod, whose own programs listen on port 8080 of localhost and of the node's
/// address.
struct Site {
    local: Server,
    own: Server,
    pod: Pod,
    node: Node,
}

fn site(flags: &str) -> Site {
    let setup = if flags.is_empty() {
        Node::setup()
    } else {
        Node::setup().flags(flags)
    };
    let mut node = setup.prepare();
    let pod = Pod::start(&node, 1);
    let local = node.server_again("localhost", "127.0.0.1:8080".parse().expect("an address"));
    let own = node.server_again("node", SocketAddr::new(pod.node_ip(), 8080));
    node.start_agent();
    Site {
        local,
        own,
        pod,
        node,
    }
}

fn expect_untouched(client: &mut Client, foreign: &[&str]) {
    for address in foreign {
        for port in [80, 8080] {
            let report = client.tcp(&format!("{address}:{port}")).times(CONNECTS);
            // All loopback addresses are local, and no server listens at this one.
            let error = if address.starts_with("127.") {
                "connect ECONNREFUSED"
            } else {
                UNTOUCHED
            };
            assert_eq!(
                report.errors,
                counts([(error, u64::from(CONNECTS))]),
                "{address}:{port}: {:?}",
                report.answers
            );
        }
    }
}

fn expect_own(client: &mut Client, Site { local, own, .. }: &Site) {
    for (server, name) in [(local, "localhost"), (own, "node")] {
        let answers = client
            .tcp(&server.address().to_string())
            .times(CONNECTS)
            .answers;
        assert_eq!(answers, counts([(name, u64::from(CONNECTS))]));
    }
}

#[test]
fn a_service_cannot_take_over_foreign_addresses() {
    let site = site("");
    let Site { node, pod, .. } = &site;
    let thief = pod.server("thief");
    let node_ip = pod.node_ip().to_string();
    let claimed: Vec<&str> = FOREIGN
        .into_iter()
        .chain(["127.0.0.1", node_ip.as_str()])
        .collect();
    let ingress: Vec<_> = claimed
        .iter()
        .map(|address| json!({"ip": address}))
        .collect();
    let object = cluster_ip("shop/thief", &["10.96.0.66"])
        .spec("type", "LoadBalancer".into())
        .spec("externalIPs", json!(claimed))
        .set(&["status", "loadBalancer"], json!({ "ingress": ingress }))
        .port("http", 80, "TCP")
        // The port on which programs of the node listen.
        .node_port("alt", 8080, "TCP", 8080);
    let port = thief.address().port();
    let ends = slice("shop/thief", "thief").endpoint(&thief, &json!({"ready": true}));
    let ends = ends.serves("http", "TCP", port).serves("alt", "TCP", port);
    node.write("thief.json", list([&object, &ends]));
    node.wait_until_served("shop/thief", &[&thief]);
    for mut client in [node.client(), pod.client()] {
        assert_eq!(
            client.tcp("10.96.0.66:80").times(CONNECTS).answers,
            counts([("thief", u64::from(CONNECTS))])
        );
    }
    let mut client = node.client();
    expect_untouched(&mut client, &FOREIGN);
    expect_own(&mut client, &site);

    let native = service("food/thief")
        .address("10.96.0.67")
        .tcp(80)
        .tcp(8080)
        .endpoint(&thief);
    node.write(
        "native.yaml",
        native.with(&format!("externalIPs: {claimed:?}")),
    );
    // A cluster address is also a claim.
    let inside = claimed
        .iter()
        .filter(|it| it.starts_with("127.") || it.starts_with("169.254."));
    let inside = inside.fold(
        service("bank/thief").tcp(80).tcp(8080),
        |service, address| service.address(address),
    );
    node.write("inside.yaml", inside.endpoint(&thief));
    node.wait_until_served("food/thief", &[&thief]);
    wait::until("all claims to be refused", PATIENCE, || {
        wrong(&node.status()).len() == 3
    });
    expect_untouched(&mut client, &FOREIGN);
    expect_own(&mut client, &site);

    let status = node.status();
    let refused = pair("service bank/thief", "nothing");
    assert_eq!(
        wrong(&status),
        [
            refused,
            pair("service food/thief", "part"),
            pair("service shop/thief", "part")
        ]
    );
    assert!(status.ready, "{:?}", status.problems);
    let named = |address: &str| {
        let of = |it: &&mesh_core::api::types::ConfigProblem| {
            it.reason.contains(&format!("is refused: {address} is "))
        };
        let fields: Vec<String> = status
            .errors
            .iter()
            .filter(of)
            .map(|it| it.field.clone())
            .collect();
        fields
    };
    for address in ["8.8.8.8", "192.0.2.66"] {
        assert_eq!(
            named(address),
            ["externalIPs", "spec.externalIPs"],
            "{:#?}",
            status.errors
        );
    }
    assert_eq!(
        named("169.254.169.254"),
        ["address", "externalIPs", "spec.externalIPs"]
    );
    let ports: Vec<_> = status
        .errors
        .iter()
        .filter(|it| it.field == "spec.ports[1].nodePort")
        .collect();
    assert!(
        matches!(&ports[..], [port] if port.reason.ends_with("(--node-port-range) can widen")),
        "{ports:?}"
    );
    let outcome = node.meshctl(&format!(
        "config validate {}",
        node.directories().services.display()
    ));
    let said = "spec.externalIPs: external address of service shop/thief is refused: 8.8.8.8 is in no network";
    assert!(outcome.stdout.contains(said), "{outcome:#?}");
}

#[test]
fn a_wide_network_in_the_settings_does_not_allow_node_addresses() {
    let site = site("--external-cidr 0.0.0.0/0 --service-cidr 10.96.0.0/16");
    let Site { node, pod, .. } = &site;
    let thief = pod.server("thief");
    let node_ip = pod.node_ip().to_string();
    let native = |claimed: &[&str]| {
        let native = service("food/thief")
            .address("10.96.0.67")
            .tcp(80)
            .tcp(8080)
            .endpoint(&thief);
        native.with(&format!("externalIPs: {claimed:?}"))
    };
    node.write(
        "native.yaml",
        native(&[
            "169.254.169.254",
            "127.0.0.1",
            &node_ip,
            "10.96.7.7",
            "192.0.2.10",
        ]),
    );
    // Outside of the networks of cluster addresses.
    node.write(
        "inside.yaml",
        service("bank/thief")
            .address(&node_ip)
            .address("8.8.8.8")
            .tcp(80)
            .tcp(8080)
            .endpoint(&thief),
    );
    node.wait_until_served("food/thief", &[&thief]);
    let mut client = node.client();
    assert_eq!(
        client.tcp("192.0.2.10:80").times(CONNECTS).answers,
        counts([("thief", u64::from(CONNECTS))])
    );
    expect_untouched(&mut client, &["169.254.169.254", "8.8.8.8", "10.96.7.7"]);
    expect_own(&mut client, &site);
    assert_eq!(
        wrong(&node.status()),
        [
            pair("service bank/thief", "nothing"),
            pair("service food/thief", "part")
        ]
    );
}

#[test]
fn addresses_named_in_the_settings_are_served() {
    let Site { node, pod, .. } =
        &site("--external-cidr 169.254.169.254/32,127.0.0.66/32 --node-port-range 8000-8100");
    let thief = pod.server("trusted");
    let native = service("food/trusted")
        .address("10.96.0.67")
        .tcp(80)
        .endpoint(&thief);
    node.write(
        "native.yaml",
        native.with("externalIPs: [169.254.169.254, 127.0.0.66]"),
    );
    let object = cluster_ip("shop/trusted", &["10.96.0.66"]).spec("type", "NodePort".into());
    let object = object.node_port("http", 80, "TCP", 8088);
    let ends = slice("shop/trusted", "it").endpoint(&thief, &json!({"ready": true}));
    node.write(
        "shop.json",
        list([&object, &ends.serves("http", "TCP", thief.address().port())]),
    );
    node.wait_until_served("food/trusted", &[&thief]);
    node.wait_until_served("shop/trusted", &[&thief]);
    let mut client = node.client();
    for front in ["169.254.169.254:80", "127.0.0.66:80", "127.0.0.1:8088"] {
        assert_eq!(
            client.tcp(front).times(CONNECTS).answers,
            counts([("trusted", u64::from(CONNECTS))]),
            "{front}"
        );
    }
    assert_eq!(wrong(&node.status()), []);
}

#[test]
fn a_cluster_address_wins_over_an_external_one_in_any_order() {
    let Site { mut node, pod, .. } = site("--external-cidr 0.0.0.0/0");
    let [thief, victim] = ["thief", "victim"].map(|name| pod.server(name));
    let steals = service("a/thief")
        .address("10.96.0.66")
        .tcp(80)
        .endpoint(&thief)
        .with("externalIPs: [10.96.0.10]");
    node.write("a.yaml", steals);
    node.wait_until_served("a/thief", &[&thief]);
    let mut client = node.client();
    let asks = |client: &mut Client| client.tcp("10.96.0.10:80").times(CONNECTS).answers;
    assert_eq!(
        asks(&mut client),
        counts([("thief", u64::from(CONNECTS))]),
        "the address belongs to no other service yet"
    );
    node.write(
        "z.yaml",
        service("z/victim")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&victim),
    );
    node.wait_until_served("z/victim", &[&victim]);
    assert_eq!(asks(&mut client), counts([("victim", u64::from(CONNECTS))]));
    node.kill_agent();
    node.start_agent();
    assert_eq!(asks(&mut client), counts([("victim", u64::from(CONNECTS))]));
    assert_eq!(wrong(&node.status()), [pair("service a/thief", "part")]);
    let outcome = node.meshctl(&format!(
        "config validate {}",
        node.directories().services.display()
    ));
    assert!(
        outcome
            .stdout
            .contains("10.96.0.10 is the address of service z/victim inside the cluster"),
        "{outcome:#?}"
    );
}
