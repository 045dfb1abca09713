//! Names in messages: the first of a long list, and names similar to a misspelled one.

/// Most names in one message.
const TOLD: usize = 10;

/// Most letters by which a misspelled word differs.
const TYPOS: usize = 2;

/// Whether one word may be the other, misspelled.
pub fn is_similar(one: &str, other: &str) -> bool {
    one.len().abs_diff(other.len()) <= TYPOS && distance(one.as_bytes(), other.as_bytes()) <= TYPOS
}

/// Returns the number of letters to add, remove or replace (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// Formats names: `a, b, c and 7 more`, or `none`.
pub fn told(names: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = names.collect();
    let (shown, more) = all.split_at(all.len().min(TOLD));
    match (shown, more.len()) {
        ([], _) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_differ_by_two_letters_at_most() {
        assert!(
            is_similar("cart", "cart") && is_similar("cart", "crat") && is_similar("cart", "carts")
        );
        assert!(
            !is_similar("cart", "checkout") && !is_similar("cart", "dns") && is_similar("", "ab")
        );
    }
}
