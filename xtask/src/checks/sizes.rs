//! No Rust file has more lines than the limit.

use std::collections::BTreeMap;

use super::{Sources, exceptions, files, report};

const MOST_LINES: usize = 450;

/// Returns the files that are too long: name, and name with length.
fn too_long(sources: &Sources) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (file, text) in sources {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            let name = file.display().to_string();
            let description = format!("{name}: {lines} lines");
            found.insert(name, description);
        }
    }
    found
}

#[test]
fn no_file_is_too_long() {
    let found = too_long(&files("rs"));
    let wrong = exceptions::compare(&found, exceptions::LONG_FILES);
    let title = format!("files above {MOST_LINES} lines: split them by idea");
    assert!(wrong.is_empty(), "{}", report(&title, &wrong));
}

#[cfg(test)]
mod tests {
    use super::{super::made_up, *};

    #[test]
    fn a_file_may_have_450_lines_and_not_one_more() {
        let (fits, long) = ("\n".repeat(450), "\n".repeat(451));
        let found = too_long(&made_up([("a/fits.rs", &fits), ("a/long.rs", &long)]));
        let expected = [("a/long.rs".to_owned(), "a/long.rs: 451 lines".to_owned())];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
