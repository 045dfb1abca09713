//! Keeps the drains and weights that operators set in a file, so that they survive a restart. They
//! take effect even when the file cannot be written; `status` shows the error.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mesh_core::state::{self, overrides::Overrides};

use crate::private_files;

pub(super) const FILE: &str = "overrides.json";
/// Changes with each boot, when the monotonic clock starts again.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file.
pub(super) struct OverrideFile {
    path: PathBuf,
    boot_id: String,
    /// Whether the last write succeeded.
    written: bool,
}

impl OverrideFile {
    /// Reads the file, if it exists; also returns what is wrong with it.
    pub(super) fn open(state_dir: &Path) -> (Self, Overrides, Option<String>) {
        let boot_id = fs::read_to_string(BOOT_ID)
            .unwrap_or_default()
            .trim()
            .to_owned();
        Self::open_in_boot(state_dir, boot_id)
    }

    fn open_in_boot(state_dir: &Path, boot_id: String) -> (Self, Overrides, Option<String>) {
        let path = state_dir.join(FILE);
        let (overrides, problem) = match read(&path, &boot_id) {
            Ok(overrides) => (overrides, None),
            Err(error) => {
                let path = path.display();
                (
                    Overrides::new(),
                    Some(format!(
                        "cannot read {path}, so drains and weights are forgotten: {error}"
                    )),
                )
            }
        };
        (
            Self {
                path,
                boot_id,
                written: true,
            },
            overrides,
            problem,
        )
    }

    /// Returns where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the last [`write`](Self::write) succeeded.
    pub(super) fn is_written(&self) -> bool {
        self.written
    }

    /// Replaces the file's content; returns the error.
    pub(super) fn write(&mut self, overrides: &Overrides) -> Option<String> {
        let text = state::overrides::print(overrides, &self.boot_id);
        let error = private_files::replace(&self.path, &text).err();
        self.written = error.is_none();
        let path = self.path.display();
        error.map(|error| {
            format!("cannot write {path}, so drains and weights end when the agent does; it tries again: {error}")
        })
    }
}

fn read(path: &Path, boot_id: &str) -> io::Result<Overrides> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Overrides::new()),
        text => text?,
    };
    Ok(state::overrides::parse(&text, boot_id)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::desired::{Override, Target, fixture};

    #[test]
    fn overrides_survive_a_restart_and_a_drain_is_old_after_a_reboot() {
        let directory = tempfile::tempdir().unwrap();
        let open = |boot: &str| OverrideFile::open_in_boot(directory.path(), boot.to_owned());
        let (mut file, overrides, problem) = open("a");
        assert_eq!((overrides, problem), (Overrides::new(), None));
        let target = |last| Target {
            service: fixture::name("cart"),
            address: [10, 0, 0, last].into(),
            port: 80,
        };
        let drained = Override {
            draining_since: Some(Duration::from_millis(1500)),
            weight: None,
        };
        let weighted = Override {
            draining_since: None,
            weight: Some(7),
        };
        let overrides = Overrides::from([(target(1), drained), (target(2), weighted)]);
        assert_eq!(file.write(&overrides), None);
        assert_eq!(open("a").1, overrides);
        let old = Override {
            draining_since: Some(Duration::ZERO),
            weight: None,
        };
        assert_eq!(
            open("b").1,
            Overrides::from([(target(1), old), (target(2), weighted)])
        );
    }

    #[test]
    fn broken_file_and_failed_write_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        let (_, overrides, problem) = OverrideFile::open(directory.path());
        assert!(
            overrides.is_empty()
                && problem
                    .unwrap()
                    .contains("so drains and weights are forgotten")
        );
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let (mut file, ..) = OverrideFile::open(&file);
        assert!(
            file.write(&Overrides::new())
                .unwrap()
                .contains("end when the agent does")
                && !file.is_written()
        );
    }
}
