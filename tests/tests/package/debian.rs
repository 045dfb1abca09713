//! The Debian package: installed, upgraded and purged on a clean machine, with systemd and without.

use std::{collections::BTreeSet, fs, process::Child};

use mesh_core::api::types::Status;
use mesh_tests::{
    Node, bpftool,
    client::protocol::counts,
    node::PATIENCE,
    pinned::{self, Held},
    service, wait,
};

use crate::{
    machine::{Machine, SLOW},
    packages::Packages,
};

pub const VIP: &str = "10.96.0.10:80";
const SETTINGS: &str = "/etc/mesh-agent/agent.yaml";
const PINS: &str = "/sys/fs/bpf/mesh-agent";

/// Objects of a machine's agent in the kernel.
pub struct InKernel {
    pub programs: BTreeSet<u32>,
    pub maps: BTreeSet<u32>,
    pub links: BTreeSet<u32>,
}

impl InKernel {
    pub fn of(machine: &Machine) -> Self {
        let status = machine.expect(["meshctl", "status", "-o", "json"]);
        let hooks = serde_json::from_str::<Status>(&status)
            .unwrap_or_else(|error| panic!("{status}: {error}"))
            .hooks;
        let programs = hooks.iter().map(|hook| hook.program_id).collect();
        Self {
            maps: Held::now().maps_of(&programs),
            links: hooks.iter().map(|hook| hook.link_id).collect(),
            programs,
        }
    }
}

/// Writes a service file as a user does, and waits until it is served.
pub fn serve_cart(node: &Node, machine: &Machine) -> mesh_tests::Server {
    let server = node.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .endpoint(&server);
    fs::write(
        machine.path("/etc/mesh-agent/services.d/cart.yaml"),
        cart.to_string(),
    )
    .expect("package and unit make the directory");
    let mut client = node.client();
    wait::until("the service", PATIENCE, || {
        client.tcp(VIP).once().answers == counts([("a", 1)])
    });
    server
}

/// Expects no file of the package on the machine, and no object of its agent in the kernel.
fn expect_no_trace(node: &Node, machine: &Machine, before: &InKernel) {
    let InKernel {
        programs,
        maps,
        links,
    } = before;
    assert_eq!(
        bpftool::attached(node.place().cgroup.path()),
        BTreeSet::new()
    );
    wait::until_equal("objects of the agent", PATIENCE, &Held::default(), || {
        Held::now().only(programs, maps, links)
    });
    assert!(!machine.path(PINS).exists());
    assert_eq!(machine.find("mesh"), Vec::<String>::new());
    assert_eq!(
        node.client().tcp(VIP).once().errors,
        counts([("connect ENETUNREACH", 1)])
    );
}

/// Returns the time from the start of the unit's program to its readiness.
fn start_time(machine: &Machine) -> String {
    let at = |name: &str| {
        let show = [
            "systemctl",
            "show",
            "--value",
            "--property",
            name,
            "mesh-agent",
        ];
        let microseconds: u64 = machine.expect(show).parse().expect("a time");
        microseconds
    };
    let took = at("ActiveEnterTimestampMonotonic") - at("ExecMainStartTimestampMonotonic");
    format!("{} ms", took / 1000)
}

#[test]
fn a_package_is_installed_upgraded_without_a_failed_connect_and_purged_without_a_trace() {
    let [first, second] = ["1", "2"].map(Packages::debian);
    let node = Node::setup().prepare();
    let machine = Machine::boot(node.place());
    machine.install(&first.file(".deb"));
    let unit = |verb| machine.run(["systemctl", verb, "mesh-agent"]).stdout;
    // Other load may slow the start.
    let wanted = ["active\n", "enabled\n"].map(str::to_owned);
    wait::until_equal("the unit to be active", PATIENCE, &wanted, || {
        [unit("is-active"), unit("is-enabled")]
    });
    println!("{}\nready in {}", first.said, start_time(&machine));
    let _server = serve_cart(&node, &machine);
    let before = InKernel::of(&machine);

    let settings = machine.path(SETTINGS);
    let edited = fs::read_to_string(&settings).expect("the package has the file") + "region: eu\n";
    fs::write(&settings, &edited).expect("root may");
    let process = || machine.expect(["systemctl", "show", "-P", "MainPID", "mesh-agent"]);
    let old = process();
    let mut client = node.client();
    let traffic = client.tcp(VIP).again_and_again();
    machine.install(&second.file(".deb"));
    wait::until("the agent of the upgrade", SLOW, || {
        unit("is-active") == "active\n"
    });
    let report = traffic.stop();
    assert_eq!(report.errors, counts([]));
    println!(
        "{} connects during the upgrade, 0 failed",
        report.total_answers()
    );
    assert!(report.total_answers() > 0);
    assert_ne!(process(), old);
    let upgraded = InKernel::of(&machine);
    assert_eq!(upgraded.links, before.links);
    let version = [
        "dpkg-query",
        "--show",
        "--showformat=${Version}",
        "mesh-agent",
    ];
    assert!(machine.expect(version).ends_with("-2"));
    assert_eq!(
        fs::read_to_string(&settings).expect("the upgrade keeps the file"),
        edited
    );

    machine.expect(["dpkg", "--remove", "mesh-agent"]);
    assert_eq!(unit("is-active"), "inactive\n");
    assert_eq!(client.tcp(VIP).times(100).answers, counts([("a", 100)]));
    machine.expect(["dpkg", "--purge", "mesh-agent"]);
    expect_no_trace(&node, &machine, &upgraded);
}

/// Starts an agent without systemd.
fn start_by_hand(machine: &Machine) -> Child {
    let script = "mkdir -p /run/mesh-agent; echo $$ > /run/pid; exec mesh-agent run 2> /tmp/log";
    let agent = machine.command("sh").args(["-c", script]).spawn();
    let agent = agent.expect("the machine has a shell");
    wait::until("the agent to be ready", SLOW, || {
        machine.run(["meshctl", "status"]).code == Some(0)
    });
    agent
}

#[test]
fn without_systemd_a_package_is_installed_and_purged_once_its_agent_is_stopped() {
    let package = Packages::debian("1");
    let node = Node::setup().prepare();
    let machine = Machine::without_systemd(node.place());
    machine.install(&package.file(".deb"));
    let mut agent = start_by_hand(&machine);
    let _server = serve_cart(&node, &machine);
    let before = InKernel::of(&machine);

    let refused = machine.run(["dpkg", "--purge", "mesh-agent"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("stop it first"), "{refused:#?}");
    assert_eq!(
        node.client().tcp(VIP).times(100).answers,
        counts([("a", 100)])
    );
    machine.expect(["sh", "-c", "kill $(cat /run/pid)"]);
    wait::until("the agent to end", PATIENCE, || {
        agent
            .try_wait()
            .expect("it is this process's child")
            .is_some()
    });
    machine.expect(["dpkg", "--purge", "mesh-agent"]);
    machine.expect(["rm", "/tmp/log"]);
    expect_no_trace(&node, &machine, &before);
    assert_eq!(pinned::pins(&machine.path(PINS)), BTreeSet::new());
}
