//! Stored form of the version of one file that is in force: a line of JSON, then the text.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::source::{
    Serve, conflicts,
    digest::Digest,
    file::{Identity, Text},
    file_version::Version,
};

/// Version of the form. This agent does not read entries of later versions.
const FORM: u32 = 1;

/// The entry of one file.
pub struct Entry {
    head: Head,
    text: Arc<Vec<u8>>,
}

/// Header of an entry.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    form: u32,
    path: PathBuf,
    inode: u64,
    /// SHA-256 of the text.
    digest: String,
    /// Objects that come from older texts.
    kept: BTreeSet<String>,
    /// Services of the text that are not in force because they lost a conflict.
    left_out: Vec<(String, u32)>,
}

impl Entry {
    /// Creates the entry of a file; nothing if its path is not text or its text is unknown.
    pub fn of(path: &Path, version: &Version) -> Option<Self> {
        path.to_str()?;
        let Version {
            file,
            contents: _,
            kept,
            blamed,
        } = version;
        let Text::Kept(text) = &file.text else {
            return None;
        };
        let services: Vec<_> = conflicts::services(&file.contents).collect();
        let left_out = blamed
            .iter()
            .map(|at| (services[*at].name.to_string(), services[*at].origin.line()));
        let head = Head {
            form: FORM,
            path: path.to_owned(),
            inode: file.identity.inode,
            digest: Digest::of(text).to_string(),
            kept: kept.values().map(ToString::to_string).collect(),
            left_out: left_out.collect(),
        };
        Some(Self {
            head,
            text: Arc::clone(text),
        })
    }

    /// Returns the bytes to write.
    pub fn text(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.head)
            .expect("a struct with string keys and a path that is text");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.text);
        bytes
    }

    /// Parses the bytes of an entry; an error if they are damaged.
    pub fn parse(mut bytes: Vec<u8>) -> io::Result<Self> {
        let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
        let end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| invalid("it has no head"))?;
        let text = bytes.split_off(end + 1);
        let head: Head = serde_json::from_slice(&bytes)?;
        if head.form != FORM {
            return Err(invalid("it was written by a later agent"));
        }
        if head.digest != Digest::of(&text).to_string() {
            return Err(invalid("it is damaged"));
        }
        Ok(Self {
            head,
            text: Arc::new(text),
        })
    }

    /// Returns the version of the file that was in force.
    pub fn version(self, serve: Serve) -> io::Result<(PathBuf, Version)> {
        let Self {
            head:
                Head {
                    path,
                    inode,
                    kept,
                    left_out,
                    ..
                },
            text,
        } = self;
        let identity = Identity { device: 0, inode };
        let version = Version::parse(
            &Arc::new(path.clone()),
            identity,
            Arc::unwrap_or_clone(text),
            left_out,
            kept,
            serve,
        );
        Ok((path, version))
    }
}
