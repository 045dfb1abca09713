//! The static archive: files to be extracted at `/` of any distribution.

use std::{env::consts::ARCH, fmt::Write, fs, path::Path};

use sha2::{Digest, Sha256};

use super::{
    contents::Contents,
    release::Release,
    report,
    tree::{Node, gzip},
};

/// Writes the archive. It has no directories, whose owners and modes the host decides, and no
/// settings, which an upgrade would replace.
pub fn pack(contents: &Contents, release: &Release, output: &Path) -> anyhow::Result<()> {
    let mut tree = Contents::join([&contents.programs, &contents.documents, &contents.host]);
    tree.0.retain(|_, node| matches!(node, Node::File(..)));
    let bytes = gzip(&tree.tar(release.epoch)?)?;
    let name = format!("mesh-agent-{}-{ARCH}-linux.tar.gz", release.version);
    let file = output.join(name);
    fs::write(&file, &bytes)?;
    report(&file, &hex(&Sha256::digest(&bytes)))
}

/// A digest as it is written: `sha256:…`.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
