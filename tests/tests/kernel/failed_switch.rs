//! Switches that fail on the way: the previous agent's programs serve on, or the next agent continues.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aya::programs::loaded_links;
use mesh_tests::{
    Client, Node, binary, client::protocol::counts, command_result::CommandResult, node::PATIENCE,
    wait,
};

use crate::upgrade::{COUNTED, SAME_SOCKETS, SMALL, TCP, address, live, node_with_echoes, present};

/// Programs of all links of the node, by the id of the link.
fn programs(links: &[u32]) -> BTreeMap<u32, u32> {
    let links = loaded_links()
        .flatten()
        .filter(|link| links.contains(&link.id()));
    links.map(|link| (link.id(), link.program_id())).collect()
}

/// Puts a link of another kind into the place of a hook's link, so that its update fails.
struct WrongLink {
    hook: PathBuf,
    right: PathBuf,
}

impl WrongLink {
    fn at(node: &Node, hook: &str) -> Self {
        let pins = &node.directories().pins;
        let other = match hook {
            "sock_release" | "sock_ops" => "connect4",
            _ => "sock_release",
        };
        let wrong = Self {
            hook: pins.join("links").join(hook),
            right: pins.join("right"),
        };
        let link = |name: &str| pins.join("links").join(name);
        fs::rename(&wrong.hook, &wrong.right).expect("both are on one bpffs");
        fs::hard_link(link(other), &wrong.hook).expect("both are on one bpffs");
        wrong
    }

    fn mend(self) {
        fs::remove_file(&self.hook).expect("it is there");
        fs::rename(&self.right, &self.hook).expect("both are on one bpffs");
    }
}

#[test]
fn failed_switch_at_any_hook_leaves_the_previous_agent_serving() {
    let (mut node, _servers) = node_with_echoes(&present(SMALL));
    let mut streams = node.client();
    assert_eq!(streams.open_streams(TCP, 100).errors, counts([]));
    let hooks = node.status().hooks;
    let links: Vec<u32> = hooks.iter().map(|hook| hook.link_id).collect();
    let before = programs(&links);
    let maps = directories(&node);
    let mut client = node.client();
    let connects = client.tcp(TCP).again_and_again();
    node.kill_agent();
    for hook in hooks {
        let wrong = WrongLink::at(&node, &hook.name);
        let failed = failed_start(&node, &[]);
        wrong.mend();
        let expected = "the programs of the previous agent (ABI ";
        assert!(
            failed.code == Some(1)
                && failed
                    .stderr
                    .contains(&format!("cannot attach {}", hook.name))
                && failed.stderr.contains(expected),
            "{failed:?}"
        );
        assert_eq!(programs(&links), before, "{}", hook.name);
        assert_eq!(directories(&node), maps, "{}", hook.name);
    }
    let report = connects.stop();
    assert_eq!(report.errors, counts([]));
    assert_eq!(report.peers.keys().collect::<Vec<_>>(), [&address(TCP)]);
    node.start_agent();
    assert_eq!(streams.beat().errors, counts([]));
    wait::until_equal("the live load is exact", COUNTED, &100, || {
        live(&node, 80, "TCP")
    });
}

/// Directories of maps that programs use.
fn directories(node: &Node) -> Vec<String> {
    let pins: &Path = &node.directories().pins;
    let entries = fs::read_dir(pins).expect("it is there").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("maps-")).collect()
}

/// Runs an agent with other maps, which must fail.
fn failed_start(node: &Node, wrapper: &[&str]) -> CommandResult {
    let agent = binary::find("mesh-agent");
    let mut words = wrapper.iter().map(PathBuf::from).chain([agent]);
    let program = words.next().expect("there is the agent");
    let mut command = node.place().command(program);
    command.args(words).args(node.directories().run());
    let flags = format!("{SAME_SOCKETS} --allow-second-agent");
    CommandResult::of(command.args(flags.split(' ')), PATIENCE)
}

/// Starts the agent whose start failed, and expects that open streams go on and count.
fn expect_continued(mut node: Node, streams: &mut Client) {
    node.next_agent(&present(SAME_SOCKETS).0, SAME_SOCKETS);
    node.start_agent();
    assert_eq!(streams.beat().errors, counts([]));
    wait::until_equal("the live load is exact", COUNTED, &100, || {
        live(&node, 80, "TCP")
    });
}

#[test]
fn program_that_cannot_be_pinned_leaves_the_previous_agent_serving() {
    let (mut node, _servers) = node_with_echoes(&present(SMALL));
    let mut streams = node.client();
    assert_eq!(streams.open_streams(TCP, 100).errors, counts([]));
    let links: Vec<u32> = node
        .status()
        .hooks
        .iter()
        .map(|hook| hook.link_id)
        .collect();
    let (before, maps) = (programs(&links), directories(&node));
    node.kill_agent();
    let pin = node.directories().pins.join("programs/connect6");
    fs::remove_file(&pin).expect("it is there");
    fs::create_dir(&pin).expect("bpffs has directories");
    let failed = failed_start(&node, &[]);
    fs::remove_dir(&pin).expect("it is empty");
    let expected = "the programs of the previous agent (ABI ";
    assert!(
        failed.code == Some(1) && failed.stderr.contains(expected),
        "{failed:?}"
    );
    assert_eq!((programs(&links), directories(&node)), (before, maps));
    expect_continued(node, &mut streams);
}

#[test]
fn agent_continues_where_hooks_could_not_be_switched_back() {
    let (mut node, _servers) = node_with_echoes(&present(SMALL));
    let mut streams = node.client();
    assert_eq!(streams.open_streams(TCP, 100).errors, counts([]));
    node.kill_agent();
    // Without the pins, opening a program needs CAP_SYS_ADMIN.
    fs::remove_dir_all(node.directories().pins.join("programs")).expect("it is there");
    let wrong = WrongLink::at(&node, "connect6");
    let failed = failed_start(&node, &["setpriv", "--bounding-set", "-sys_admin"]);
    wrong.mend();
    let expected = "these hooks cannot be switched back to the previous agent (ABI ";
    assert!(
        failed.code == Some(1) && failed.stderr.contains(expected),
        "{failed:?}"
    );
    assert_eq!(directories(&node).len(), 2, "those of both agents");
    expect_continued(node, &mut streams);
}
