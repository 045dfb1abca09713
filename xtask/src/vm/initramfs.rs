//! The machine's only file system: a shell, the programs under test and the libraries that they
//! need.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::run;

/// First process of the machine.
const INIT: &str = include_str!("init.sh");

/// Mount points, and the directory of the programs.
const DIRECTORIES: [&str; 6] = ["bin", "dev", "mesh", "proc", "sys", "tmp"];

/// Packs the file system. `arguments` are those of the test binary.
pub fn pack(
    directory: &Path,
    busybox: &Path,
    programs: &[PathBuf],
    arguments: &[String],
) -> anyhow::Result<PathBuf> {
    let root = directory.join("root");
    match fs::remove_dir_all(&root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name))?;
    }
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), PermissionsExt::from_mode(0o755))?;
    fs::write(root.join("mesh/arguments"), arguments.join("\n"))?;
    copy(busybox, &root.join("bin/busybox"))?;
    for program in programs {
        add(program, &root)?;
    }
    archive(&root, busybox, &directory.join("initramfs"))
}

/// Adds a program under its name without the hash that cargo gives to tests, and its libraries
/// where it looks for them.
fn add(program: &Path, root: &Path) -> anyhow::Result<()> {
    let file_name = program
        .file_name()
        .context("a program has a name")?
        .to_string_lossy();
    let name = if file_name.starts_with("kernel-") {
        "kernel"
    } else {
        &file_name
    };
    copy(program, &root.join("mesh").join(name))?;
    for library in libraries(&run::read(Command::new("ldd").arg(program))?) {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().context("a library is in a directory")?)?;
        copy(Path::new(library), &to)?;
    }
    Ok(())
}

/// Returns the paths in the output of `ldd`.
fn libraries(ldd: &str) -> Vec<&str> {
    ldd.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .collect()
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn archive(root: &Path, busybox: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(busybox);
    command
        .args(["sh", "-c", "find . | \"$0\" cpio -o -H newc"])
        .arg(busybox)
        .current_dir(root);
    let status = command
        .stdout(File::create(to)?)
        .stderr(io::stderr())
        .status()?;
    anyhow::ensure!(status.success(), "{}: {status}", run::line(&command));
    Ok(to.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_names() {
        let ldd = "\tlinux-vdso.so.1 (0x00007f2fc3148000)\n\
                   \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2fc1b3e000)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f2fc314a000)\n";
        assert_eq!(
            libraries(ldd),
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert_eq!(libraries("\tstatically linked\n"), Vec::<&str>::new());
    }
}
