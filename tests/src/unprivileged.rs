//! Processes without any privilege.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::{node::PATIENCE, outcome::Outcome};

/// User and group id of `nobody` and `nogroup`, wherever they have a name.
pub const NOBODY: u32 = 65_534;

/// Lets the command, once it is in its place, run as nobody.
pub fn as_nobody(command: &mut Command) -> &mut Command {
    // SAFETY: only system calls. They come after those that need privilege.
    unsafe { command.pre_exec(become_nobody) }
}

fn become_nobody() -> io::Result<()> {
    setgroups(&[])?;
    setgid(Gid::from_raw(NOBODY))?;
    setuid(Uid::from_raw(NOBODY))?;
    Ok(())
}

/// Lets the command run as a root that can do nothing but what owning files allows.
pub fn without_capabilities(command: &mut Command) -> &mut Command {
    // SAFETY: only system calls.
    unsafe { command.pre_exec(empty_bounding_set) }
}

/// Takes effect with exec.
fn empty_bounding_set() -> io::Result<()> {
    // CAP_LAST_CAP is 40 since Linux 5.9; the kernel refuses numbers that it does not know.
    for capability in 0..=63 {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) };
    }
    Ok(())
}

/// Makes a directory that everybody may use.
pub fn open_directory(directory: &Path) {
    fs::create_dir_all(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("root may");
}

/// Copies a program to where everybody may run it.
pub fn open_copy(program: &Path, directory: &Path) -> PathBuf {
    let copy = directory.join(program.file_name().expect("a program has a name"));
    // A child copies: while this process has the copy open for writing, some other test's child could inherit the
    // descriptor, and then the kernel refuses to run the file.
    Outcome::of(Command::new("cp").arg(program).arg(&copy), PATIENCE).expect_success();
    copy
}
