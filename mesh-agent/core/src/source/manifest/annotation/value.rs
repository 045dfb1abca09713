//! The tree of an annotation's text, which is YAML or JSON.

use crate::source::{
    document::{self, Document, Graft, Node, Step, Value},
    field::Field,
};

/// The nodes of one value, in the order of a document, and where it comes from.
pub struct Tree<'a> {
    /// The value, then everything in it.
    pub nodes: Vec<Node<'a>>,
    /// The annotation.
    pub graft: Graft,
    /// Line of the annotation.
    pub line: u32,
}

impl<'a> Tree<'a> {
    /// Parses an annotation, and reports a text that cannot be parsed.
    pub fn parse(annotation: Field<'a>) -> Self {
        let nodes = document(annotation).map(|document| document.nodes);
        let graft = Graft {
            path: annotation.path(),
            is_reported: nodes.is_none(),
        };
        Self {
            nodes: nodes.unwrap_or_else(|| vec![node(Value::Null, 0, Step::Root, 1)]),
            graft,
            line: annotation.line(),
        }
    }

    /// Makes a list of a text like `node, zone`; of an empty text, an empty list.
    pub fn split(&mut self) {
        let words: Vec<String> = match &self.nodes[0].value {
            Value::Text(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
            Value::Null if !self.graft.is_reported => Vec::new(),
            _ => return,
        };
        let count = u32::try_from(words.len()).expect("an annotation is shorter than 4 GiB");
        self.nodes = vec![node(Value::List, 0, Step::Root, count + 1)];
        let elements = (0..)
            .zip(words)
            .map(|(index, word)| node(Value::Text(word.into()), 0, Step::Index(index), index + 2));
        self.nodes.extend(elements);
    }
}

fn document<'a>(annotation: Field<'a>) -> Option<Document<'a>> {
    let Value::Text(text) = annotation.value() else {
        return annotation.expected("text, in quotes");
    };
    // An empty text counts as `null`.
    let text: &str = if text.trim().is_empty() { "~" } else { text };
    let (mut documents, problems) = document::parse(text);
    if !problems.is_empty() {
        for problem in problems {
            annotation.report(problem.reason);
        }
        return None;
    }
    match documents.len() {
        1 => documents.pop(),
        _ => annotation.expected("one YAML or JSON value"),
    }
}

fn node<'a>(value: Value<'a>, parent: u32, step: Step<'a>, end: u32) -> Node<'a> {
    Node {
        line: 0,
        parent,
        step,
        end,
        value,
    }
}
