//! Text to trees that know their lines: YAML, or JSON by itself.
//!
//! A tree is one vector in the order of the text: a node is followed by its subtree. Nothing here recurses, depth and
//! aliases are bounded, and a document that does not parse takes no other document of the file with it.

mod build;
mod json;

use std::{borrow::Cow, cell::RefCell};

use saphyr_parser::Parser;

use self::build::Builder;

/// One thing wrong, at a line of a text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// From one.
    pub line: u32,
    /// Like `services[2].ports[0].port`; empty when no field is to blame.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

/// What a node holds. Children follow their node in [`Document::nodes`].
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written.
    Number(Cow<'a, str>),
    /// Any other scalar.
    Text(Cow<'a, str>),
    /// A list.
    List,
    /// A mapping.
    Map,
}

impl Value<'_> {
    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List | Self::Map => None,
        }
    }
}

/// How a node is reached from its parent.
#[derive(Clone, PartialEq, Debug)]
pub enum Step<'a> {
    /// It is the document.
    Root,
    /// By name, in a mapping.
    Name(Cow<'a, str>),
    /// By position, in a list.
    Index(u32),
}

/// One node of a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Node<'a> {
    /// Line of its key, or of itself where it has none.
    pub line: u32,
    /// Index of the node it is in; itself for the root.
    pub parent: u32,
    /// How it is reached from there.
    pub step: Step<'a>,
    /// Index after its subtree.
    pub end: u32,
    /// What it holds.
    pub value: Value<'a>,
}

/// One document, and what was found to be wrong with it.
#[derive(Debug, Default)]
pub struct Document<'a> {
    /// The root, then everything in it in the order of the text.
    pub nodes: Vec<Node<'a>>,
    /// Readers add to it while they go, see [`Field`](super::field::Field).
    pub problems: RefCell<Vec<Problem>>,
}

impl Document<'_> {
    /// The path of a node as a user would write it.
    pub fn path(&self, mut id: u32) -> String {
        let mut steps = Vec::new();
        while self.nodes[id as usize].parent != id {
            steps.push(&self.nodes[id as usize].step);
            id = self.nodes[id as usize].parent;
        }
        steps.into_iter().rev().fold(String::new(), |path, step| match step {
            Step::Root => path,
            Step::Name(name) if path.is_empty() => name.to_string(),
            Step::Name(name) => format!("{path}.{name}"),
            Step::Index(index) => format!("{path}[{index}]"),
        })
    }
}

/// All documents of a text, and what keeps others from being read.
pub fn parse(text: &str) -> (Vec<Document<'_>>, Vec<Problem>) {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    let mut rest = Some((text.strip_prefix('\u{feff}').unwrap_or(text), 0));
    while let Some((text, skipped)) = rest {
        let mut builder = Builder::new(skipped);
        rest = match stream(text, &mut builder) {
            Ok(()) => None,
            Err(problem) => {
                problems.push(problem);
                next_document(text, builder.started()).map(|(text, lines)| (text, skipped + lines))
            }
        };
        documents.append(&mut builder.into_documents());
    }
    // The broken document is read again when the error came before the parser announced its start.
    problems.dedup();
    (documents, problems)
}

/// The document of a JSON text, or what keeps it from being read.
pub fn parse_json(text: &str) -> (Vec<Document<'_>>, Vec<Problem>) {
    let mut builder = Builder::new(0);
    let problem = json_stream(text.strip_prefix('\u{feff}').unwrap_or(text), &mut builder).err();
    (builder.into_documents(), problem.into_iter().collect())
}

/// Feeds a JSON text to the builder, up to its end or the first error.
fn json_stream<'a>(text: &'a str, builder: &mut Builder<'a>) -> Result<(), Problem> {
    for event in json::Events::new(text) {
        let (event, line) = event.map_err(|wrong| builder.problem(wrong.line, wrong.reason))?;
        builder.event(event, line)?;
    }
    Ok(())
}

/// Feeds one text to the builder, up to its end or the first error.
fn stream<'a>(text: &'a str, builder: &mut Builder<'a>) -> Result<(), Problem> {
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span.start.line())?,
            Err(error) => return Err(builder.problem(error.marker().line(), error.info().to_lowercase())),
        }
    }
    Ok(())
}

/// The text from the first document marker after a line, and how many lines come before it.
fn next_document(text: &str, after: u32) -> Option<(&str, u32)> {
    let (mut offset, mut lines) = (0, 0);
    for line in text.split_inclusive('\n') {
        if lines >= after && is_marker(line) {
            return Some((&text[offset..], lines));
        }
        offset += line.len();
        lines += 1;
    }
    None
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}
