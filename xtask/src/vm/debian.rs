//! Debian's packages, downloaded and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::run;

/// A kernel to boot.
pub struct Kernel {
    /// As `uname -r` shows it.
    pub release: String,
    /// Compressed image.
    pub image: PathBuf,
}

/// The newest kernel of a series that the package lists know, for clouds: small, and with few
/// modules.
pub fn kernel(directory: &Path, series: &str) -> anyhow::Result<Kernel> {
    let package = match newest(&known()?, series) {
        Some(package) => package,
        None => {
            run::check(Command::new("apt-get").arg("update"))?;
            newest(&known()?, series).with_context(|| {
                format!("Debian's package lists know no Linux {series}: add the archive that has it, and run `apt-get update`")
            })?
        }
    };
    let release = package.trim_start_matches(PREFIX).to_owned();
    let image = unpacked(directory, &package)?.join(format!("boot/vmlinuz-{release}"));
    Ok(Kernel { release, image })
}

/// The one program of the machine that is not under test.
pub fn busybox(directory: &Path) -> anyhow::Result<PathBuf> {
    Ok(unpacked(directory, "busybox-static")?.join("bin/busybox"))
}

const PREFIX: &str = "linux-image-";
const SUFFIX: &str = "-cloud-amd64";

fn known() -> anyhow::Result<String> {
    if run::which("apt-cache").is_none() {
        bail!(
            "the kernels are Debian's packages, and there is no apt on this machine: run this on Debian 12"
        );
    }
    run::read(Command::new("apt-cache").args(["pkgnames", PREFIX]))
}

/// Of packages that differ in their numbers only, the one with the highest.
fn newest(packages: &str, series: &str) -> Option<String> {
    let is_wanted = |package: &&str| {
        let release = package
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_suffix(SUFFIX));
        release
            .and_then(|release| release.strip_prefix(series))
            .is_some_and(|rest| rest.starts_with('.'))
    };
    packages
        .lines()
        .filter(is_wanted)
        .max_by_key(|package| numbers(package))
        .map(str::to_owned)
}

fn numbers(package: &str) -> Vec<u32> {
    package
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// The files of a package, below `directory`; kept for the next run.
fn unpacked(directory: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let files = directory.join(package);
    if files.exists() {
        return Ok(files);
    }
    let download = directory.join(format!("{package}.download"));
    fs::create_dir_all(&download).with_context(|| download.display().to_string())?;
    run::check(
        Command::new("apt-get")
            .args(["download", package])
            .current_dir(&download),
    )?;
    let archive = fs::read_dir(&download)?
        .next()
        .with_context(|| format!("apt-get downloaded no {package}"))??
        .path();
    // Renamed at the end, so that what an interrupted run leaves is not taken for the whole.
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

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-49-cloud-amd64\nlinux-image-6.1.0-50-amd64\n\
                         linux-image-6.1.0-51-cloud-amd64-dbg\nlinux-image-6.12-cloud-amd64\n\
                         linux-image-6.12.9+deb12-cloud-amd64\nlinux-image-6.12.100+deb12-cloud-amd64\n";

    #[test]
    fn the_newest_kernel_of_a_series_is_taken() {
        assert_eq!(
            newest(KNOWN, "6.1").as_deref(),
            Some("linux-image-6.1.0-49-cloud-amd64")
        );
        assert_eq!(
            newest(KNOWN, "6.12").as_deref(),
            Some("linux-image-6.12.100+deb12-cloud-amd64")
        );
        assert_eq!(
            newest(KNOWN, "6"),
            Some("linux-image-6.12.100+deb12-cloud-amd64".into())
        );
        assert_eq!(newest(KNOWN, "5.10"), None);
    }
}
