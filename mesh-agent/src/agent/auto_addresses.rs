//! Keeps the addresses of `auto` services in a file, so that they survive a reboot. Services are
//! served even when the file cannot be written; `status` shows the error.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mesh_core::state;

use crate::{desired::vips::Vips, private_files};

pub(super) const FILE: &str = "addresses.json";

/// `namespace/name` → addresses, in memory and on disk.
pub(super) struct AddressFile {
    path: PathBuf,
    remembered: Vips,
}

impl AddressFile {
    /// Reads the file, if it exists; also returns what is wrong with it.
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

    /// Replaces the file's content if it differs; returns the error.
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

fn read(path: &Path) -> io::Result<Vips> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vips::new()),
        text => text?,
    };
    Ok(state::addresses::parse(&text)?)
}

fn write(path: &Path, vips: &Vips) -> io::Result<()> {
    private_files::replace(path, &state::addresses::print(vips))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;

    #[test]
    fn addresses_survive_a_restart_and_a_broken_file_is_reported() {
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
    }
}
