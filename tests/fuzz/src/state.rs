//! Files that an earlier agent stored. The first byte says which: `a` addresses, `o` what operators
//! set, `f` a file of services as it is, `F` one with the digest of the text that follows.

use std::{path::PathBuf, time::Instant};

use mesh_core::{
    desired::vips,
    source::{Serve, digest::Digest, last_good::Entry},
    state::{addresses, overrides},
};
use serde_json::Value;

use crate::{file, report, serve};

const BOOT: &str = "5f0c7c1e";
/// Most lines of an object that was kept.
const KEPT_LINES: usize = 1000;

/// Checks that a stored text is understood or refused, and that what is understood can be stored
/// again.
pub fn check(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    match kind {
        b'a' => of_addresses(text),
        b'o' => of_overrides(text),
        b'f' => of_file(text.to_vec()),
        b'F' => of_file(with_digest(text).unwrap_or_default()),
        _ => {}
    }
}

fn of_addresses(text: &[u8]) {
    let Ok(remembered) = addresses::parse(text) else {
        return;
    };
    let printed = addresses::print(&remembered);
    assert_eq!(addresses::parse(&printed).ok().as_ref(), Some(&remembered));
    let services = serve::services();
    let (given, exhausted) = vips::allocate(&services, &serve::pools(), &remembered, true);
    assert_eq!(exhausted, []);
    let autos = serve::autos(&services);
    assert_eq!(given.keys().collect::<Vec<_>>(), autos);
    let mut all: Vec<_> = given.values().flatten().collect();
    assert!(
        all.iter()
            .all(|it| serve::pools().iter().any(|pool| pool.contains(*it)))
    );
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(
        all.len(),
        count,
        "an address for each service and pool: {given:?}"
    );
}

fn of_overrides(text: &[u8]) {
    let Ok(given) = overrides::parse(text, BOOT) else {
        return;
    };
    let printed = overrides::print(&given, BOOT);
    assert_eq!(overrides::parse(&printed, BOOT).ok().as_ref(), Some(&given));
    serve::check_overridden(given);
}

fn of_file(bytes: Vec<u8>) {
    let Ok(entry) = Entry::parse(bytes) else {
        return;
    };
    let Ok((path, version)) = entry.version(Serve::All) else {
        return;
    };
    if let Some(entry) = Entry::of(&path, &version) {
        let parsed = Entry::parse(entry.text()).and_then(|it| it.version(Serve::All));
        let (_, again) = parsed.expect("this agent wrote it");
        assert_eq!(
            (&again.kept, &again.contents),
            (&version.kept, &version.contents)
        );
    }
    let path_there = PathBuf::from(file::DIRECTORY).join("a.yaml");
    let is_there = path == path_there;
    let mut reader = file::reader();
    let text = version.file.text.bytes().to_vec();
    let others = reader.recall([(path.clone(), version)].into());
    assert!(others.is_empty() || !is_there, "{others:?}");
    let update = reader.read(
        file::scan([(&path_there, 1, text.as_slice())]),
        Instant::now(),
    );
    // Lines of objects that were kept are those of a separate text.
    let lines = [path_there, path].map(|path| (path, report::lines(&text).max(KEPT_LINES)));
    let directory = (PathBuf::from(file::DIRECTORY), 1);
    report::check(&update, &lines.into_iter().chain([directory]).collect());
    serve::check(&update);
}

/// Returns the entry with the digest of its text, which fuzzing does not find by chance.
fn with_digest(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (head, text) = bytes.split_at(end);
    let mut head: Value = serde_json::from_slice(head).ok()?;
    let digest = Digest::of(&text[1..]).to_string();
    let fields = head.as_object_mut()?;
    fields.insert("digest".to_owned(), digest.into());
    fields.insert("path".to_owned(), "/services/a.yaml".into());
    Some([head.to_string().as_bytes(), text].concat())
}
