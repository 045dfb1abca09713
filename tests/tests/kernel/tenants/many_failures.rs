//! A client that fails at more endpoints than OUTCOMES has rows.

use std::{fmt::Write as _, time::Duration};

use mesh_common::abi::maps;
use mesh_tests::{Client, Manifest, Node, client::protocol::counts, wait};

use super::{attacks::VIP, attempts, while_attacked};
use crate::balancing::KernelState;

/// Endpoints of the attacker's two services together: more than OUTCOMES has rows.
const ENDPOINTS: u32 = maps::OUTCOMES.capacity() / 8 * 9;
/// Processes of the attacker.
const PROCESSES: u32 = 2;

/// A service of the attacker's half of the endpoints, which each connect tries in turn.
fn many(number: u32) -> String {
    let half = ENDPOINTS / PROCESSES;
    let mut text = format!(
        "services:\n- name: many{number}\n  namespace: team{number}\n  address: 10.97.0.{}\n  \
         balance: roundRobin\n  ports:\n  - port: 80\n  endpoints:\n",
        number + 1
    );
    for endpoint in number * half..(number + 1) * half {
        let [_, a, b, c] = endpoint.to_be_bytes();
        writeln!(text, "  - {{address: 10.{}.{b}.{c}}}", 128 + a).expect("memory is enough");
    }
    text
}

fn cart() -> Manifest {
    super::attacks::cart().with("outlier: {baseEjection: 60s, maxEjection: 60s}")
}

/// The attacker's connects have no route, and each of them is a failure of the client at another
/// endpoint.
#[test]
fn a_client_that_fails_at_very_many_endpoints_displaces_no_records_of_others() {
    let node = Node::start();
    let [dead, one, two] = ["dead", "1", "2"].map(|name| node.server(name));
    node.write("cart.yaml", cart().endpoints([&dead, &one, &two]));
    node.wait_until_served("shop/cart", &[&dead, &one, &two]);
    let (known, address) = (KernelState::of(&node), dead.address());
    drop(dead);
    let mut victim = Client::start(&node.place().below("victim.service"));
    assert_eq!(
        victim.tcp(VIP).times(200).errors,
        counts([("connect ECONNREFUSED", 3)])
    );
    for number in 0..PROCESSES {
        node.write(&format!("many{number}.yaml"), many(number));
    }
    wait::until(
        "the attacker's services to be served",
        Duration::from_secs(60),
        || {
            let names = (0..PROCESSES).map(|number| format!("team{number}/many{number}"));
            names.into_iter().all(|name| {
                node.find_service(&name)
                    .is_some_and(|it| it.ports[0].endpoints.iter().all(|at| at.active))
            })
        },
    );
    let attacker = node.place().below("attacker.service");
    let mut processes: Vec<Client> = (0..PROCESSES)
        .map(|_| Client::start(&attacker.child()))
        .collect();
    let attacks = processes.iter_mut().zip(1..).map(|(process, number)| {
        let to = format!("10.97.0.{number}:80");
        process.tcp(&to).again_and_again()
    });
    let reports = while_attacked(attacks.collect(), || {
        assert_eq!(victim.tcp(VIP).times(1_000).errors, counts([]));
        assert_eq!(known.records_of(address).len(), 1, "the victim's record");
    });
    for report in reports {
        assert_eq!(report.total_answers(), 0, "{:?}", report.errors);
        assert!(
            attempts(&report) > (ENDPOINTS / PROCESSES).into(),
            "{report:?}"
        );
    }
}
