//! Parses many files in parallel.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use crate::source::{Serve, file::File, scan::Found};

/// A file to parse.
pub type Unparsed = (PathBuf, Found);

/// Parses files on all CPUs.
pub fn parse(files: Vec<Unparsed>, serve: Serve) -> Vec<(PathBuf, File)> {
    let parse_one = |(path, found): Unparsed| {
        let file = File::parse(&Arc::new(path.clone()), found.identity, found.bytes, serve);
        (path, file)
    };
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(files.len());
    if workers < 2 {
        return files.into_iter().map(parse_one).collect();
    }
    let queue = Mutex::new(files);
    let next = || {
        queue
            .lock()
            .expect("no thread panics while it holds the lock")
            .pop()
    };
    let work = || std::iter::from_fn(next).map(parse_one).collect::<Vec<_>>();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("parsing does not panic"))
            .collect()
    })
}
