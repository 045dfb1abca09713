//! Which directories a change can come from: those with the files, and those with links on the way to them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use crate::source::{scan, timed_fs};

/// As many links as the kernel follows in one path. <https://man7.org/linux/man-pages/man7/path_resolution.7.html>
const MAX_LINKS: usize = 40;

/// The directories to watch, without links in their paths: none is then watched under two names. Where one gives no answer,
/// changes in it are not reported.
pub fn watched(directories: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut watched = BTreeSet::new();
    for directory in directories {
        watched
            .extend(timed_fs::one(directory, |directory| Ok(ways(directory, |real| Some(real)))).unwrap_or_default());
        let files =
            timed_fs::listed(directory, scan::list, |path| Ok(path.is_symlink().then(|| ways(path, Path::parent))));
        let links = files.unwrap_or_default().into_iter().filter_map(|(_, ways)| ways.ok().flatten());
        watched.extend(links.flatten());
    }
    watched
}

/// The directories of the links on the way to a path, and what is to be watched at its end.
fn ways(path: &Path, end: fn(&Path) -> Option<&Path>) -> BTreeSet<PathBuf> {
    let mut ways = BTreeSet::new();
    let real = follow(path, &mut ways);
    ways.extend(end(&real).and_then(nearest).map(Path::to_owned));
    ways
}

/// The directory itself, or while it is missing the one where it, or one above it, will appear.
fn nearest(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|path| path.is_dir())
}

/// Follows a path, collects the directories of all links on the way, and returns where it ends.
fn follow(path: &Path, links: &mut BTreeSet<PathBuf>) -> PathBuf {
    let mut rest = steps(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let (mut at, mut followed) = (PathBuf::from("/"), 0);
    while let Some(step) = rest.pop() {
        let next = resolve(&at, &step);
        match fs::read_link(&next) {
            Ok(target) if followed < MAX_LINKS => {
                followed += 1;
                links.insert(at.clone());
                rest.extend(steps(&target));
            }
            _ => at = next,
        }
    }
    at
}

fn resolve(at: &Path, step: &Path) -> PathBuf {
    if step == Path::new("..") { at.parent().unwrap_or(at).to_owned() } else { at.join(step) }
}

/// The components of a path, the first at the end.
fn steps(path: &Path) -> Vec<PathBuf> {
    let named = path.components().filter(|component| *component != Component::CurDir);
    named.rev().map(|component| PathBuf::from(component.as_os_str())).collect()
}
