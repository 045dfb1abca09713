//! Kernels of distributions: packages of Debian and Ubuntu, downloaded and unpacked, never installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::archives::Lists;
use crate::run;

/// A kernel to boot.
pub struct Kernel {
    /// As `uname -r` shows it.
    pub release: String,
    /// Compressed image.
    pub image: PathBuf,
}

/// Returns the newest kernel of each series: from the archives of this machine where they have one,
/// else from [others](Lists::others), whose lists are fetched once.
pub fn kernels<'a>(directory: &Path, series: &[&'a str]) -> anyhow::Result<Vec<(&'a str, Kernel)>> {
    let here = known(&Lists::Machine)?;
    let mut elsewhere = None;
    let mut kernels = Vec::new();
    for series in series {
        let kernel = match newest(&here, series) {
            Some(package) => kernel(directory, &Lists::Machine, &package)?,
            None => {
                if elsewhere.is_none() {
                    let lists = Lists::others(directory)?;
                    elsewhere = Some((known(&lists)?, lists));
                }
                let (known, lists) = elsewhere.as_ref().expect("it was fetched");
                let package = newest(known, series).with_context(|| {
                    format!("neither Debian's nor Ubuntu's package lists have a Linux {series}")
                })?;
                kernel(directory, lists, &package)?
            }
        };
        kernels.push((*series, kernel));
    }
    Ok(kernels)
}

fn kernel(directory: &Path, lists: &Lists, package: &str) -> anyhow::Result<Kernel> {
    let release = release(package)
        .context("a kernel's package has its release in its name")?
        .to_owned();
    let own = format!("linux-binary-{release}");
    // From 6.19 on, Debian has the image in a separate package.
    let image = match image_in(&lists.unpacked(directory, package)?, &release) {
        Some(image) => image,
        None => image_in(&lists.unpacked(directory, &own)?, &release)
            .with_context(|| format!("neither {package} nor {own} has a kernel image"))?,
    };
    Ok(Kernel { release, image })
}

/// Returns the kernel image among the files of a package: beside the modules from 7.2 on.
fn image_in(files: &Path, release: &str) -> Option<PathBuf> {
    [
        format!("boot/vmlinuz-{release}"),
        format!("usr/lib/modules/{release}/vmlinuz"),
    ]
    .map(|image| files.join(image))
    .into_iter()
    .find(|image| image.exists())
}

/// Returns the shell of the machine.
pub fn busybox(directory: &Path) -> anyhow::Result<PathBuf> {
    let files = Lists::Machine.unpacked(directory, "busybox-static")?;
    Ok(files.join("bin/busybox"))
}

/// Name of a package before and after the release: Debian's kernels for clouds, which are small, and
/// Ubuntu's for all machines.
const PACKAGES: [(&str, &str); 2] = [
    ("linux-image-", "-cloud-amd64"),
    ("linux-image-unsigned-", "-generic"),
];

/// Returns the release of a kernel's package, as `uname -r` shows it.
fn release(package: &str) -> Option<&str> {
    PACKAGES.iter().find_map(|(prefix, suffix)| {
        let release = package.strip_prefix(prefix)?;
        (release.ends_with(suffix) && release.starts_with(|first: char| first.is_ascii_digit()))
            .then_some(release)
    })
}

fn known(lists: &Lists) -> anyhow::Result<String> {
    if run::which("apt-cache").is_none() {
        bail!(
            "the kernels are packages of Debian and Ubuntu, and there is no apt on this machine: run this on Debian 12"
        );
    }
    run::read(lists.apt("apt-cache").args(["pkgnames", "linux-image-"]))
}

/// Returns the newest package: of names that differ in numbers only, the one with the highest.
fn newest(packages: &str, series: &str) -> Option<String> {
    let is_wanted = |package: &&str| {
        release(package)
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

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-49-cloud-amd64\nlinux-image-6.1.0-50-amd64\n\
                         linux-image-6.1.0-51-cloud-amd64-dbg\nlinux-image-6.12-cloud-amd64\n\
                         linux-image-6.12.9+deb12-cloud-amd64\nlinux-image-6.12.100+deb12-cloud-amd64\n\
                         linux-image-unsigned-5.15.0-99-generic\nlinux-image-unsigned-5.15.0-204-generic\n\
                         linux-image-5.15.0-1113-kvm\n";

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
        assert_eq!(
            newest(KNOWN, "5.15").as_deref(),
            Some("linux-image-unsigned-5.15.0-204-generic")
        );
        assert_eq!(newest(KNOWN, "5.10"), None);
    }

    #[test]
    fn the_release_is_what_uname_shows() {
        let releases = KNOWN.lines().filter_map(release).collect::<Vec<_>>();
        assert_eq!(releases[0], "6.1.0-9-cloud-amd64");
        assert_eq!(releases.last(), Some(&"5.15.0-204-generic"));
        assert_eq!(release("linux-image-cloud-amd64"), None);
    }
}
