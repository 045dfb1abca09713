//! The addresses of `auto` services, kept in a file so that they survive a reboot. The file is a
//! convenience: when it cannot be written, traffic is served all the same and `status` says so.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    overrides,
    state_lock::{self, StateLock},
};
use crate::{desired::vips::Vips, model::ServiceName, private_files, source::last_good};

const FILE: &str = "addresses.json";

/// `namespace/name` → addresses, in memory and on disk.
pub(super) struct AddressFile {
    path: PathBuf,
    remembered: Vips,
}

impl AddressFile {
    /// Reads the file, if there is one; also says what is wrong with it.
    pub(super) fn open(state_dir: &Path) -> (Self, Option<String>) {
        let path = state_dir.join(FILE);
        let (remembered, problem) = match read(&path) {
            Ok(vips) => (vips, None),
            Err(error) => {
                let path = path.display();
                (
                    Vips::new(),
                    Some(format!(
                        "cannot read {path}, so addresses are allocated anew: {error}"
                    )),
                )
            }
        };
        (Self { path, remembered }, problem)
    }

    pub(super) fn remembered(&self) -> &Vips {
        &self.remembered
    }

    /// Replaces the file's content where it differs; returns what went wrong.
    pub(super) fn remember(&mut self, vips: &Vips) -> Option<String> {
        if *vips == self.remembered {
            return None;
        }
        self.remembered.clone_from(vips);
        let path = self.path.display();
        write(&self.path, vips).err().map(|error| {
            format!("cannot write {path}, so addresses may change after a reboot: {error}")
        })
    }
}

/// Removes the files that agents keep there and, if nothing else is in it, the directory. Returns
/// the names of those that were there.
pub fn forget(state_dir: &Path, _lock: Option<&StateLock>) -> io::Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for (name, was_there) in [
        (
            FILE,
            private_files::removed(fs::remove_file(state_dir.join(FILE)))?,
        ),
        (overrides::FILE, overrides::forget(state_dir)?),
        (last_good::DIRECTORY, last_good::forget(state_dir)?),
        (
            state_lock::FILE,
            private_files::removed(fs::remove_file(state_dir.join(state_lock::FILE)))?,
        ),
    ] {
        names.extend(was_there.then_some(name));
    }
    match fs::remove_dir(state_dir) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(names),
    }
}

fn read(path: &Path) -> io::Result<Vips> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vips::new()),
        text => text?,
    };
    let entries: BTreeMap<String, Vec<IpAddr>> = serde_json::from_slice(&text)?;
    let parsed = entries.into_iter().filter_map(|(name, addresses)| {
        let (namespace, name) = name.split_once('/')?;
        Some((
            ServiceName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            addresses,
        ))
    });
    Ok(parsed.collect())
}

fn write(path: &Path, vips: &Vips) -> io::Result<()> {
    let entries: BTreeMap<String, &Vec<IpAddr>> = vips
        .iter()
        .map(|(name, ips)| (name.to_string(), ips))
        .collect();
    private_files::replace(path, &serde_json::to_vec_pretty(&entries)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_and_a_broken_file_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let name = ServiceName {
            namespace: "shop".into(),
            name: "cart".into(),
        };
        let vips = Vips::from([(name, vec!["240.96.0.7".parse().unwrap()])]);
        let (mut file, problem) = AddressFile::open(directory.path());
        assert_eq!(problem, None);
        assert_eq!(file.remember(&vips), None);
        let (file, problem) = AddressFile::open(directory.path());
        assert_eq!((file.remembered(), problem), (&vips, None));
        fs::write(directory.path().join(FILE), "{").unwrap();
        let (file, problem) = AddressFile::open(directory.path());
        assert!(file.remembered().is_empty());
        assert!(problem.unwrap().contains("allocated anew"));
        assert_eq!(forget(directory.path(), None).unwrap(), [FILE]);
        assert!(!directory.path().exists());
        assert!(forget(directory.path(), None).unwrap().is_empty());
    }
}
