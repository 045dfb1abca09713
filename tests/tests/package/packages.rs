//! Makes packages with `cargo xtask package`, from the binaries under test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mesh_tests::{binary, command_result::CommandResult, name};
use tempfile::TempDir;

/// Longest time for packing on a busy machine.
const PACKING: Duration = Duration::from_secs(120);

/// Packages in their own directory, removed when dropped.
pub struct Packages {
    directory: TempDir,
    /// What the command printed.
    pub said: String,
}

impl Packages {
    /// Makes packages of one format (`deb`, `image` or `tar`).
    pub fn of(format: &str) -> Self {
        Self::make(&[format])
    }

    /// Makes the Debian package with a revision.
    pub fn debian(revision: &str) -> Self {
        Self::make(&["deb", "--revision", revision])
    }

    /// Runs `cargo xtask package` with these arguments.
    pub fn make(words: &[&str]) -> Self {
        let directory = TempDir::with_prefix(format!("{}-", name::unique()))
            .expect("room for a temporary directory");
        let binaries = binary::find("mesh-agent");
        let binaries = binaries.parent().expect("a file is in a directory");
        let mut command = Command::new("cargo");
        command
            .args(["xtask", "package"])
            .args(words)
            .arg("--binaries")
            .arg(binaries)
            .arg("--output")
            .arg(directory.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let said = CommandResult::of(&mut command, PACKING)
            .expect_success()
            .stdout;
        Self { directory, said }
    }

    /// Returns the only file with this end of its name.
    pub fn file(&self, end: &str) -> PathBuf {
        let files = self.files();
        let [file] = files
            .iter()
            .filter(|file| file.to_string_lossy().ends_with(end))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("not one *{end} among {files:?}"));
        file.clone()
    }

    /// All files, by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(self.directory.path()).expect("the directory exists until it is dropped");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("it can be read").path())
            .collect();
        files.sort();
        files
    }
}

/// A file of this repository.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
