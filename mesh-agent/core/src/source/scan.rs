//! The result of a scan of directories: what is at each path.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::file::Identity;

/// A file as it was read.
pub struct Found {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Identity of the file that the path led to.
    pub identity: Identity,
}

/// Contents of the directories at one moment.
#[derive(Default)]
pub struct Scan {
    /// Files by their path as configured, or the error of reading one.
    pub files: BTreeMap<PathBuf, io::Result<Found>>,
    /// Directories that could not be read, whose files are unknown.
    pub unreadable: BTreeMap<PathBuf, io::Error>,
}

/// Whether a file with this name holds services. Kubernetes gives the real files of a volume names
/// with a dot.
pub fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    !name.starts_with(b".") && matches!(suffix, Some("yaml" | "yml" | "json"))
}
