//! Reads service files for the bundle. A file is packed as it is understood: comments are left out,
//! and a file that is not YAML is named without its text, because nothing in it could be masked.

use std::{fs, path::Path};

use serde_json::Value;

use super::{Part, mask};
use crate::render;

/// Largest file that is packed, bytes.
const LARGEST: u64 = 4 << 20;

/// Returns the files of a directory of services, as `meshctl status` names it, masked.
pub(super) fn read(source: &str) -> Vec<Part> {
    // `NAMESPACE=PATH` restricts a directory to a namespace.
    let path = match source.split_once('=') {
        Some((_, path)) => path,
        None => source,
    };
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    let is_wanted = |file: &&std::path::PathBuf| {
        let extension = file.extension().and_then(|it| it.to_str());
        extension.is_some_and(|it| ["yaml", "yml", "json"].contains(&it))
    };
    files
        .iter()
        .filter(is_wanted)
        .map(|file| part(file))
        .collect()
}

fn part(file: &Path) -> Part {
    let name = format!("services{}", file.display());
    let text = masked(file).unwrap_or_else(|reason| format!("# not packed: {reason}\n"));
    (name, text)
}

fn masked(file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > LARGEST {
        return Err(format!("{size} bytes are too many"));
    }
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    // The parser quotes the text in its error.
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|_| "it is not YAML".to_owned())?;
    let masked = documents.into_iter().map(mask::value);
    let texts = masked.map(|document| render::yaml(&document));
    let documents: Result<Vec<_>, _> = texts.collect();
    documents
        .map(|documents| documents.join("---\n"))
        .map_err(|error| error.to_string())
}
