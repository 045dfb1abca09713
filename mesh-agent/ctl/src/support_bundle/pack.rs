//! Writes the archive.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header};

use super::Part;

/// Mode of the archive and of the files in it: only the owner reads them.
const MODE: u32 = 0o600;

/// Writes a new archive with all parts in one directory, `name`.
pub(super) fn write(path: &Path, name: &str, parts: &[Part]) -> io::Result<()> {
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::default()));
    for (part, text) in parts {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(MODE);
        archive.append_data(&mut header, format!("{name}/{part}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.sync_all()
}
