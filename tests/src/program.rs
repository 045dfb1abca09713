//! Runs programs of the distribution in a place: servers, which are killed when dropped, and commands.

use std::{
    env,
    fs::{self, File},
    io,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use crate::{Node, command_result::CommandResult, node::PATIENCE, wait};

/// A server program; killed when dropped.
pub struct Program {
    process: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `name` with arguments and waits until it listens at `address`.
    pub fn start(node: &Node, name: &str, arguments: &[&str], address: SocketAddr) -> Self {
        Self::start_as(node, name, name, arguments, address)
    }

    /// Starts a program that depends on its name, under the name `called`.
    pub fn start_as(
        node: &Node,
        name: &str,
        called: &str,
        arguments: &[&str],
        address: SocketAddr,
    ) -> Self {
        let log = node.scratch().join(format!("{called}-{address}.log"));
        let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut command = command(node, name);
        command
            .arg0(called)
            .args(arguments)
            .stdout(duplicate(&file))
            .stderr(file);
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let mut program = Self { process, log };
        program.wait_until_it_listens(node, name, address);
        program
    }

    fn wait_until_it_listens(&mut self, node: &Node, name: &str, address: SocketAddr) {
        wait::until(&format!("{name} at {address}"), PATIENCE, || {
            let ended = self.process.try_wait().expect("it is this process's child");
            assert!(
                ended.is_none(),
                "{name}: {ended:?}\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            node.place()
                .netns
                .run(|| TcpStream::connect(address))
                .is_ok()
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It is this process's child, and not yet reaped: no other process can be hit.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a command line on the node, which must succeed, and returns its output. Words are separated
/// by single spaces.
pub fn run(node: &Node, line: &str) -> String {
    let mut words = line.split(' ');
    let mut command = command(node, words.next().expect("a line has a first word"));
    CommandResult::of(command.args(words), PATIENCE)
        .expect_success()
        .stdout
}

fn command(node: &Node, name: &str) -> Command {
    node.place().command(find(name))
}

/// Finds a program, also in `/usr/sbin`, which may be missing in PATH.
fn find(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = directories
        .map(|directory| directory.join(name))
        .find(|file| Path::is_file(file));
    found.unwrap_or_else(|| panic!("there is no {name} on this machine: run `cargo xtask setup`"))
}

fn duplicate(file: &File) -> File {
    let copy: io::Result<File> = file.try_clone();
    copy.expect("descriptors are left for a copy")
}
