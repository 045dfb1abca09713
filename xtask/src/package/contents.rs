//! The contents of packages, with their paths on the host.

use std::{fs, path::Path, process::Command};

use anyhow::Context;
use serde_json::Value;

use super::{
    release::Release,
    sbom,
    tree::{Tree, gzip},
};
use crate::{cargo::BINARIES, run, workspace};

/// Licences and lists, in every format.
pub const DOCUMENTS: &str = "usr/share/doc/mesh-agent";

/// Settings file, which an upgrade must not replace.
pub const SETTINGS: &str = "etc/mesh-agent/agent.yaml";

/// The contents of packages.
pub struct Contents {
    /// The two programs, with the paths that unit and image give them.
    pub programs: Tree,
    /// Licences and the bill of materials.
    pub documents: Tree,
    /// Unit, man pages, completions and examples, which the image does not contain.
    pub host: Tree,
    /// Below `/etc`.
    pub settings: Tree,
}

impl Contents {
    /// Returns parts of it as one tree.
    pub fn join<const N: usize>(parts: [&Tree; N]) -> Tree {
        Tree(parts.into_iter().flat_map(|tree| tree.0.clone()).collect())
    }
}

/// Reads the sources of this workspace, and asks the programs in `binaries` for their man pages.
pub fn read(binaries: &Path, release: &Release) -> anyhow::Result<Contents> {
    let mut programs = Tree::default();
    for binary in BINARIES {
        let file = binaries.join(binary);
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        programs.program(format!("usr/bin/{binary}"), bytes);
    }
    let mut documents = Tree::default();
    documents.text(format!("{DOCUMENTS}/copyright"), copyright()?);
    documents.text(format!("{DOCUMENTS}/sbom.cdx.json"), sbom::list(release)?);
    let mut settings = Tree::default();
    settings.text(SETTINGS, source("deploy/agent.yaml")?);
    settings.directory("etc/mesh-agent/services.d");
    Ok(Contents {
        programs,
        documents,
        host: host(binaries)?,
        settings,
    })
}

fn host(binaries: &Path) -> anyhow::Result<Tree> {
    let mut host = Tree::default();
    host.text(
        "usr/lib/systemd/system/mesh-agent.service",
        source("deploy/mesh-agent.service")?,
    );
    for (directory, example) in [
        ("deploy", "agent.yaml"),
        ("deploy/example", "catalog.yaml"),
        ("deploy/example", "checkout.yaml"),
        ("deploy/example", "stock.yaml"),
    ] {
        host.text(
            format!("{DOCUMENTS}/examples/{example}"),
            source(&format!("{directory}/{example}"))?,
        );
    }
    host.text(
        format!("{DOCUMENTS}/changelog.gz"),
        gzip(&source("CHANGELOG.md")?)?,
    );
    for binary in BINARIES {
        let program = binaries.join(binary);
        add_completions(&mut host, &program, binary)?;
        add_man_pages(&mut host, &program)?;
    }
    Ok(host)
}

/// Adds completion scripts in the directories where the shells of Debian look for them.
fn add_completions(host: &mut Tree, program: &Path, name: &str) -> anyhow::Result<()> {
    for (shell, path) in [
        ("bash", format!("bash-completion/completions/{name}")),
        ("fish", format!("fish/vendor_completions.d/{name}.fish")),
        ("zsh", format!("zsh/vendor-completions/_{name}")),
    ] {
        let script = run::read(Command::new(program).args(["completion", shell]))?;
        host.text(format!("usr/share/{path}"), script);
    }
    Ok(())
}

fn add_man_pages(host: &mut Tree, program: &Path) -> anyhow::Result<()> {
    let pages: Value = serde_json::from_str(&run::read(Command::new(program).arg("man-pages"))?)?;
    for (name, text) in pages.as_object().context("man pages have names")? {
        let (_, section) = name.rsplit_once('.').context("a man page has a section")?;
        let text = text.as_str().context("a man page is text")?;
        let path = format!("usr/share/man/man{section}/{name}.gz");
        host.text(path, gzip(text.as_bytes())?);
    }
    Ok(())
}

fn copyright() -> anyhow::Result<Vec<u8>> {
    let (mit, apache) = (source("LICENSE-MIT")?, source("LICENSE-APACHE")?);
    let head = "mesh-agent is licensed under Apache-2.0 or MIT, at your choice. The kernel programs may also be used under \
                GPL-2.0.\nThe programs are linked statically with the GNU C library (LGPL-2.1-or-later); sbom.cdx.json \
                lists what else they\nare made of, with licences.\n\n";
    Ok([head.as_bytes(), &mit, b"\n", &apache].concat())
}

fn source(path: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(workspace::root().join(path)).with_context(|| path.to_owned())
}
