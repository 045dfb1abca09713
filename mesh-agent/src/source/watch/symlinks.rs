//! Finds the directories to watch: those with the files, and those with symlinks on the way to
//! them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use mesh_files::{scan, timed_fs};

/// Most symlinks that the kernel follows in one path.
/// <https://man7.org/linux/man-pages/man7/path_resolution.7.html>
const MAX_LINKS: usize = 40;

/// Returns the directories to watch, with links resolved so that none is watched twice. Directories
/// that time out are left out, and their changes are not reported.
pub fn watched(directories: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut watched = BTreeSet::new();
    for directory in directories {
        watched.extend(
            timed_fs::one(directory, |directory| {
                Ok(ways(directory, |real| Some(real)))
            })
            .unwrap_or_default(),
        );
        let files = timed_fs::listed(directory, scan::list, |path| {
            Ok(path.is_symlink().then(|| ways(path, Path::parent)))
        });
        let links = files
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(_, ways)| ways.ok().flatten());
        watched.extend(links.flatten());
    }
    watched
}

/// Returns the directories of the links on the way to a path, and the directory to watch at its
/// end.
fn ways(path: &Path, end: fn(&Path) -> Option<&Path>) -> BTreeSet<PathBuf> {
    let mut ways = BTreeSet::new();
    let real = follow(path, &mut ways);
    ways.extend(end(&real).and_then(nearest).map(Path::to_owned));
    ways
}

/// Returns the directory, or its nearest existing ancestor while it is missing.
fn nearest(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|path| path.is_dir())
}

/// Resolves a path and collects the directories of all links on the way.
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
    if step == Path::new("..") {
        at.parent().unwrap_or(at).to_owned()
    } else {
        at.join(step)
    }
}

/// Returns the components of a path in reverse order.
fn steps(path: &Path) -> Vec<PathBuf> {
    let named = path
        .components()
        .filter(|component| *component != Component::CurDir);
    named
        .rev()
        .map(|component| PathBuf::from(component.as_os_str()))
        .collect()
}
