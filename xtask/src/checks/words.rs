//! What people read uses plain technical words. Counted are comments and string literals of the
//! Rust sources, help texts among them, and documents; `code` between backticks is not.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use super::{Sources, exceptions, files, report};

/// Words that make a sentence about sockets, rows and services hard to understand, one per line.
const WORDS: &str = include_str!("words.txt");

/// Lines of comments for each place that may be left.
const COMMENT_LINES_PER_PLACE: usize = 1_000;

/// Where one of the words is.
#[derive(Debug, PartialEq)]
struct Place {
    file: PathBuf,
    line: usize,
    word: String,
}

impl Place {
    fn show(&self) -> String {
        format!("{}:{}: {}", self.file.display(), self.line, self.word)
    }
}

/// Finds the words in sources and documents.
fn places(texts: &Sources, words: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for (file, text) in texts {
        let is_rust = file.extension().is_some_and(|it| it == "rs");
        let prose = if is_rust { prose(text) } else { text.clone() };
        let mut written = Vec::new();
        for (index, line) in prose.lines().enumerate() {
            let line = without_code(line).to_lowercase();
            let parts = line.split(|it: char| !it.is_alphanumeric() && it != '_');
            let words = parts.filter(|word| !word.is_empty());
            written.extend(words.map(|word| (index + 1, word.to_owned())));
        }
        for start in 0..written.len() {
            for word in words.lines().filter(|word| begins(&written[start..], word)) {
                let (file, line, word) = (file.clone(), written[start].0, word.to_owned());
                found.push(Place { file, line, word });
            }
        }
    }
    found
}

/// Returns whether a text begins with these words. A phrase may go on in the next line.
fn begins(text: &[(usize, String)], phrase: &str) -> bool {
    let mut words = phrase.split(' ').enumerate();
    words.all(|(at, word)| text.get(at).is_some_and(|(_, it)| it == word))
}

/// Removes the code between backticks from a line.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let all_closed = parts.len() % 2 == 1;
    if all_closed {
        parts.into_iter().step_by(2).collect::<Vec<_>>().join(" ")
    } else {
        line.to_owned()
    }
}

/// Returns a source in which only comments and string literals are left, in their places.
fn prose(source: &str) -> String {
    let tokens: TokenStream = source.parse().expect("the compiler can read it, too");
    let mut prose = source.as_bytes().to_vec();
    blank(tokens, &mut prose);
    String::from_utf8(prose).expect("whole tokens were blanked")
}

fn blank(tokens: TokenStream, prose: &mut [u8]) {
    for token in tokens {
        if let TokenTree::Group(group) = token {
            blank(group.stream(), prose);
            continue;
        }
        // A doc comment is read as an attribute whose tokens all span the comment.
        let range = token.span().byte_range();
        let text = &mut prose[range];
        let is_comment = text.starts_with(b"//") || text.starts_with(b"/*");
        let is_quoted = text.ends_with(b"\"") || text.ends_with(b"\"#");
        let is_string = matches!(token, TokenTree::Literal(_)) && is_quoted;
        if !is_comment && !is_string {
            text.fill(b' ');
        }
    }
}

fn comment_lines(sources: &Sources) -> usize {
    let lines = sources.values().flat_map(|text| text.lines());
    lines.filter(|line| line.trim().starts_with("//")).count()
}

/// Returns what is wrong when the words of these top folders are not counted.
fn judge(places: &[Place], comment_lines: usize, excepted: &[&str]) -> Vec<String> {
    let allowed = comment_lines / COMMENT_LINES_PER_PLACE;
    let counted = |except: &dyn Fn(&Path) -> bool| -> Vec<&Place> {
        places.iter().filter(|place| !except(&place.file)).collect()
    };
    let left = counted(&|file| excepted.iter().any(|folder| file.starts_with(folder)));
    if left.len() > allowed {
        return left.into_iter().map(Place::show).collect();
    }
    let needed = |folder: &&str| {
        let others = excepted.iter().filter(|other| other != &folder);
        counted(&|file| others.clone().any(|other| file.starts_with(other))).len() > allowed
    };
    let mended = excepted.iter().filter(|folder| !needed(folder));
    mended
        .map(|folder| exceptions::not_needed(folder))
        .collect()
}

#[test]
fn words_are_plain() {
    let mut texts = files("rs");
    let lines = comment_lines(&texts);
    texts.append(&mut files("md"));
    let places = places(&texts, WORDS);
    println!("{} places, {lines} lines of comments", places.len());
    places.iter().for_each(|place| println!("{}", place.show()));
    let wrong = judge(&places, lines, exceptions::FOLDERS_WITH_UNPLAIN_WORDS);
    let title = format!("more than 1 place in {COMMENT_LINES_PER_PLACE} lines of comments");
    assert!(wrong.is_empty(), "{}", report(&title, &wrong));
}

#[cfg(test)]
mod tests {
    use super::{super::made_up, *};

    const LIST: &str = "riddle\nso to say";

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let places = places(&made_up([(path, text)]), LIST);
        places.into_iter().map(|it| (it.line, it.word)).collect()
    }

    fn riddle(line: usize) -> (usize, String) {
        (line, "riddle".into())
    }

    #[test]
    fn comments_and_strings_count_and_code_does_not() {
        let text = r##"//! A riddle.
/// A Riddle's end.
fn riddle() {
    let riddle = 'r'; // riddle
    say("a {riddle}", r#"riddle"#, b"riddle", riddle);
    /* a
    riddle */
}
/** A riddle. */
"##;
        let expected = [1, 2, 4, 5, 5, 5, 7, 9].map(riddle);
        assert_eq!(found("a.rs", text), expected);
    }

    #[test]
    fn a_phrase_goes_on_in_the_next_line() {
        let expected = [(1, "so to say".to_owned())];
        assert_eq!(found("a.rs", "// so\n// to say\n// so to\n"), expected);
    }

    #[test]
    fn documents_count_except_for_code() {
        let text = "A `riddle` is fine.\nA riddle is not; riddles are.\nAn open ` riddle.\n";
        assert_eq!(found("a.md", text), [2, 3].map(riddle));
    }

    #[test]
    fn one_place_in_a_thousand_lines_of_comments_may_be_left() {
        let places = places(
            &made_up([("a/a.md", "riddle\n"), ("b/b.md", "riddle\n")]),
            LIST,
        );
        let both = ["a/a.md:1: riddle", "b/b.md:1: riddle"];
        let none = Vec::<String>::new();
        assert_eq!(judge(&places, 1_999, &[]), both);
        assert_eq!(judge(&places, 2_000, &[]), none);
        assert_eq!(judge(&places, 1_999, &["b"]), none);
        assert_eq!(judge(&places, 999, &["b"]), both[..1]);
        assert_eq!(judge(&places, 2_000, &["b"]), [exceptions::not_needed("b")]);
    }

    #[test]
    fn lines_of_comments_are_counted() {
        let text = "//! A.\nfn a() {} // B.\n    // C.\n";
        assert_eq!(comment_lines(&made_up([("a.rs", text)])), 2);
    }
}
