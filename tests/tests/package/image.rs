//! The OCI image, run as the DaemonSet runs it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use caps::Capability;
use mesh_tests::{
    Client, Node, Pod, binary, bpftool,
    client::protocol::counts,
    command_result::CommandResult,
    node::{Directories, PATIENCE},
    service, wait,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    container::{Container, Spec},
    daemonset::{DaemonSet, Mount},
    packages::Packages,
};

const VIP: &str = "10.96.0.10:80";

/// Most that a node may have to download.
const MOST_DOWNLOADED: u64 = 11_000_000;
/// Most that a node may have to store.
const MOST_UNPACKED: u64 = 25_000_000;

/// An image, imported by a tool that checks every digest.
struct Image {
    directory: TempDir,
    config: Value,
    root: PathBuf,
}

impl Image {
    fn import(packages: &Packages) -> Self {
        let directory = TempDir::new().expect("room for a temporary directory");
        let copy = directory.path().join("copy");
        let from = format!("oci-archive:{}", packages.file("-image.tar").display());
        let to = format!("dir:{}", copy.display());
        run("skopeo", &["--insecure-policy", "copy", &from, &to]);
        let manifest = read_json(&copy.join("manifest.json"));
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().expect("a digest");
            copy.join(digest.strip_prefix("sha256:").expect("digests are SHA-256"))
        };
        let [layer] = &manifest["layers"].as_array().expect("layers")[..] else {
            panic!("not one layer: {manifest}")
        };
        let root = directory.path().join("root");
        fs::create_dir(&root).expect("the directory is new");
        let [archive, to] = [blob(layer), root.clone()].map(|path| path.display().to_string());
        run("tar", &["-xzf", &archive, "-C", &to]);
        Self {
            config: read_json(&blob(&manifest["config"])),
            directory,
            root,
        }
    }

    fn files(&self) -> BTreeSet<(String, u64)> {
        let mut files = BTreeSet::new();
        let mut open = vec![self.root.clone()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).expect("it is a directory").flatten() {
                let metadata = entry.metadata().expect("the cgroup exists");
                if metadata.is_dir() {
                    open.push(entry.path());
                } else {
                    let path = entry.path();
                    let path = path.strip_prefix(&self.root).expect("found below it");
                    files.insert((path.display().to_string(), metadata.len()));
                }
            }
        }
        files
    }
}

fn run(program: &str, arguments: &[&str]) {
    CommandResult::of(Command::new(program).args(arguments), crate::machine::SLOW).expect_success();
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// What the DaemonSet asks for, with the directories of `node` for those of a whole machine.
fn as_daemonset(image: &Image, daemonset: &DaemonSet, node: &Node) -> Spec {
    let Directories {
        cgroup: _,
        pins,
        services,
        state,
        socket: _,
    } = node.directories();
    let run = node.scratch().join("run");
    for directory in [pins, &run] {
        fs::create_dir_all(directory).expect("the scratch directory and bpffs take directories");
    }
    let of_node = |Mount { at, of, read_only }: &Mount| {
        let source = match of.as_deref() {
            None => services.as_path(),
            Some("/sys/fs/bpf") => pins,
            // Outside of the container it is the node's own cgroup.
            Some(path @ "/sys/fs/cgroup") => Path::new(path),
            Some("/run/mesh-agent") => &run,
            Some("/var/lib/mesh-agent") => state,
            Some(other) => panic!("the DaemonSet mounts {other}, which this test does not know"),
        };
        (source.to_owned(), at.clone(), *read_only)
    };
    let variables = daemonset.environment.iter();
    let mut environment: Vec<_> = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let of_image = image.config["config"]["Env"].as_array().expect("a PATH");
    environment.extend(of_image.iter().filter_map(Value::as_str).map(str::to_owned));
    Spec {
        root: image.root.clone(),
        words: daemonset.command.clone(),
        environment,
        capabilities: daemonset
            .capabilities
            .iter()
            .map(|name| format!("CAP_{name}"))
            .collect(),
        mounts: daemonset.mounts.iter().map(of_node).collect(),
    }
}

/// A container of another image: this machine's programs, read-only, without capabilities.
fn client_container(pod: &Pod, scratch: &Path) -> (Container, Client) {
    let root = scratch.join("client");
    fs::create_dir_all(&root).expect("the scratch directory takes directories");
    let client = binary::find("mesh-client");
    let mounts = ["/usr", "/lib", "/lib64"].map(|path| (path.into(), path.to_owned(), true));
    let spec = Spec {
        root,
        words: vec!["/mesh-client".into()],
        environment: vec![],
        capabilities: vec![],
        mounts: mounts
            .into_iter()
            .chain([(client, "/mesh-client".into(), true)])
            .collect(),
    };
    let container = Container::new(pod.place(), &spec);
    let client = Client::run_by(container.run(), pod.place());
    (container, client)
}

#[test]
fn the_image_serves_hosts_and_containers_with_what_the_daemonset_gives_it() {
    let packages = Packages::of("image");
    let (image, daemonset) = (Image::import(&packages), DaemonSet::read());
    let node = Node::setup().prepare();
    for (name, text) in &daemonset.services {
        node.write(name, text);
    }
    let agent = Container::new(node.place(), &as_daemonset(&image, &daemonset, &node));
    let start = Instant::now();
    let mut process = agent.start();
    wait::until("the readiness probe", PATIENCE, || {
        let ended = process.try_wait().expect("it is this process's child");
        assert_eq!(ended, None, "{}", agent.log());
        agent.exec(&daemonset.probe).code == Some(0)
    });
    println!(
        "{}\nready in {} ms",
        packages.said,
        start.elapsed().as_millis()
    );
    assert_holds_what_is_given(&agent, &daemonset);

    let [clients, servers] = [1, 2].map(|number| Pod::start(&node, number));
    let server = servers.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .endpoint(&server);
    node.write("cart.yaml", cart);
    let mut host = node.client();
    wait::until("the service", PATIENCE, || {
        host.tcp(VIP).once().answers == counts([("a", 1)])
    });
    let (_container, mut contained) = client_container(&clients, node.scratch());
    for client in [&mut host, &mut contained] {
        assert_eq!(client.tcp(VIP).times(100).answers, counts([("a", 100)]));
    }
    agent.terminate();
    let status = wait::until_some("the agent to end", PATIENCE, || {
        process.try_wait().expect("it is this process's child")
    });
    assert!(status.success(), "{status}: {}", agent.log());
    for client in [&mut host, &mut contained] {
        assert_eq!(client.tcp(VIP).times(100).answers, counts([("a", 100)]));
    }
    assert_ne!(
        bpftool::attached(&node.directories().cgroup),
        BTreeSet::new()
    );
}

/// The agent can have the capabilities of the DaemonSet and no others, gains none, and cannot write to its root.
fn assert_holds_what_is_given(agent: &Container, daemonset: &DaemonSet) {
    let status = agent.proc("status");
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {status}"))
            .trim()
            .to_owned()
    };
    let given = daemonset.capabilities.iter().map(|name| {
        let capability: Capability = format!("CAP_{name}").parse().expect("a capability");
        capability.bitmask()
    });
    let given = format!("{:016x}", given.fold(0, |all, one| all | one));
    assert_eq!(line("CapBnd:"), given);
    assert_eq!(line("NoNewPrivs:"), "1");
    let mounts = agent.proc("mountinfo");
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"));
    let options = root
        .and_then(|line| line.split(' ').nth(5))
        .unwrap_or_default();
    assert!(options.split(',').any(|option| option == "ro"), "{mounts}");
}

#[test]
fn the_image_has_the_name_the_daemonset_asks_for_and_nothing_but_the_programs() {
    let packages = Packages::of("image");
    let image = Image::import(&packages);
    let daemonset = DaemonSet::read();
    let name = format!("{}, ", daemonset.image);
    assert!(packages.said.contains(&name), "{}", packages.said);
    let files = image.files();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let documents =
        ["copyright", "sbom.cdx.json"].map(|name| format!("usr/share/doc/mesh-agent/{name}"));
    assert_eq!(
        names,
        [
            "usr/bin/mesh-agent",
            "usr/bin/meshctl",
            &documents[0],
            &documents[1]
        ]
    );
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    println!("{} files, {bytes} bytes unpacked: {files:?}", files.len());
    assert!(bytes <= MOST_UNPACKED, "{bytes} bytes unpacked");
    let archive = fs::metadata(packages.file("-image.tar")).expect("the command packed it");
    let bytes = archive.len();
    assert!(bytes <= MOST_DOWNLOADED, "{bytes} bytes to download");
    let config = &image.config["config"];
    assert_eq!(
        config["Labels"]["org.opencontainers.image.title"],
        "mesh-agent"
    );
    let version = CommandResult::of(
        Command::new(image.root.join("usr/bin/mesh-agent")).arg("--version"),
        PATIENCE,
    );
    let label = config["Labels"]["org.opencontainers.image.version"].as_str();
    assert_eq!(
        version.stdout.trim(),
        format!("mesh-agent {}", label.expect("a version"))
    );
    let bill = read_json(&image.root.join(&documents[1]));
    let components = bill["components"].as_array().expect("components");
    let listed: BTreeSet<_> = components
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    for name in ["aya", "aya-ebpf", "clap", "glibc", "meshctl", "tokio"] {
        assert!(listed.contains(name), "{name} is not in {listed:?}");
    }
    // Crates that only tests and builds need are not in the programs.
    assert!(!listed.contains("insta") && !listed.contains("aya-build"));
    drop(image.directory);
}
