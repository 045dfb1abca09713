//! Unprivileged users that try to change what the agent uses: pins, state, and drains and weights over
//! the control socket.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use mesh_tests::{
    Node, Server, binary,
    client::protocol::counts,
    command_result::CommandResult,
    node::{Directories, PATIENCE},
    service,
    unprivileged::{NOBODY, as_nobody, open_copy, open_directory},
};

const VIP: &str = "10.96.0.10:80";
/// A group without a name.
const ADMINS: u32 = 4321;

/// Script that tries to read and change each path in its arguments, and prints what succeeds.
const ATTEMPTS: &str = r#"
for path in "$@"; do
    cat "$path" && echo "read $path"
    ls "$path/" && echo "listed $path"
    : >> "$path" && echo "opened $path to write"
    : > "$path/new" && echo "created a file in $path"
    chmod 777 "$path" && echo "changed the mode of $path"
    ln "$path" /tmp/"mesh-link-$$" && echo "linked $path"
    mv "$path" "$path.moved" && echo "renamed $path"
    rm -f "$path" && [ ! -e "$path" ] && [ -x "$(dirname "$path")" ] && echo "removed $path"
    for kind in map link prog; do
        bpftool "$kind" show pinned "$path" && echo "got the $kind at $path"
    done
done 2>/dev/null | grep -E '^(read|listed|opened|created|changed|linked|renamed|removed|got) '
"#;

fn drained(node: &Node) -> (Server, Server) {
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let cart = service("shop/cart").address("10.96.0.10").tcp(80);
    node.write("cart.yaml", cart.endpoint(&a).endpoint(&b));
    node.wait_until_served("shop/cart", &[&a, &b]);
    node.meshctl(&format!("backend drain shop/cart {}", b.address()))
        .expect_success();
    (a, b)
}

/// Returns everything in a directory, itself first.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next) {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let entries: Vec<_> = entries.map(|entry| entry.path()).collect();
        found.extend(entries);
        next += 1;
    }
    found
}

/// Owner, mode and size of everything in these directories.
fn listing(directories: [&Path; 2]) -> BTreeSet<(PathBuf, u32, u32, u64)> {
    let paths = directories.into_iter().flat_map(below);
    let line = |path: PathBuf| {
        let found = fs::symlink_metadata(&path).expect("its directory lists it");
        (path, found.uid(), found.mode(), found.len())
    };
    paths.map(line).collect()
}

fn attempt(paths: &[PathBuf]) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", ATTEMPTS, "sh"]).args(paths);
    CommandResult::of(as_nobody(&mut shell), PATIENCE).stdout
}

#[test]
fn users_can_neither_read_nor_change_pins_and_state() {
    let node = Node::start();
    let _servers = drained(&node);
    let Directories { pins, state, .. } = node.directories();
    // The directories above are open, so only the agent's own directories can stop the user.
    fs::set_permissions(node.scratch(), Permissions::from_mode(0o755)).unwrap();
    let before = listing([pins, state]);
    let paths: Vec<PathBuf> = [below(pins), below(state)].concat();
    assert!(paths.len() > 30, "{paths:?}");
    // Root can read the same pins with bpftool.
    let of_root = Command::new("bpftool")
        .args(["link", "show", "pinned"])
        .arg(pins.join("links/connect4"))
        .output()
        .unwrap();
    assert!(of_root.status.success(), "{of_root:?}");
    assert_eq!(attempt(&paths), "");
    assert_eq!(listing([pins, state]), before);

    // Also where root opened the directories by mistake.
    let directories: Vec<&PathBuf> = paths.iter().filter(|path| path.is_dir()).collect();
    for directory in &directories {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    }
    let files: Vec<PathBuf> = paths
        .iter()
        .filter(|path| path.is_file())
        .cloned()
        .collect();
    assert_eq!(attempt(&files), "");
    for directory in directories {
        fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
    }
    assert_eq!(listing([pins, state]), before);
    assert_eq!(
        node.client().tcp(VIP).times(10).answers,
        counts([("a", 10)])
    );
}

/// A copy of meshctl that all users may run, and a socket in a directory that all may enter.
struct Ctl<'a> {
    node: &'a Node,
    program: PathBuf,
}

impl<'a> Ctl<'a> {
    fn new(node: &'a Node) -> Self {
        fs::set_permissions(node.scratch(), Permissions::from_mode(0o755))
            .expect("the scratch directory belongs to the test");
        let directory = node.scratch().join("bin");
        open_directory(&directory);
        let program = open_copy(&binary::find("meshctl"), &directory);
        Self { node, program }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.node.directories().socket);
        command.args(line.split(' '));
        command
    }

    /// Runs meshctl as an unprivileged user in one group.
    fn as_nobody(&self, line: &str) -> CommandResult {
        CommandResult::of(as_nobody(&mut self.command(line)), PATIENCE)
    }

    /// Runs meshctl as the same user, also in the admin group.
    fn as_admin(&self, line: &str) -> CommandResult {
        let command = self.command(line);
        let mut setpriv = Command::new("setpriv");
        setpriv
            .args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}")])
            .arg(format!("--groups={ADMINS}"))
            .arg(command.get_program())
            .args(command.get_args());
        CommandResult::of(&mut setpriv, PATIENCE)
    }
}

/// Returns the lines of the audit log from `user=` on, with PID for the process ids.
fn audit(node: &Node) -> Vec<String> {
    let log = node.log();
    let lines = log.lines().filter_map(|line| line.split_once(" audit "));
    lines
        .map(|(_, line)| {
            let words = line.split(' ').map(|word| match word.split_once('=') {
                Some(("pid", pid)) if pid.parse::<u32>().is_ok_and(|pid| pid > 1) => "pid=PID",
                _ => word,
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn without_a_group_only_root_opens_the_socket() {
    let node = Node::start();
    let (_a, b) = drained(&node);
    let ctl = Ctl::new(&node);
    let socket = node.directories().socket.clone();
    let found = fs::metadata(&socket).unwrap();
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (0, 0, 0o600)
    );
    let refused = ctl.as_nobody("status");
    let sentence = format!(
        "no permission to open {}: run as root, or as a member of the group that the agent's --socket-group names",
        socket.display()
    );
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains(&sentence), "{refused:#?}");
    // The log has root's drain, which is the only change.
    let path = format!("/v1/services/shop/cart/endpoints/{}/drain", b.address());
    let expected = format!(
        r#"user=0 pid=PID command="meshctl" request="POST {path} {{\"force\":false}}" result=200 OK"#
    );
    assert_eq!(audit(&node), [expected]);
}

#[test]
fn the_group_of_the_socket_reads_and_the_admin_group_changes() {
    let flags = format!("--socket-group {NOBODY} --admin-group {ADMINS}");
    let node = Node::setup().flags(&flags).start();
    let (a, b) = drained(&node);
    let ctl = Ctl::new(&node);
    let found = fs::metadata(&node.directories().socket).unwrap();
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (0, NOBODY, 0o660)
    );
    for line in [
        "status",
        "service list",
        "backend list",
        &format!("explain {VIP}"),
    ] {
        ctl.as_nobody(line).expect_success();
    }
    for verb in ["undrain", "drain", "weight"] {
        let weight = if verb == "weight" { " 5" } else { "" };
        let refused = ctl.as_nobody(&format!("backend {verb} shop/cart {}{weight}", b.address()));
        let sentence = format!(
            "user {NOBODY} may read, but not {verb}: run it as root, or as a member of group {ADMINS}"
        );
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(&sentence), "{refused:#?}");
    }
    let client = || node.client().tcp(VIP).times(20).answers;
    assert_eq!(
        client(),
        counts([("a", 20)]),
        "{} stays drained",
        b.address()
    );
    ctl.as_admin(&format!("backend undrain shop/cart {}", b.address()))
        .expect_success();
    ctl.as_admin(&format!("backend drain shop/cart {}", a.address()))
        .expect_success();
    assert_eq!(client(), counts([("b", 20)]));
    let results: Vec<String> = audit(&node)
        .iter()
        .map(|line| {
            let user = line.split(' ').next().expect("a word");
            let verb = line
                .split(['/', ' '])
                .find(|word| word.ends_with("drain") || *word == "weight");
            let (_, result) = line.rsplit_once("result=").expect("a result");
            format!("{user} {} {result}", verb.expect("a verb"))
        })
        .collect();
    let expected = [
        "user=0 drain 200 OK",
        "user=65534 undrain 403 Forbidden",
        "user=65534 drain 403 Forbidden",
        "user=65534 weight 403 Forbidden",
        "user=65534 undrain 200 OK",
        "user=65534 drain 200 OK",
    ];
    assert_eq!(results, expected, "{:#?}", audit(&node));
}
