//! One file of services, as any bytes: read, reported, and served as far as it is accepted.

use std::{path::PathBuf, time::Instant};

use mesh_core::{
    model::Update,
    source::{
        dir::ScanReader,
        file::Identity,
        scan::{Found, Scan},
    },
};

use crate::{memory, report, serve};

/// The directory of services.
pub const DIRECTORY: &str = "/services";
/// Most memory that reading takes, for any file.
const FIXED: usize = 256 << 10;
/// Most memory for each byte of a file.
const PER_BYTE: usize = 200;

/// Checks the bytes as a file of YAML, or of JSON if they begin like it.
pub fn check(data: &[u8]) {
    let name = match data.first() {
        Some(b'{') => "a.json",
        _ => "a.yaml",
    };
    accepted(name, data);
}

/// Reads the bytes as the only file, checks the reports, and serves what was accepted.
pub fn accepted(name: &str, data: &[u8]) -> Update {
    let path = PathBuf::from(DIRECTORY).join(name);
    let (update, peak) = memory::peak(|| reader().read(scan([(&path, 1, data)]), Instant::now()));
    let most = FIXED + PER_BYTE * data.len();
    assert!(peak <= most, "{peak} bytes to read {}", data.len());
    report::check(&update, &[(path.clone(), report::lines(data))].into());
    let again = reader().read(scan([(&path, 1, data)]), Instant::now());
    assert_eq!(again, update, "read twice");
    serve::check(&update);
    update
}

/// Returns a reader of the directory, with settings that allow some addresses.
pub fn reader() -> ScanReader {
    ScanReader::new([PathBuf::from(DIRECTORY)], false).admitting(serve::admission())
}

/// Returns a scan that found these files, each with its inode.
pub fn scan<'a>(files: impl IntoIterator<Item = (&'a PathBuf, u64, &'a [u8])>) -> Scan {
    let found = |(path, inode, bytes): (&PathBuf, u64, &[u8])| {
        let found = Found {
            bytes: bytes.to_vec(),
            identity: Identity { device: 1, inode },
        };
        (path.clone(), Ok(found))
    };
    Scan {
        files: files.into_iter().map(found).collect(),
        ..Scan::default()
    }
}
