//! Parses text to trees that know their lines: YAML, or a single JSON value.
//!
//! A tree is one vector in the order of the text: a node is followed by its subtree. Nothing here
//! recurses, depth and aliases are bounded, and a document that does not parse does not affect the
//! other documents of the file.

mod build;
mod json;
mod problems;
mod tree;

use saphyr_parser::Parser;

use self::build::Builder;
pub use self::{
    problems::{MOST, Problem, Problems},
    tree::{Document, Graft, Node, Sink, Step, Value, shortened},
};

/// Longest line of YAML, and longest `{…}` that is a document and no JSON: the parser holds them in
/// memory several times.
const LONG: usize = 1 << 20;

/// Reads a text document by document. An unreadable document does not affect the others.
pub fn read<'a>(text: &'a str, sink: &mut impl Sink<'a>) {
    let mut skipped = 0;
    for chunk in Chunks(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        if sink.is_full() {
            return;
        }
        let (lines, content) = content(chunk);
        let mut builder = Builder::new(skipped + if is_flow(content) { lines } else { 0 });
        let result = match is_flow(content) {
            true if content.len() > LONG || json::is_json(content) => {
                json_stream(content, &mut builder, sink)
            }
            true => stream(content, &mut builder, sink),
            false => {
                long_line(chunk, &builder).map_or_else(|| stream(chunk, &mut builder, sink), Err)
            }
        };
        if let Err(problem) = result {
            sink.broken(problem);
        }
        skipped += lines_of(chunk);
    }
}

/// Reads a text that is one JSON document.
pub fn read_json<'a>(text: &'a str, sink: &mut impl Sink<'a>) {
    let mut builder = Builder::new(0);
    if let Err(problem) = json_stream(
        text.strip_prefix('\u{feff}').unwrap_or(text),
        &mut builder,
        sink,
    ) {
        let reason = format!("{}; to write YAML, call the file .yaml", problem.reason);
        sink.broken(Problem { reason, ..problem });
    }
}

/// Returns the content after a document marker, and the number of lines before it.
fn content(chunk: &str) -> (u32, &str) {
    let content = chunk
        .strip_prefix("---")
        .filter(|_| is_marker(chunk))
        .unwrap_or(chunk)
        .trim_start();
    (lines_of(&chunk[..chunk.len() - content.len()]), content)
}

/// Whether a document is a list or mapping in brackets.
fn is_flow(content: &str) -> bool {
    content.starts_with(['{', '['])
}

fn lines_of(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

fn long_line(chunk: &str, builder: &Builder<'_>) -> Option<Problem> {
    let is_long = chunk.len() > LONG;
    let line = chunk
        .lines()
        .filter(|_| is_long)
        .position(|line| line.len() > LONG)?;
    Some(builder.problem(
        line + 1,
        "a line of more than 1 MiB: break it, or write JSON",
    ))
}

/// Iterates over the documents of a text, each from its marker to the next. Text before the first
/// marker is a separate document.
struct Chunks<'a>(&'a str);

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (mut end, mut is_directive) = (0, false);
        for line in self.0.split_inclusive('\n') {
            if end > 0 && !is_directive && is_marker(line) {
                break;
            }
            // A directive belongs to the document whose marker follows it.
            is_directive = line.starts_with('%') || (is_directive && !is_marker(line));
            end += line.len();
        }
        let (chunk, rest) = self.0.split_at(end);
        self.0 = rest;
        (end > 0).then_some(chunk)
    }
}

/// Returns all documents of a short text, and the problems of unreadable ones.
pub fn parse(text: &str) -> (Vec<Document<'_>>, Vec<Problem>) {
    let mut all = All::default();
    read(text, &mut all);
    (all.documents, all.problems)
}

/// Keeps everything.
#[derive(Default)]
struct All<'a> {
    documents: Vec<Document<'a>>,
    problems: Vec<Problem>,
}

impl<'a> Sink<'a> for All<'a> {
    fn element(&mut self, _: &Document<'a>, _: u32) -> bool {
        false
    }

    fn document(&mut self, document: Document<'a>) {
        self.documents.push(document);
    }

    fn broken(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// Feeds one text to the builder, up to its end or the first error.
fn stream<'a>(
    text: &'a str,
    builder: &mut Builder<'a>,
    sink: &mut impl Sink<'a>,
) -> Result<(), Problem> {
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span.start.line(), sink)?,
            Err(error) => {
                // The parser counts an end without a newline as one more line.
                let last = lines_of(text) as usize + 1;
                let line = error.marker().line().min(last);
                return Err(builder.problem(line, error.info().to_lowercase()));
            }
        }
        if sink.is_full() {
            break;
        }
    }
    Ok(())
}

/// Feeds one JSON value to the builder. The YAML parser holds all of a `{…}` in memory until it
/// knows what follows it, at a hundred times its size.
fn json_stream<'a>(
    text: &'a str,
    builder: &mut Builder<'a>,
    sink: &mut impl Sink<'a>,
) -> Result<(), Problem> {
    for event in json::Events::new(text) {
        let (event, line) = event.map_err(|wrong| builder.problem(wrong.line, wrong.reason))?;
        builder.event(event, line, sink)?;
        if sink.is_full() {
            break;
        }
    }
    Ok(())
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}
