//! Edits of the services directory.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::Node;
use crate::{Server, service};

impl Node {
    /// Replaces a file atomically, by a rename.
    pub fn write(&self, file: &str, content: impl Into<String>) {
        // The agent reads only files that end in .yaml, .yml and .json.
        let new = self.file(&format!(".{file}.new"));
        fs::write(&new, content.into())
            .unwrap_or_else(|error| panic!("{}: {error}", new.display()));
        fs::rename(&new, self.file(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Overwrites a file in place.
    pub fn overwrite(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(file), content).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Serves `shop/cart` at 10.96.0.10:80 with one new server, `a`, and returns it.
    pub fn serve_cart(&self) -> Server {
        let a = self.server("a");
        let cart = service("shop/cart").address("10.96.0.10").tcp(80);
        self.write("cart.yaml", cart.endpoint(&a));
        self.wait_until_served("shop/cart", &[&a]);
        a
    }

    /// Removes a file.
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.file(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Renames a file.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.file(from), self.file(to))
            .unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
    }

    /// Shows `content` as a mounted `ConfigMap` does: `file` → `..data/file`, `..data` → a
    /// directory per version, and the one symlink `..data` is exchanged by rename.
    pub fn write_config_map(&self, version: &str, file: &str, content: impl Into<String>) {
        let directory = format!("..{version}");
        fs::create_dir(self.file(&directory))
            .unwrap_or_else(|error| panic!("{directory}: {error}"));
        self.overwrite(&format!("{directory}/{file}"), content.into());
        symlink(&directory, self.file("..data_tmp"))
            .unwrap_or_else(|error| panic!("..data_tmp: {error}"));
        self.rename("..data_tmp", "..data");
        let link = self.file(file);
        if !link.is_symlink() {
            symlink(format!("..data/{file}"), link)
                .unwrap_or_else(|error| panic!("{file}: {error}"));
        }
    }

    /// Path of a file in the services directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directories.services.join(name)
    }
}
