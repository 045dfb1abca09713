//! Removes leftovers of killed test runs, once per process, before the first node.

use std::{env, fs, io, path::Path, sync::Once};

use crate::{cgroup, name, requirements};

/// Removes cgroups, pins and temporary directories whose owner is dead. Network namespaces have no
/// name here and die with the last process in them.
pub fn sweep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Pins first, because links keep a removed cgroup alive.
        remove_orphans(&requirements::bpffs(), |path| fs::remove_dir_all(path));
        remove_orphans(&requirements::cgroup2(), cgroup::remove);
        remove_orphans(&env::temp_dir(), |path| fs::remove_dir_all(path));
    });
}

/// Calls `remove` for every entry of `directory` that an earlier run left behind.
pub fn remove_orphans(directory: &Path, remove: impl Fn(&Path) -> io::Result<()>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries
        .flatten()
        .filter(|entry| name::is_orphan(&entry.file_name().to_string_lossy()))
    {
        match remove(&entry.path()) {
            Ok(()) => println!("swept {}", entry.path().display()),
            Err(error) => println!("cannot sweep {}: {error}", entry.path().display()),
        }
    }
}
