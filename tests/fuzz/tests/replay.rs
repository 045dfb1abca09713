//! Runs every input of the corpus once, without a fuzzer. An input that made a target fail is added
//! to the corpus together with the fix.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mesh_fuzz::{TARGETS, target};
use serde_json::Value;

/// Most time for one input, also in a slow build on a busy machine.
const TIME: Duration = Duration::from_secs(5);
/// Bounds of the corpus, so that it stays small enough for the repository.
const FILES: usize = 500;
const BYTES: u64 = 1 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the corpus is in the repository");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    paths
}

/// Memory is counted for the process, so one target runs at a time.
static TURN: Mutex<()> = Mutex::new(());

fn replay(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let target = target(name).expect("a target");
    let files = files(&corpus().join(name));
    assert!(!files.is_empty(), "no input for {name}");
    for file in files {
        let input = fs::read(&file).expect("it can be read");
        let start = Instant::now();
        let result = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(result.is_ok(), "{} breaks a rule", file.display());
        let took = start.elapsed();
        assert!(took < TIME, "{} took {took:?}", file.display());
    }
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed_and_every_directory_has_a_target() {
            let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
            names.sort();
            let directories: Vec<PathBuf> = names.iter().map(|name| corpus().join(name)).collect();
            assert_eq!(files(&corpus()), directories);
        }
    };
}

replays!(native kubernetes annotations changes state rows requests);

#[test]
fn corpus_is_small() {
    let directories = files(&corpus());
    let all: Vec<PathBuf> = directories.iter().flat_map(|it| files(it)).collect();
    let size = |file: &PathBuf| file.metadata().expect("it can be read").len();
    let bytes: u64 = all.iter().map(size).sum();
    assert!(
        all.len() <= FILES && bytes <= BYTES,
        "{} files, {bytes} bytes: `cargo xtask fuzz --keep` makes it minimal",
        all.len()
    );
}

#[test]
fn dictionary_has_every_word_of_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema =
        fs::read(root.join("../../docs/service.schema.json")).expect("the schema is in docs");
    let schema: Value = serde_json::from_slice(&schema).expect("it is JSON");
    let dictionary =
        fs::read_to_string(root.join("words.dict")).expect("the dictionary is beside the targets");
    let mut words = BTreeSet::new();
    collect(&schema, &mut words);
    let is_missing = |word: &&str| !dictionary.contains(&format!("\n\"{word}\"\n"));
    let missing: Vec<&str> = words.into_iter().filter(is_missing).collect();
    assert_eq!(missing, Vec::<&str>::new(), "add them to words.dict");
}

/// Collects the names of fields, their annotations and the words that they take.
fn collect<'a>(schema: &'a Value, words: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Array(all) => all.iter().for_each(|it| collect(it, words)),
        Value::Object(all) => {
            for (name, value) in all {
                match (name.as_str(), value) {
                    ("properties", Value::Object(fields)) => {
                        words.extend(fields.keys().map(String::as_str));
                    }
                    ("enum", Value::Array(values)) => {
                        words.extend(values.iter().filter_map(Value::as_str));
                    }
                    ("const" | "x-annotation", Value::String(word)) => _ = words.insert(word),
                    _ => {}
                }
                collect(value, words);
            }
        }
        _ => {}
    }
}
