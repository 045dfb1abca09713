//! The tree of a document, and the trait of its readers.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap};

use super::problems::{Problem, Problems};
use crate::printable::is_hidden;

/// Value of a node. Children follow their node in [`Document::nodes`].
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
    /// Returns the text, if it is one.
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
    /// The node is the document.
    Root,
    /// By name, in a mapping.
    Name(Cow<'a, str>),
    /// By position, in a list.
    Index(u32),
}

/// One node of a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Node<'a> {
    /// Line of its key, or its own line if it has no key.
    pub line: u32,
    /// Index of its parent; its own index for the root.
    pub parent: u32,
    /// Step from the parent.
    pub step: Step<'a>,
    /// Index after its subtree.
    pub end: u32,
    /// Its value.
    pub value: Value<'a>,
}

/// One document and its problems.
#[derive(Debug, Default)]
pub struct Document<'a> {
    /// The root, then everything in it in the order of the text.
    pub nodes: Vec<Node<'a>>,
    /// Problems that readers add, see [`Field`](crate::source::field::Field).
    pub problems: RefCell<Problems>,
    /// Nodes that come from other documents.
    pub grafts: BTreeMap<u32, Graft>,
}

/// Where a node and everything in it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Graft {
    /// Its path as a user would write it.
    pub path: String,
    /// Whether it could not be parsed, which is reported.
    pub is_reported: bool,
}

impl Document<'_> {
    /// Returns the path of a node as a user would write it.
    pub fn path(&self, mut id: u32) -> String {
        let mut steps = Vec::new();
        let mut start = String::new();
        while self.nodes[id as usize].parent != id {
            if let Some(graft) = self.grafts.get(&id) {
                start.clone_from(&graft.path);
                break;
            }
            steps.push(&self.nodes[id as usize].step);
            id = self.nodes[id as usize].parent;
        }
        steps
            .into_iter()
            .rev()
            .fold(start, |path, step| match step {
                Step::Root => path,
                Step::Name(name) if path.is_empty() => shortened(name),
                Step::Name(name) => format!("{path}.{}", shortened(name)),
                Step::Index(index) => format!("{path}[{index}]"),
            })
    }
}

/// Shortens a text to show it within one line.
pub fn shortened(text: &str) -> String {
    let line: String = text
        .chars()
        .take(60)
        .map(|c| if is_hidden(c) { ' ' } else { c })
        .collect();
    if line.len() < text.len() {
        format!("{line}…")
    } else {
        line
    }
}

/// Receives the parts of a text in their order, so that a reader never needs the tree of a whole
/// file.
pub trait Sink<'a> {
    /// Receives an element of one of the [`LISTS`] at the root of a document that may still turn
    /// out to be broken. Returns true if its nodes are no longer needed.
    fn element(&mut self, document: &Document<'a>, id: u32) -> bool;

    /// Receives a document at its end, without the elements that are no longer needed.
    fn document(&mut self, document: Document<'a>);

    /// Receives the problem that makes a document unreadable. Its elements that were received
    /// before do not count.
    fn broken(&mut self, problem: Problem);

    /// Whether the rest of the text need not be read.
    fn is_full(&self) -> bool;
}

/// Lists at the root of a document whose elements are received one by one.
pub const LISTS: [&str; 2] = ["services", "items"];
