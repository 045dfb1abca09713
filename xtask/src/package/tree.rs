//! Files in memory, and the tar archives made of them: the same files give the same bytes.

use std::{collections::BTreeMap, io::Write};

use anyhow::Context;
use flate2::{Compression, GzBuilder, write::GzEncoder};
use tar::{Builder, EntryType, Header};

/// Paths without the first `/`, and what is there.
#[derive(Clone, Default)]
pub struct Tree(pub BTreeMap<String, Node>);

/// A directory or a file.
#[derive(Clone)]
pub enum Node {
    /// An empty directory, or one with its own mode.
    Directory,
    /// A file with its mode and contents.
    File(u32, Vec<u8>),
}

impl Tree {
    /// Adds a file that all may read.
    pub fn text(&mut self, path: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Node::File(0o644, text.into()));
    }

    /// Adds a program.
    pub fn program(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        self.0.insert(path.into(), Node::File(0o755, bytes));
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: impl Into<String>) {
        self.0.insert(path.into(), Node::Directory);
    }

    /// Adds the directories above all files, which some readers of archives do not create.
    #[must_use]
    pub fn with_parents(mut self) -> Self {
        let paths: Vec<_> = self.0.keys().cloned().collect();
        for path in paths {
            for (end, _) in path.match_indices('/') {
                self.0
                    .entry(path[..end].to_owned())
                    .or_insert(Node::Directory);
            }
        }
        self
    }

    /// Returns a tar archive; all files are root's and of the time `epoch`.
    pub fn tar(&self, epoch: u64) -> anyhow::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, node) in &self.0 {
            let (kind, path, mode, bytes) = match node {
                Node::Directory => (EntryType::Directory, format!("{path}/"), 0o755, &[][..]),
                Node::File(mode, bytes) => (EntryType::Regular, path.clone(), *mode, &bytes[..]),
            };
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_mtime(epoch);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(bytes.len().try_into()?);
            builder
                .append_data(&mut header, &path, bytes)
                .with_context(|| path.clone())?;
        }
        Ok(builder.into_inner()?)
    }
}

/// Compresses; the header has neither name nor time.
pub fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder: GzEncoder<_> = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Tree {
        let mut tree = Tree::default();
        tree.program("usr/bin/shop", b"run".to_vec());
        tree.text("usr/share/doc/shop/README", "read");
        tree.directory("etc/shop");
        tree
    }

    #[test]
    fn an_archive_has_names_in_order_one_owner_and_one_time() {
        let bytes = shop().with_parents().tar(7).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            let path = entry.path().unwrap().display().to_string();
            (path, header.mode().unwrap(), owner, header.mtime().unwrap())
        });
        let expected = [
            ("etc/", 0o755),
            ("etc/shop/", 0o755),
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/bin/shop", 0o755),
            ("usr/share/", 0o755),
            ("usr/share/doc/", 0o755),
            ("usr/share/doc/shop/", 0o755),
            ("usr/share/doc/shop/README", 0o644),
        ];
        let expected = expected.map(|(path, mode)| (path.to_owned(), mode, (0, 0), 7));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn compressed_bytes_tell_neither_name_nor_time() {
        let [one, other] = [(); 2].map(|()| gzip(b"shop").unwrap());
        assert_eq!(one, other);
        // Flags and time of the header.
        assert_eq!(one[3..8], [0; 5]);
    }
}
