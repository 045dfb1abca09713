//! Runs processes without privileges.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::{command_result::CommandResult, node::PATIENCE};

/// User and group id of `nobody` and `nogroup`.
pub const NOBODY: u32 = 65_534;

/// Makes the command run as user `nobody`.
pub fn as_nobody(command: &mut Command) -> &mut Command {
    // SAFETY: makes only system calls, after those that need privilege.
    unsafe { command.pre_exec(become_nobody) }
}

fn become_nobody() -> io::Result<()> {
    setgroups(&[])?;
    setgid(Gid::from_raw(NOBODY))?;
    setuid(Uid::from_raw(NOBODY))?;
    Ok(())
}

/// Makes the command run as root without capabilities.
pub fn without_capabilities(command: &mut Command) -> &mut Command {
    // SAFETY: only system calls.
    unsafe { command.pre_exec(empty_bounding_set) }
}

/// Empties the bounding set, which takes effect with exec.
fn empty_bounding_set() -> io::Result<()> {
    // CAP_LAST_CAP is 40 since Linux 5.9; the kernel refuses numbers that it does not know.
    for capability in 0..=63 {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) };
    }
    Ok(())
}

/// Creates a directory that all users may use.
pub fn open_directory(directory: &Path) {
    fs::create_dir_all(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("root may");
}

/// Copies a program to a place where all users may run it.
pub fn open_copy(program: &Path, directory: &Path) -> PathBuf {
    let copy = directory.join(program.file_name().expect("a program has a name"));
    // A child process copies. If this process had the copy open for writing, a child of another test
    // could inherit the descriptor, and the kernel would refuse to run the file (ETXTBSY).
    CommandResult::of(Command::new("cp").arg(program).arg(&copy), PATIENCE).expect_success();
    copy
}
