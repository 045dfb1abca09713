//! Parses many files in parallel.

use std::{path::PathBuf, sync::Arc};

use crate::source::{Serve, file::File, parallel::in_parallel, scan::Found};

/// A file to parse.
pub type Unparsed = (PathBuf, Found);

/// Parses files on all CPUs.
pub fn parse(files: Vec<Unparsed>, serve: Serve) -> Vec<(PathBuf, File)> {
    in_parallel(files, |(path, found)| {
        let file = File::parse(&Arc::new(path.clone()), found.identity, found.bytes, serve);
        (path, file)
    })
}
