//! Unresponsive filesystems and clients: they block neither the agent nor other files and clients.

use std::{
    fs::{self, File},
    io::Write,
    os::{
        fd::AsRawFd,
        unix::{fs::symlink, net::UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mesh_tests::{Node, manifest::document, service, wait};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::stat::Mode,
    unistd::mkfifo,
};

/// A FUSE filesystem whose server never answers. Every access blocks until this is dropped.
struct Hung {
    path: PathBuf,
    server: Option<File>,
}

impl Hung {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("a new directory");
        let server = File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .expect("the kernel has FUSE");
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            server.as_raw_fd()
        );
        mount(
            Some("hung"),
            &path,
            Some("fuse"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .expect("root may mount");
        Self {
            path,
            server: Some(server),
        }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // After the server is gone the kernel returns errors.
        drop(self.server.take());
        _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// Starts an agent, and waits until it answers. It is not ready while files cannot be read.
fn launch(node: &mut Node) {
    node.launch_agent();
    wait::until("the agent to answer", Duration::from_secs(10), || {
        node.try_get("/v1/status").is_ok()
    });
}

/// Stops the agent, which must take less than four seconds.
fn expect_stopped_soon(node: &mut Node) {
    let start = Instant::now();
    node.stop_agent();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "SIGTERM took {took:?}");
}

fn fifo(path: &Path) {
    mkfifo(path, Mode::S_IRWXU).expect("a new path");
}

#[test]
fn a_file_that_hangs_blocks_neither_other_files_nor_the_stop_of_the_agent() {
    let mut node = Node::start();
    let hung = Hung::mount(node.scratch().join("hung"));
    let a = node.server("a");
    symlink(hung.path.join("shop.yaml"), node.file("a-hung.yaml")).expect("a new path");
    symlink(hung.path.join("more.yaml"), node.file("b-hung.yaml")).expect("a new path");
    fifo(&node.file("c-fifo.yaml"));
    node.write(
        "d.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    node.wait_until_served_within("shop/cart", &[&a], Duration::from_secs(5));
    let errors = node.wait_for_errors(3);
    let hang = "cannot be read: its file system gave no answer in 1s";
    assert!(
        errors[0].reason.starts_with(hang) && errors[1].reason.starts_with(hang),
        "{errors:?}"
    );
    assert_eq!(errors[2].reason, "cannot be read: not a regular file");
    // Paths that hung before are not tried again at once, so a change takes no longer.
    let b = node.server("b");
    let start = Instant::now();
    node.write(
        "d.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&b),
    );
    node.wait_until_served("shop/cart", &[&b]);
    println!(
        "a change beside files that hang was served after {:?}",
        start.elapsed()
    );
    expect_stopped_soon(&mut node);
    launch(&mut node);
    node.wait_until_served_within("shop/cart", &[&b], Duration::from_secs(5));
    drop(hung);
    // The links are dangling now.
    wait::until(
        "the files to be read again",
        Duration::from_secs(10),
        || {
            node.status()
                .errors
                .iter()
                .all(|error| !error.reason.starts_with(hang))
        },
    );
}

#[test]
fn a_directory_that_hangs_does_not_block_other_directories() {
    let mut node = Node::setup().prepare();
    let hung = Hung::mount(node.scratch().join("hung"));
    node.add_flags(&format!("--services other={}", hung.path.display()));
    let a = node.server("a");
    node.write(
        "d.yaml",
        service("shop/cart")
            .address("10.96.0.10")
            .tcp(80)
            .endpoint(&a),
    );
    launch(&mut node);
    node.wait_until_served_within("shop/cart", &[&a], Duration::from_secs(10));
    expect_stopped_soon(&mut node);
}

#[test]
fn clients_that_never_read_block_neither_other_clients_nor_the_stop_of_the_agent() {
    let mut node = Node::start();
    let services: Vec<_> = (0..1000_u32)
        .map(|number| {
            service(&format!("shop/cart-{number}"))
                .address(&format!("10.96.{}.{}", number / 250, number % 250 + 1))
                .tcp(80)
        })
        .collect();
    node.write("shop.yaml", document(&services));
    wait::until("1,000 services", Duration::from_secs(20), || {
        node.find_service("shop/cart-999").is_some()
    });
    let held: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream =
                UnixStream::connect(&node.directories().socket).expect("the agent listens");
            _ = stream.write_all(b"GET /v1/services HTTP/1.1\r\nhost: a\r\n\r\n");
            stream
        })
        .collect();
    let start = Instant::now();
    node.meshctl("status").expect_success();
    println!(
        "status beside 100 clients that do not read: {:?}",
        start.elapsed()
    );
    expect_stopped_soon(&mut node);
    drop(held);
}

#[test]
fn explain_opens_only_namespaces_and_nothing_that_blocks() {
    let node = Node::start();
    let a = node.server("a");
    let cart = service("shop/cart")
        .address("10.96.0.10")
        .tcp(80)
        .sticky(60)
        .endpoint(&a);
    node.write("cart.yaml", cart);
    node.wait_until_served("shop/cart", &[&a]);
    let path = node.scratch().join("fifo");
    fifo(&path);
    for _ in 0..3 {
        let outcome = node.meshctl(&format!(
            "explain 10.96.0.10:80 --from netns:{}",
            path.display()
        ));
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let expected = format!(
            "network namespace {}, as the agent sees files: not a network namespace",
            path.display()
        );
        assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    }
    let directory = node.scratch().display().to_string();
    let socket = node.directories().socket.display().to_string();
    for path in [
        "/dev/zero",
        "/dev/fuse",
        "/etc/passwd",
        "/proc/self/ns/uts",
        &directory,
        &socket,
    ] {
        let outcome = node.meshctl(&format!("explain 10.96.0.10:80 --from netns:{path}"));
        assert!(
            outcome.stderr.contains("not a network namespace"),
            "{path}: {}",
            outcome.stderr
        );
    }
    let own = node.place().netns.path();
    node.meshctl(&format!(
        "explain 10.96.0.10:80 --from netns:{}",
        own.display()
    ))
    .expect_success();
}

#[test]
fn names_and_contents_of_files_are_escaped_for_terminals() {
    let node = Node::start();
    let name = "red\u{1b}[31m\u{202e}lmay.yaml";
    node.write(name, "services: [{name: \"x\u{1b}[32m\u{2066}y\"}]\n");
    fs::write(
        node.scratch().join("shadow"),
        "root:$6$s3cr3t$hash:19000:0:99999:7:::\nbin:*:19000:0:99999:7:::\n",
    )
    .unwrap();
    symlink(node.scratch().join("shadow"), node.file("shadow.yaml")).expect("a new path");
    wait::until("both files to be reported", Duration::from_secs(5), || {
        let files: Vec<String> = node
            .status()
            .errors
            .iter()
            .map(|error| error.file.clone())
            .collect();
        files.iter().any(|file| file.ends_with("shadow.yaml"))
            && files.iter().any(|file| file.contains("red"))
    });
    wait::until("the log to name it", Duration::from_secs(5), || {
        node.log().contains("shadow.yaml")
    });
    let validated = node.meshctl(&format!(
        "config validate {}",
        node.directories().services.display()
    ));
    let told = node.meshctl("status").stdout + &validated.stdout + &validated.stderr + &node.log();
    assert!(
        told.contains(r"\u{202e}lmay.yaml") && !told.contains(['\u{1b}', '\u{202e}', '\u{2066}']),
        "{told:?}"
    );
    assert!(
        !told.contains("s3cr3t") && !node.get("/v1/status").body.contains("s3cr3t"),
        "{told}"
    );
}
