//! Which directories a change can come from: those with the files, and those with links on the way to them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use crate::source::scan;

/// As many links as the kernel follows in one path. <https://man7.org/linux/man-pages/man7/path_resolution.7.html>
const MAX_LINKS: usize = 40;

/// The directories to watch, without links in their paths: none is then watched under two names.
pub fn watched(directories: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut watched = BTreeSet::new();
    for directory in directories {
        let real = follow(directory, &mut watched);
        watched.extend(nearest(&real).map(Path::to_owned));
        for link in scan::list(directory).unwrap_or_default().iter().filter(|path| path.is_symlink()) {
            let real = follow(link, &mut watched);
            watched.extend(real.parent().and_then(nearest).map(Path::to_owned));
        }
    }
    watched
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
