//! Unmodified programs of the distribution.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use mesh_common::counter::Counter;
use mesh_tests::{
    Node,
    node::SETTLE,
    program::{Program, run},
    service, unprivileged, wait,
};

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// Starts an HTTP server that answers with its name at `/name` and keeps connections open.
fn web(node: &Node, name: &str, at: SocketAddr) -> Program {
    unprivileged::open_directory(node.scratch());
    let root = node.scratch().join(name);
    unprivileged::open_directory(&root);
    fs::write(root.join("name"), format!("{name}\n")).expect("the directory is new");
    let modules = "/usr/lib/apache2/modules";
    let configuration = format!(
        "ServerName {name}\nServerRoot {root}\nPidFile {root}/pid\nErrorLog {root}/error.log\nListen {at}\n\
         LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         User nobody\nGroup nogroup\nDocumentRoot {root}\nKeepAlive On\nMaxKeepAliveRequests 0\n",
        root = root.display(),
    );
    let file = root.join("apache.conf");
    fs::write(&file, configuration).expect("the directory is new");
    // One process that neither forks nor detaches.
    Program::start(
        node,
        "apache2",
        &["-X", "-f", file.to_str().expect("a temporary path is text")],
        at,
    )
}

#[test]
fn curl_keeps_one_connection_to_one_apache() {
    const REQUESTS: usize = 50;
    let node = Node::start();
    let at = [address("127.0.2.1", 8080), address("127.0.2.2", 8080)];
    let _servers = [web(&node, "a", at[0]), web(&node, "b", at[1])];
    node.write(
        "web.yaml",
        service("shop/web")
            .address("10.96.0.10")
            .tcp(80)
            .at(at[0])
            .at(at[1]),
    );
    let ready = || node.find_service("shop/web").is_some();
    wait::until("the service", SETTLE, ready);

    let urls = vec!["http://10.96.0.10/name"; REQUESTS].join(" ");
    let mut answered = BTreeSet::new();
    for round in 1..=20 {
        let told = run(
            &node,
            &format!(
                "curl -sS --fail -w %{{num_connects}}_%{{remote_ip}}:%{{remote_port}}\\n {urls}"
            ),
        );
        let lines: Vec<_> = told.lines().collect();
        let (names, transfers): (Vec<_>, Vec<_>) =
            lines.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
        assert_eq!(
            names,
            vec![names[0]; REQUESTS],
            "one connection, one server"
        );
        // curl makes one connect, to the service.
        let expected: Vec<_> = (0..REQUESTS)
            .map(|request| {
                if request == 0 {
                    "1_10.96.0.10:80"
                } else {
                    "0_10.96.0.10:80"
                }
            })
            .collect();
        assert_eq!(transfers, expected);
        answered.insert(names[0].to_owned());
        assert_eq!(node.port("shop/web").counters[Counter::Connects], round);
    }
    assert_eq!(answered, ["a", "b"].map(str::to_owned).into());
}

/// Starts a DNS server. It answers with its name as a TXT record, or forwards to another server.
fn dns(node: &Node, at: SocketAddr, source: &str) -> Program {
    let (ip, port) = (at.ip(), at.port());
    let line = format!(
        "--no-daemon --conf-file=/dev/null --no-resolv --no-hosts --cache-size=0 --bind-interfaces --user=root \
         --listen-address={ip} --port={port} {source}"
    );
    Program::start(
        node,
        "dnsmasq",
        &line.split_whitespace().collect::<Vec<_>>(),
        at,
    )
}

/// Starts two DNS servers behind 10.96.0.10.
fn two_dns_servers(node: &Node) -> [Program; 2] {
    let at = [address("127.0.2.1", 53), address("127.0.2.2", 53)];
    let records = ["--txt-record=name.test,a", "--txt-record=name.test,b"];
    let programs = [dns(node, at[0], records[0]), dns(node, at[1], records[1])];
    node.write(
        "dns.yaml",
        service("shop/dns")
            .address("10.96.0.10")
            .tcp(53)
            .udp(53)
            .at(at[0])
            .at(at[1]),
    );
    wait::until("the service", SETTLE, || {
        node.find_service("shop/dns").is_some()
    });
    programs
}

/// Sends this number of queries, and returns the servers that answer.
fn dig(node: &Node, server: &str, flags: &str, times: usize) -> BTreeSet<String> {
    let line = format!("dig @{server} {flags} +tries=1 +time=2 +short TXT name.test");
    (0..times)
        .map(|_| run(node, &line).trim().trim_matches('"').to_owned())
        .collect()
}

#[test]
fn dig_asks_dnsmasq_over_udp_and_tcp() {
    let node = Node::start();
    let _servers = two_dns_servers(&node);
    let both: BTreeSet<_> = ["a", "b"].map(str::to_owned).into();
    assert_eq!(dig(&node, "10.96.0.10", "+notcp", 30), both);
    assert_eq!(dig(&node, "10.96.0.10", "+tcp", 30), both);
    assert_eq!(
        node.port_of("shop/dns", 53, "TCP").counters[Counter::Connects],
        30
    );
}

/// A resolver sends from unconnected sockets and drops answers that do not come from the server
/// that it asked.
#[test]
fn a_resolver_asks_dns_servers_through_a_service() {
    let node = Node::start();
    let _servers = two_dns_servers(&node);
    let resolver = address("127.0.2.3", 53);
    let _resolver = dns(&node, resolver, "--server=10.96.0.10 --all-servers");
    let answered = dig(&node, "127.0.2.3", "+notcp", 30);
    assert!(
        answered.is_subset(&["a", "b"].map(str::to_owned).into()) && !answered.is_empty(),
        "{answered:?}"
    );
    let answered = dig(&node, "127.0.2.3", "+tcp", 10);
    assert!(
        answered.is_subset(&["a", "b"].map(str::to_owned).into()) && !answered.is_empty(),
        "{answered:?}"
    );
}

/// Starts an empty Redis server that stores nothing on disk.
fn redis(node: &Node, at: SocketAddr) -> Program {
    let (ip, port, directory) = (at.ip(), at.port(), node.scratch().display());
    let line = format!(
        "--bind {ip} --port {port} --dir {directory} --save --appendonly no --protected-mode no"
    );
    // One program is checker and server: its name decides. The package redis-server has the server by
    // its own name, but starts it when it is installed.
    Program::start_as(
        node,
        "redis-check-rdb",
        "redis-server",
        &line.split(' ').collect::<Vec<_>>(),
        at,
    )
}

#[test]
fn redis_cli_reaches_redis_and_then_its_successor() {
    let node = Node::start();
    let at = [address("127.0.2.1", 6379), address("127.0.2.2", 6379)];
    let _servers = at.map(|at| redis(&node, at));
    let cache = service("shop/cache").address("10.96.0.10").tcp(6379);
    let cli = |words: &str| {
        run(&node, &format!("redis-cli -h 10.96.0.10 {words}"))
            .trim()
            .to_owned()
    };
    node.write("cache.yaml", cache.clone().at(at[0]));
    wait::until("the service", SETTLE, || {
        node.find_service("shop/cache").is_some()
    });

    assert_eq!(cli("set name first"), "OK");
    let counted = cli("-r 1000 incr counter");
    assert_eq!(
        counted.lines().collect::<Vec<_>>(),
        (1..=1_000).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(
        node.port("shop/cache").counters[Counter::Connects],
        2,
        "a thousand commands, one connection"
    );

    node.write("cache.yaml", cache.at(at[1]));
    wait::until("the other server to answer", SETTLE, || {
        cli("get name").is_empty()
    });
    assert_eq!(cli("get counter"), "");
}
