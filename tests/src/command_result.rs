//! Runs commands with a deadline.

use std::{
    fs::File,
    io::{Read, Seek},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::wait;

/// Result of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandResult {
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl CommandResult {
    /// Runs `command`; kills it and panics at the deadline.
    pub fn of(command: &mut Command, deadline: Duration) -> Self {
        // Output goes to files, because a full pipe would block the command.
        let [mut stdout, mut stderr] =
            [(); 2].map(|()| tempfile::tempfile().expect("room for a temporary file"));
        command
            .stdin(Stdio::null())
            .stdout(duplicate(&stdout))
            .stderr(duplicate(&stderr));
        let start = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let ended = wait::try_until_some(deadline, || {
            child.try_wait().expect("it is this process's child")
        });
        let took = start.elapsed();
        if ended.is_none() {
            // It is this process's child, and not yet reaped: no other process can be hit.
            let _ = child.kill();
            let _ = child.wait();
        }
        let [stdout, stderr] = [&mut stdout, &mut stderr].map(read_all);
        let status = ended.unwrap_or_else(|| {
            panic!("{command:?} still runs after {deadline:?}\n{stdout}{stderr}")
        });
        Self {
            code: status.code(),
            stdout,
            stderr,
            took,
        }
    }

    /// Panics unless it succeeded.
    pub fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}

fn duplicate(file: &File) -> File {
    file.try_clone().expect("descriptors are left for a copy")
}

fn read_all(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
