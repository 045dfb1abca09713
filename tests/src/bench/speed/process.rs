//! Finds programs of the distribution, starts them in a place, and kills them when dropped.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{place::Place, wait};

/// A running program; killed when dropped.
pub struct Process(Child);

impl Process {
    /// Starts a program, and waits until it listens at an address. Its output goes to a file.
    pub fn start(
        place: &Place,
        command: &mut Command,
        log: &Path,
        listens: (Ipv4Addr, u16),
        patience: Duration,
    ) -> Self {
        let output = File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let copy = output.try_clone().expect("descriptors are left for a copy");
        let process = command
            .stdin(Stdio::null())
            .stdout(copy)
            .stderr(output)
            .spawn();
        let mut process =
            Self(process.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")));
        let address = SocketAddr::from(listens);
        wait::until(&format!("{command:?}"), patience, || {
            let ended = process.0.try_wait().expect("it is this process's child");
            assert!(
                ended.is_none(),
                "{command:?}: {ended:?}\n{}",
                fs::read_to_string(log).unwrap_or_default()
            );
            place.netns.run(|| TcpStream::connect(address)).is_ok()
        });
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is this process's child, and not yet reaped: no other process can be hit.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Finds a program, also in `/usr/sbin`, which may be missing in PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    directories
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
