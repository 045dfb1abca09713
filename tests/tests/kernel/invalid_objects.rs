//! One invalid object among many, and files that became invalid while no agent ran.

use std::time::Duration;

use mesh_core::api::types::Status;
use mesh_tests::{
    Node,
    client::protocol::counts,
    kubernetes::{cluster_ip, list, slice_of},
    node::{PATIENCE, SETTLE},
    service, wait,
};
use serde_json::json;

const REFUSED: &str = "connect ECONNREFUSED";
const UNTOUCHED: &str = "connect ENETUNREACH";

/// Returns name and effect of each wrong object in `status`.
pub(super) fn wrong(status: &Status) -> Vec<(String, String)> {
    status
        .wrong
        .iter()
        .map(|it| (it.name.clone(), it.in_force.clone()))
        .collect()
}

pub(super) fn pair(name: &str, in_force: &str) -> (String, String) {
    (name.to_owned(), in_force.to_owned())
}

#[test]
fn a_typo_of_one_team_does_not_affect_the_others() {
    let node = Node::start();
    let [a, b, c] = ["a", "b", "c"].map(|name| node.server(name));
    let ports = || json!([{"name": "http", "port": 80}]);
    let [cart, menu, pay] = [
        ("shop/cart", "10.96.0.10"),
        ("food/menu", "10.96.0.11"),
        ("bank/pay", "10.96.0.12"),
    ]
    .map(|(name, at)| cluster_ip(name, &[at]).spec("ports", ports()));
    let of = |service: &str, server| slice_of(service, "http", server, &json!({"ready": true}));
    let [of_cart, of_menu, of_pay] = [of("shop/cart", &a), of("food/menu", &b), of("bank/pay", &c)];
    node.write(
        "cluster.json",
        list([&cart, &of_cart, &menu, &of_menu, &pay, &of_pay]),
    );
    for (name, server) in [("shop/cart", &a), ("food/menu", &b), ("bank/pay", &c)] {
        node.wait_until_served(name, &[server]);
    }
    let mut client = node.client();

    // The shop misspells a policy, the kitchen scales, the bank closes, and a new team comes.
    let typo = cart.annotation("mesh-agent.io/balance", "rondom");
    let [scaled, new] = [of("food/menu", &c), of("new/news", &b)];
    let news = cluster_ip("new/news", &["10.96.0.13"]).spec("ports", ports());
    node.write(
        "cluster.json",
        list([&typo, &of_cart, &menu, &of_menu, &scaled, &news, &new]),
    );
    node.wait_until_served("food/menu", &[&b, &c]);
    node.wait_until_gone("bank/pay");
    node.wait_until_served("new/news", &[&b]);

    let status = node.status();
    assert_eq!(wrong(&status), [pair("service shop/cart", "lastGood")]);
    assert_eq!(
        (status.ready, status.config_valid, status.errors.len()),
        (true, false, 1)
    );
    assert_eq!(
        client.tcp("10.96.0.10:80").times(50).answers,
        counts([("a", 50)])
    );
    assert_eq!(
        client.tcp("10.96.0.13:80").times(50).answers,
        counts([("b", 50)])
    );
    assert_eq!(
        client.tcp("10.96.0.12:80").once().errors,
        counts([(UNTOUCHED, 1)])
    );

    // The endpoints of the wrong service keep changing, until it has none.
    node.write(
        "cluster.json",
        list([&typo, &of("shop/cart", &b), &menu, &of_menu]),
    );
    node.wait_until_served("shop/cart", &[&b]);
    node.write("cluster.json", list([&typo, &menu, &of_menu]));
    node.wait_until_served("shop/cart", &[]);
    assert_eq!(
        client.tcp("10.96.0.10:80").once().errors,
        counts([(REFUSED, 1)])
    );
    node.write("cluster.json", list([&menu, &of_menu]));
    node.wait_until_gone("shop/cart");
    assert_eq!(node.wait_for_errors(0), []);
    assert!(node.status().config_valid);
}

#[test]
fn a_fresh_node_serves_everything_but_wrong_objects() {
    let mut node = Node::setup().prepare();
    let a = node.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .endpoint(&a)
        .to_string();
    let wrong_one = service("shop/menu")
        .address("10.96.0.11")
        .tcp(80)
        .endpoint(&a)
        .to_string();
    node.write(
        "shop.yaml",
        cart + "---\n" + &wrong_one.replace("port: 80,", "port: 99999,"),
    );
    node.write("bad.yaml", "services: [");
    node.write(
        "bare.json",
        list([&cluster_ip("shop/bare", &["10.96.0.12"]).spec("ports", json!([{"port": 80}]))]),
    );
    node.launch_agent();
    wait::until("the agent to answer", PATIENCE, || {
        node.try_get("/v1/status").is_ok()
    });
    wait::until("services to be served", PATIENCE, || {
        node.find_service("shop/cart").is_some()
    });
    node.wait_until_served_within("shop/cart", &[&a], PATIENCE);
    let mut client = node.client();
    wait::until_equal("cart to answer", PATIENCE, &counts([("a", 1)]), || {
        client.tcp("10.96.0.10:80").once().answers
    });
    assert_eq!(
        client.tcp("10.96.0.11:80").once().errors,
        counts([(UNTOUCHED, 1)]),
        "it was never good"
    );
    assert_eq!(
        client.tcp("10.96.0.12:80").once().errors,
        counts([(REFUSED, 1)]),
        "it has no endpoints"
    );
    let status = node.status();
    let expected = [
        pair("the file", "nothing"),
        pair("service shop/menu", "nothing"),
    ];
    assert_eq!(
        (wrong(&status), status.ready),
        (expected.into(), false),
        "a whole file is not in force"
    );

    // Wrong objects do not delay removals.
    node.remove("bare.json");
    node.wait_until_gone("shop/bare");
    wait::until_equal(
        "bare to be left alone",
        SETTLE,
        &counts([(UNTOUCHED, 1)]),
        || client.tcp("10.96.0.12:80").once().errors,
    );
    node.remove("bad.yaml");
    node.wait_until_ready(PATIENCE);
    assert_eq!(
        wrong(&node.status()),
        [pair("service shop/menu", "nothing")]
    );
}

#[test]
fn a_file_cut_while_no_agent_ran_is_served_as_it_was() {
    let mut node = Node::start();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .endpoint(&a)
        .endpoint(&b)
        .to_string();
    let menu = service("shop/menu")
        .address("10.96.0.11")
        .tcp(80)
        .endpoint(&b)
        .to_string();
    let whole = cart.clone() + "---\n" + &menu;
    node.write("shop.yaml", &whole);
    node.wait_until_served("shop/menu", &[&b]);
    let mut client = node.client();
    let connecting = client.tcp("10.96.0.11:80").again_and_again();
    let lengths = [cart.len() - 20, cart.len(), whole.len() - 30, 0];
    for (round, length) in lengths.into_iter().enumerate() {
        if round % 2 == 0 {
            node.stop_agent();
        } else {
            node.kill_agent();
        }
        node.overwrite("shop.yaml", &whole[..length]);
        node.launch_agent();
        wait::until("the agent to have read the files", PATIENCE, || {
            node.try_get("/v1/status")
                .is_ok_and(|answer| !answer.json::<Status>().errors.is_empty())
        });
        node.wait_until_served("shop/cart", &[&a, &b]);
        node.wait_until_served("shop/menu", &[&b]);
        let status = node.status();
        assert_eq!(
            (wrong(&status), status.ready),
            (vec![pair("the file", "lastGood")], false),
            "{length} bytes"
        );
    }
    let report = connecting.stop();
    assert_eq!(
        (report.total_answers() > 0, report.errors),
        (true, counts([]))
    );
    node.write("shop.yaml", &whole);
    node.wait_until_ready(PATIENCE);
}

#[test]
fn an_object_gone_wrong_while_no_agent_ran_stays_as_it_was_and_others_leave() {
    let mut node = Node::start();
    let a = node.server("a");
    let [cart, menu, pay] = [
        ("shop/cart", "10.96.0.10"),
        ("shop/menu", "10.96.0.11"),
        ("shop/pay", "10.96.0.12"),
    ]
    .map(|(name, at)| service(name).address(at).tcp(80).endpoint(&a).to_string());
    node.write("shop.yaml", [&*cart, &menu, &pay].join("---\n"));
    node.wait_until_served("shop/pay", &[&a]);
    let typo = cart.replace("port: 80,", "port: 99999,");
    let mut client = node.client();
    for with_memory in [true, false] {
        node.stop_agent();
        if !with_memory {
            std::fs::remove_dir_all(node.directories().state.join("files")).unwrap();
        }
        let rest = if with_memory {
            [&*typo, &pay].join("---\n")
        } else {
            typo.clone()
        };
        node.write("shop.yaml", rest);
        node.start_agent();
        let in_force = if with_memory { "lastGood" } else { "kernel" };
        assert_eq!(wrong(&node.status()), [pair("service shop/cart", in_force)]);
        assert_eq!(
            client.tcp("10.96.0.10:80").times(20).answers,
            counts([("a", 20)]),
            "{in_force}"
        );
        let gone = if with_memory {
            "10.96.0.11:80"
        } else {
            "10.96.0.12:80"
        };
        wait::until_equal("it to be gone", SETTLE, &counts([(UNTOUCHED, 1)]), || {
            client.tcp(gone).once().errors
        });
    }
    node.write("shop.yaml", pay);
    wait::until_equal("cart to be gone", SETTLE, &counts([(UNTOUCHED, 1)]), || {
        client.tcp("10.96.0.10:80").once().errors
    });
}

#[test]
fn huge_invalid_files_are_reported_within_5_seconds_and_cost_less_than_3_times_their_size() {
    const SIZE: usize = 50_000_000;
    let node = Node::setup().alone().start();
    let _server = node.serve_cart();
    let before = node.agent_memory_kib();
    let many = |start: &str, again: &str| {
        start.to_owned() + &again.repeat((SIZE - start.len()) / again.len())
    };
    let nonsense = [
        many("services:\n", "- {}\n"),
        many("", "[a,{"),
        many("{\"services\": [", "{\"a\":[1,2]},"),
        many("", "---\n[\n"),
        many("", "- a\n"),
        many(
            "services:\n",
            "- {name: a, address: auto, ports: [{port: 80}]}\n",
        ),
        many("a: \"", "x"),
        many("", "\0"),
    ];
    for text in nonsense {
        node.write("nonsense.yaml", text);
        let start = std::time::Instant::now();
        let mut most = 0;
        wait::until("it to be told", Duration::from_secs(20), || {
            most = most.max(node.agent_memory_kib());
            !node.status().errors.is_empty()
        });
        let (took, errors) = (start.elapsed(), node.status().errors.len());
        let cost = most.max(node.agent_memory_kib()).saturating_sub(before) * 1024;
        println!(
            "{errors} errors after {took:?}, for {} MB",
            cost / 1_000_000
        );
        assert!(errors <= 102, "{errors} errors");
        assert!(cost <= 3 * SIZE as u64, "{cost} bytes");
        // A debug build is several times as slow.
        let limit = if cfg!(debug_assertions) { 15 } else { 5 };
        assert!(took <= Duration::from_secs(limit), "{took:?}");
        assert_eq!(
            node.client().tcp("10.96.0.10:80").times(10).answers,
            counts([("a", 10)])
        );
        node.remove("nonsense.yaml");
        node.wait_for_errors(0);
    }
}
