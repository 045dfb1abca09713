//! Tests of the harness itself, without an agent.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    env, fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::Duration,
};

use mesh_tests::{
    Client, Node, Pod, Server,
    cgroup::{self, Cgroup},
    client::{Step, protocol::counts},
    command_result::CommandResult,
    name,
    netns::Netns,
    place::Place,
    program::run,
    requirements,
    sweep::remove_orphans,
    unprivileged, wait,
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn a_client_is_in_its_place_before_its_first_line() {
    requirements::privilege();
    let place = Place::new();
    let shown = CommandResult::of(
        place.command("cat").arg("/proc/self/cgroup"),
        Duration::from_secs(5),
    )
    .expect_success();
    let cgroup = place.cgroup.path().file_name().unwrap().to_str().unwrap();
    assert!(
        shown
            .stdout
            .lines()
            .any(|line| line == format!("0::/{cgroup}")),
        "{shown:?}"
    );
    let routes = CommandResult::of(
        place.command("cat").arg("/proc/self/net/route"),
        Duration::from_secs(5),
    );
    assert_eq!(
        routes.stdout.lines().count(),
        1,
        "a heading and no route: {routes:?}"
    );
}

#[test]
fn a_cgroup_is_removed_when_its_owner_is_dropped() {
    requirements::privilege();
    let cgroup = Cgroup::new();
    let path = cgroup.path().to_path_buf();
    assert!(path.is_dir());
    drop(cgroup);
    assert!(!path.exists());
}

#[test]
fn without_privilege_a_test_fails_with_one_sentence() {
    requirements::privilege();
    let directory = tempfile::tempdir().unwrap();
    unprivileged::open_directory(directory.path());
    let copy = unprivileged::open_copy(&env::current_exe().unwrap(), directory.path());
    let mut command = Command::new(copy);
    command.args([
        "--exact",
        "harness::a_cgroup_is_removed_when_its_owner_is_dropped",
        "--nocapture",
    ]);
    let outcome = CommandResult::of(
        unprivileged::as_nobody(&mut command),
        Duration::from_secs(10),
    );
    assert_ne!(outcome.code, Some(0));
    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(
        told.contains("the kernel tests load eBPF programs: run them as root"),
        "{told}"
    );
}

#[test]
fn a_panic_leaves_nothing() {
    requirements::privilege();
    let left = Mutex::new(Vec::new());
    let panicked = thread::scope(|scope| {
        let scenario = || {
            let node = Node::setup().prepare();
            let pod = Pod::start(&node, 1);
            let _busy = [node.client(), pod.client()];
            let paths = [node.place().cgroup.path(), node.scratch()].map(Path::to_path_buf);
            left.lock().unwrap().extend(paths);
            panic!("on purpose");
        };
        scope.spawn(scenario).join().is_err()
    });
    let left = left.into_inner().unwrap();
    assert_eq!((panicked, left.len()), (true, 2));
    assert_eq!(
        left.iter().filter(|path| path.exists()).collect::<Vec<_>>(),
        Vec::<&PathBuf>::new()
    );
}

#[test]
fn a_client_hears_and_counts_the_server() {
    requirements::privilege();
    let place = Place::new();
    let server = Server::start(&place.netns, "a", LOCALHOST);
    let to = server.address();
    let mut client = Client::start(&place);
    for report in [
        client.tcp(&to.to_string()).times(100),
        client.udp(&to.to_string()).times(100),
    ] {
        assert_eq!(report.answers, counts([("a", 100)]));
        assert_eq!(report.errors, counts([]));
        assert_eq!(report.peers, [(to, 100)].into());
        assert!(report.took.max > Duration::ZERO);
    }
    assert_eq!((server.tcp(), server.udp()), (100, 100));
    assert_eq!(server.clients(), BTreeSet::from([LOCALHOST]));
}

#[test]
fn a_client_reaches_v6_and_mapped_addresses() {
    requirements::privilege();
    let place = Place::new();
    let four = Server::start(&place.netns, "four", LOCALHOST);
    let six = Server::start(&place.netns, "six", "::1".parse().unwrap());
    let mut client = Client::start(&place);
    let mapped = format!("[::ffff:127.0.0.1]:{}", four.address().port());
    for (name, to) in [("four", mapped), ("six", six.address().to_string())] {
        for report in [client.tcp(&to).once(), client.udp(&to).once()] {
            assert_eq!(report.answers, counts([(name, 1)]), "{report:?}");
            assert_eq!(report.peers, [(to.parse().unwrap(), 1)].into());
        }
    }
}

#[test]
fn a_client_names_the_errors_of_connects() {
    requirements::privilege();
    let place = Place::new();
    let mut client = Client::start(&place);
    assert_eq!(
        client.tcp("127.0.0.1:1").times(3).errors,
        counts([("connect ECONNREFUSED", 3)])
    );
    assert_eq!(
        client.udp("127.0.0.1:1").times(3).errors,
        counts([("answer ECONNREFUSED", 3)])
    );
    assert_eq!(
        client.tcp("10.96.0.10:80").once().errors,
        counts([("connect ENETUNREACH", 1)])
    );
    assert_eq!(
        client.tcp("[fd00:96::10]:80").once().errors,
        counts([("connect ENETUNREACH", 1)])
    );
}

#[test]
fn a_loop_ends_when_told_and_the_client_goes_on() {
    requirements::privilege();
    let place = Place::new();
    let server = Server::start(&place.netns, "a", LOCALHOST);
    let to = server.address().to_string();
    let mut client = Client::start(&place);
    let connecting = client.tcp(&to).again_and_again();
    wait::until("a hundred connects", Duration::from_secs(10), || {
        server.tcp() >= 100
    });
    let report = connecting.stop();
    assert_eq!(report.errors, counts([]));
    assert_eq!(report.total_answers(), server.tcp());
    assert_eq!(client.udp(&to).once().answers, counts([("a", 1)]));
}

#[test]
fn one_udp_socket_walks_from_server_to_server() {
    requirements::privilege();
    let place = Place::new();
    let [a, b] = ["a", "b"].map(|name| Server::start(&place.netns, name, LOCALHOST));
    let steps = Client::start(&place).walk(&[a.address(), b.address()]);
    let step = |server: &Server| Step {
        peer: Ok(server.address()),
        answer: Ok(server.name().into()),
    };
    assert_eq!(steps, [step(&a), step(&b)]);
}

#[test]
fn namespaces_do_not_see_each_other() {
    requirements::privilege();
    let (one, other) = (Place::new(), Place::new());
    let server = Server::start(&one.netns, "a", LOCALHOST);
    let to = server.address().to_string();
    assert_eq!(
        Client::start(&one).tcp(&to).once().answers,
        counts([("a", 1)])
    );
    assert_eq!(
        Client::start(&other).tcp(&to).once().errors,
        counts([("connect ECONNREFUSED", 1)])
    );
}

#[test]
fn pods_reach_each_other_and_their_node() {
    let node = Node::setup().prepare();
    let [one, two] = [1, 2].map(|number| Pod::start(&node, number));
    let servers = [two.server("four"), two.server6("six")];
    for server in &servers {
        let to = server.address().to_string();
        assert_eq!(
            one.client().tcp(&to).times(10).answers,
            counts([(server.name(), 10)])
        );
        assert_eq!(
            node.client().udp(&to).times(10).answers,
            counts([(server.name(), 10)])
        );
    }
    assert!(
        servers[0].clients().contains(&one.ip()),
        "{:?}",
        servers[0].clients()
    );
    assert!(
        servers[1].clients().contains(&one.ip6()),
        "{:?}",
        servers[1].clients()
    );
}

#[test]
fn a_pod_is_below_its_node() {
    let node = Node::setup().prepare();
    let pod = Pod::start(&node, 1);
    let mut client = pod.client();
    // It answers, so it has moved to its cgroup.
    client.tcp("127.0.0.1:1").once();
    let inside = fs::read_dir(node.place().cgroup.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir());
    let [child] = inside.collect::<Vec<_>>().try_into().expect("one child");
    assert_ne!(
        fs::read_to_string(child.path().join("cgroup.procs")).unwrap(),
        ""
    );
}

#[test]
fn only_leftovers_of_dead_runs_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    let dead = "mesh-test-4194305-1";
    let alive = name::unique();
    for name in [dead, alive.as_str(), "other"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    let swept = RefCell::new(Vec::new());
    remove_orphans(directory.path(), |path| {
        swept.borrow_mut().push(path.to_path_buf());
        Ok(())
    });
    assert_eq!(swept.into_inner(), [directory.path().join(dead)]);
}

#[test]
fn a_swept_cgroup_goes_with_those_below_it() {
    requirements::privilege();
    // Below a cgroup of this process, which the sweeps of other tests skip.
    let own = Cgroup::new();
    let orphan = own.path().join("mesh-test-4194305-2");
    fs::create_dir_all(orphan.join("mesh-test-4194305-3")).unwrap();
    remove_orphans(own.path(), cgroup::remove);
    assert!(!orphan.exists());
}

#[test]
fn work_inside_a_namespace_does_not_move_the_thread() {
    requirements::privilege();
    let namespace = || fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = namespace();
    assert_ne!(Netns::new().run(namespace), before);
    assert_eq!(namespace(), before);
}

#[test]
fn a_destroyed_udp_socket_reports_it_once() {
    let node = Node::setup().prepare();
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let mut client = node.client();
    for (bind, mapped) in [("0.0.0.0:0", false), ("[::]:0", true)] {
        let [to_a, to_b] = [&a, &b].map(|server| {
            let socket = client.udp_socket(bind);
            let to = server.address();
            let to = if mapped {
                format!("[::ffff:{}]:{}", to.ip(), to.port())
            } else {
                to.to_string()
            };
            client.connect(socket, &to).unwrap();
            assert_eq!(client.name_of_peer(socket), Ok(server.name().into()));
            (socket, to)
        });
        run(&node, &format!("ss -K -a -u dst = {}", to_a.1));
        assert_eq!(
            client.pending_error(to_a.0),
            Some("ECONNABORTED".into()),
            "{bind}"
        );
        assert_eq!(client.pending_error(to_a.0), None);
        assert_eq!(client.send(to_a.0), Err("EDESTADDRREQ".into()));
        client.connect(to_a.0, &to_a.1).unwrap();
        assert_eq!(client.name_of_peer(to_a.0), Ok("a".into()));
        assert_eq!(client.name_of_peer(to_b.0), Ok("b".into()));
    }
}

#[test]
fn a_destroyed_tcp_stream_reports_it() {
    let node = Node::setup().prepare();
    let [a, b] = ["a", "b"].map(|name| node.echo_server(name));
    let mut client = node.client();
    for server in [&a, &b] {
        assert_eq!(
            client
                .open_streams(&server.address().to_string(), 20)
                .total_answers(),
            20
        );
    }
    assert_eq!(client.beat().answers, counts([("a", 20), ("b", 20)]));
    run(&node, &format!("ss -K -t dst = {}", a.address()));
    let beat = client.beat();
    assert_eq!(
        (beat.errors, beat.answers),
        (counts([("send ECONNABORTED", 20)]), counts([("b", 20)]))
    );
    let beat = client.beat();
    assert_eq!(
        (beat.errors, beat.answers),
        (counts([]), counts([("b", 20)]))
    );
}
