use std::{io::Read as _, os::unix::fs::PermissionsExt as _};

use flate2::read::GzDecoder;

use super::*;

const CANARY: &str = "canary-4711";

/// Returns name and text of each file in an archive.
fn unpacked(path: &Path) -> Vec<Part> {
    let file = fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        })
        .collect()
}

#[test]
fn an_archive_is_private_and_replaces_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.tar.gz");
    let parts = [("a.txt".to_owned(), "one\n".to_owned())];
    pack::write(&path, "report", &parts).unwrap();
    assert_eq!(
        unpacked(&path),
        [("report/a.txt".to_owned(), "one\n".to_owned())]
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = pack::write(&path, "report", &parts).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn service_files_are_packed_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(directory.path().join(name), text).unwrap();
    write(
        "native.yaml",
        format!(
            "services:\n- name: cart # {CANARY}\n  health:\n    http:\n      headers:\n        X-Any: {CANARY}\n"
        ),
    );
    write(
        "kubernetes.json",
        format!(
            "{{\"kind\": \"Service\", \"metadata\": {{\"name\": \"db\", \"annotations\": {{\"a\": \"{CANARY}\"}}}}}}"
        ),
    );
    write("broken.yaml", format!("services: [\n{CANARY}"));
    let parts = read(directory.path());
    let text = |file: &str| {
        let part = parts.iter().find(|(name, _)| name.ends_with(file));
        part.map(|(_, text)| text.as_str())
            .unwrap_or_else(|| panic!("{parts:?}"))
    };
    assert!(text("native.yaml").contains("name: cart"), "{parts:?}");
    assert!(text("kubernetes.json").contains("name: db"), "{parts:?}");
    assert_eq!(text("broken.yaml"), "# not packed: it is not YAML\n");
    assert!(
        parts.iter().all(|(_, text)| !text.contains(CANARY)),
        "{parts:?}"
    );
}

fn read(directory: &Path) -> Vec<Part> {
    service_files::read(&directory.display().to_string())
}
