//! Makes packages: one tree of files in three formats.
//!
//! ```text
//! cargo ──► binaries ──┬──► contents ──► tree ──┬──► debian   package of Debian and Ubuntu
//! deploy/, man pages ──┤                        ├──► archive  static archive for any distribution
//! cargo tree ──► sbom ─┘                        └──► image    OCI image, both binaries and nothing else
//! ```
//!
//! The same sources and the same compiler give the same bytes: times come from the commit, owners
//! are root, and files are in the order of their names.

mod archive;
mod contents;
mod debian;
mod image;
mod release;
mod sbom;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use self::release::Release;
use crate::{cargo, run, setup, workspace};

/// Formats, inputs and output of `cargo xtask package`.
#[derive(Args)]
#[command(after_help = "\
The packages are the same, byte for byte, for the same commit and compiler; SOURCE_DATE_EPOCH replaces the time of the commit.

Examples:
  cargo xtask package                                      all formats
  apt install ./target/package/mesh-agent_0.1.0-1_amd64.deb
  tar -C / -xzf target/package/mesh-agent-0.1.0-x86_64-linux.tar.gz
  podman load -i target/package/mesh-agent-0.1.0-image.tar
  ctr -n k8s.io images import target/package/mesh-agent-0.1.0-image.tar
  skopeo copy oci-archive:target/package/mesh-agent-0.1.0-image.tar docker://REGISTRY/mesh-agent:0.1.0")]
pub struct Options {
    /// Formats to make [default: all]
    #[arg(value_enum)]
    formats: Vec<Format>,
    /// Directory for the packages [default: target/package]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Pack the static mesh-agent and meshctl of this directory instead of building them
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Debian revision; of two packages of one version, the higher one is an upgrade
    #[arg(long, default_value = "1")]
    revision: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Debian package
    Deb,
    /// OCI image, as an archive that podman, skopeo and ctr import
    Image,
    /// Static archive, to be extracted at /
    Tar,
}

/// Makes the packages, and prints what was made.
pub fn package(options: &Options) -> anyhow::Result<()> {
    let formats = if options.formats.is_empty() {
        Format::value_variants()
    } else {
        &options.formats
    };
    if formats.contains(&Format::Deb) {
        setup::ensure(setup::PACKAGE)?;
    }
    let binaries = match &options.binaries {
        Some(directory) => directory.clone(),
        None => {
            cargo::build()?;
            workspace::built()
        }
    };
    cargo::BINARIES
        .iter()
        .try_for_each(|binary| expect_static(&binaries.join(binary)))?;
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| workspace::target().join("package"));
    fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    let release = Release::of_sources(options.revision)?;
    let contents = contents::read(&binaries, &release)?;
    for format in formats {
        match format {
            Format::Deb => debian::pack(&contents, &release, &output)?,
            Format::Image => image::pack(&contents, &release, &output)?,
            Format::Tar => archive::pack(&contents, &release, &output)?,
        }
    }
    Ok(())
}

/// Fails for a program that needs libraries.
fn expect_static(program: &Path) -> anyhow::Result<()> {
    // Fails for programs without an interpreter at a fixed address, which are static as well.
    match run::read(std::process::Command::new("ldd").arg(program)) {
        Ok(libraries) if !libraries.contains("statically linked") => bail!(
            "{} is not linked statically: build it with `cargo xtask build`",
            program.display()
        ),
        Ok(_) => Ok(()),
        Err(_) if program.is_file() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The architecture that is built for, as Debian and the image specification name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Prints one line about a file that was made.
fn report(file: &Path, digest: &str) -> anyhow::Result<()> {
    let bytes = fs::metadata(file)?.len();
    println!("packed  {}  {}  {digest}", file.display(), megabytes(bytes));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
