//! The package for Debian and Ubuntu. `dpkg-deb` checks and writes it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::{
    architecture,
    archive::hex,
    contents::{Contents, SETTINGS},
    release::Release,
    report,
    tree::{Node, Tree},
};
use crate::{run, workspace};

/// Scripts that run on the host when the package is installed, upgraded and removed.
const SCRIPTS: [&str; 3] = ["postinst", "postrm", "prerm"];

/// Writes the package.
pub fn pack(contents: &Contents, release: &Release, output: &Path) -> anyhow::Result<()> {
    let Contents {
        programs,
        documents,
        host,
        settings,
    } = contents;
    let architecture = architecture();
    let version = format!("{}-{}", release.version, release.revision);
    let package = output.join(format!("mesh-agent_{version}_{architecture}.deb"));
    let root = output.join(format!("mesh-agent_{version}.tree"));
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let tree = Contents::join([programs, documents, host, settings]).with_parents();
    write(&tree, &root)?;
    let control = control_files(&tree, &root, &version, architecture)?;
    write(&control, &root.join("DEBIAN"))?;
    let mut pack = Command::new("dpkg-deb");
    // Several threads divide the data differently.
    pack.args(["--root-owner-group", "--threads-max=1", "--build"])
        .args([&root, &package])
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    run::read(&mut pack)?;
    fs::remove_dir_all(&root)?;
    report(&package, &hex(&Sha256::digest(fs::read(&package)?)))
}

fn control_files(
    tree: &Tree,
    root: &Path,
    version: &str,
    architecture: &str,
) -> anyhow::Result<Tree> {
    let size: usize = tree.0.values().map(kilobytes).sum();
    let control = format!(
        "Package: mesh-agent\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: mesh-agent authors <authors@mesh-agent.invalid>\n\
         Installed-Size: {size}\n\
         Section: net\n\
         Priority: optional\n\
         Description: service mesh in the socket layer, without sidecars\n \
         An eBPF program answers each connect() to a service address with the address\n \
         of one of its endpoints. The agent writes the rows that the program reads,\n \
         from Kubernetes objects or service files. meshctl shows and controls it.\n"
    );
    let files = tree.0.iter().filter_map(|(path, node)| match node {
        Node::File(..) if path != SETTINGS => Some(path),
        _ => None,
    });
    let checksums = run::read(Command::new("md5sum").args(files).current_dir(root))?;
    let mut control_files = Tree::default();
    control_files.text("control", control);
    control_files.text("conffiles", format!("/{SETTINGS}\n"));
    control_files.text("md5sums", checksums);
    for script in SCRIPTS {
        let file = workspace::root().join("deploy/debian").join(script);
        let text = fs::read(&file).with_context(|| file.display().to_string())?;
        control_files.program(script, text);
    }
    Ok(control_files)
}

fn kilobytes(node: &Node) -> usize {
    match node {
        Node::Directory => 1,
        Node::File(_, bytes) => bytes.len().div_ceil(1024),
    }
}

/// Writes files below a directory.
fn write(tree: &Tree, root: &Path) -> anyhow::Result<()> {
    let directory = |path: &Path| {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    directory(root)?;
    for (path, node) in &tree.0 {
        let path = root.join(path);
        match node {
            Node::Directory => directory(&path),
            Node::File(mode, bytes) => fs::write(&path, bytes)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(*mode))),
        }
        .with_context(|| path.display().to_string())?;
    }
    Ok(())
}
