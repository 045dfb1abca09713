//! Keeps the drains and weights that operators set in a file, so that they survive a restart. They
//! take effect even when the file cannot be written; `status` shows the error.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    desired::{Override, Target},
    model::ServiceName,
    private_files,
};

pub(super) const FILE: &str = "overrides.json";
/// Changes with each boot, when the monotonic clock starts again.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

type Overrides = BTreeMap<Target, Override>;

/// The file.
pub(super) struct OverrideFile {
    path: PathBuf,
    boot_id: String,
    /// Whether the last write succeeded.
    written: bool,
}

/// Content of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    /// The boot whose monotonic clock `draining_since_milliseconds` uses.
    boot_id: String,
    endpoints: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    namespace: String,
    service: String,
    address: IpAddr,
    port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draining_since_milliseconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
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
        let endpoints = overrides
            .iter()
            .map(|(target, given)| entry(target, *given))
            .collect();
        let content = Content {
            boot_id: self.boot_id.clone(),
            endpoints,
        };
        let text = serde_json::to_vec_pretty(&content).expect("a struct with string keys");
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
    let Content {
        boot_id: written_in,
        endpoints,
    } = serde_json::from_slice(&text)?;
    let same_clock = written_in == boot_id;
    Ok(endpoints
        .into_iter()
        .map(|entry| target(entry, same_clock))
        .collect())
}

fn entry(target: &Target, given: Override) -> Entry {
    let Override {
        draining_since,
        weight,
    } = given;
    Entry {
        namespace: target.service.namespace.clone(),
        service: target.service.name.clone(),
        address: target.address,
        port: target.port,
        draining_since_milliseconds: draining_since
            .map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        weight,
    }
}

/// Returns the override of an entry. A drain from before the last boot starts at zero, which is long ago.
fn target(entry: Entry, same_clock: bool) -> (Target, Override) {
    let Entry {
        namespace,
        service: name,
        address,
        port,
        draining_since_milliseconds,
        weight,
    } = entry;
    let since = |milliseconds| {
        if same_clock {
            Duration::from_millis(milliseconds)
        } else {
            Duration::ZERO
        }
    };
    let given = Override {
        draining_since: draining_since_milliseconds.map(since),
        weight,
    };
    (
        Target {
            service: ServiceName { namespace, name },
            address,
            port,
        },
        given,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

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
