//! Package lists of archives that this machine does not use itself, in a separate directory:
//! Debian's releases before and after, and Ubuntu's. Nothing is installed from them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::run;

/// Suites of Debian with kernels: 5.10, then 6.12 and all later ones.
const DEBIAN: [(&str, &str); 4] = [
    ("http://deb.debian.org/debian", "bookworm-backports"),
    ("http://deb.debian.org/debian-security", "bullseye-security"),
    ("http://deb.debian.org/debian", "trixie"),
    ("http://deb.debian.org/debian", "trixie-backports"),
];
/// Suites of Ubuntu with kernels: 5.15 and 6.5, then 6.8.
const UBUNTU: [(&str, &str); 2] = [
    ("http://archive.ubuntu.com/ubuntu", "jammy-updates"),
    ("http://archive.ubuntu.com/ubuntu", "noble-updates"),
];
const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// A package of Debian with the keys of Ubuntu's archive, and the keys in it.
const UBUNTU_KEYS: (&str, &str) = (
    "ubuntu-keyring",
    "usr/share/keyrings/ubuntu-archive-keyring.gpg",
);

/// Package lists: those of this machine, or those of the other archives.
pub enum Lists {
    /// As `apt-get update` left them.
    Machine,
    /// Below this directory.
    Others(PathBuf),
}

impl Lists {
    /// Fetches the lists of the other archives.
    pub fn others(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.join("archives");
        for name in ["lists/partial", "cache/archives/partial"] {
            let path = directory.join(name);
            fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        let lists = Self::Others(directory.clone());
        let debian = sources(&DEBIAN, Path::new(DEBIAN_KEYS));
        fs::write(directory.join("sources.list"), &debian)?;
        run::check(lists.apt("apt-get").arg("update"))?;
        let (package, keys) = UBUNTU_KEYS;
        let keys = lists.unpacked(&directory, package)?.join(keys);
        fs::write(
            directory.join("sources.list"),
            debian + &sources(&UBUNTU, &keys),
        )?;
        run::check(lists.apt("apt-get").arg("update"))?;
        Ok(lists)
    }

    /// Returns an apt command that reads these lists.
    pub fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Self::Others(directory) = self {
            let directory = directory.display();
            for option in [
                format!("Dir::Etc::sourcelist={directory}/sources.list"),
                "Dir::Etc::sourceparts=/dev/null".to_owned(),
                format!("Dir::State::lists={directory}/lists"),
                format!("Dir::Cache={directory}/cache"),
            ] {
                command.args(["-o", &option]);
            }
        }
        command
    }

    /// Returns the files of a package, below `directory`; kept for the next run.
    pub fn unpacked(&self, directory: &Path, package: &str) -> anyhow::Result<PathBuf> {
        let files = directory.join(package);
        if files.exists() {
            return Ok(files);
        }
        let download = directory.join(format!("{package}.download"));
        fs::create_dir_all(&download).with_context(|| download.display().to_string())?;
        run::check(
            self.apt("apt-get")
                .args(["download", package])
                .current_dir(&download),
        )?;
        let archive = fs::read_dir(&download)?
            .next()
            .with_context(|| format!("apt-get downloaded no {package}"))??
            .path();
        // Renamed at the end, so that an interrupted run leaves no incomplete directory under this name.
        let partial = download.join("files");
        run::check(
            Command::new("dpkg-deb")
                .arg("--extract")
                .args([&archive, &partial]),
        )?;
        fs::rename(&partial, &files)?;
        fs::remove_dir_all(&download)?;
        Ok(files)
    }
}

fn sources(suites: &[(&str, &str)], keys: &Path) -> String {
    suites
        .iter()
        .map(|(archive, suite)| {
            format!(
                "deb [signed-by={}] {archive} {suite} main\n",
                keys.display()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_is_a_line_with_the_keys_that_sign_it() {
        assert_eq!(
            sources(&DEBIAN[1..2], Path::new(DEBIAN_KEYS)),
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian-security \
             bullseye-security main\n"
        );
    }
}
