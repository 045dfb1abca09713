//! Builds documents from parser events.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::{
    problems::Problem,
    tree::{Document, LISTS, Node, Sink, Step, Value},
};

/// Most nesting levels: more than any Kubernetes object has, and few enough for readers that
/// recurse.
const MAX_DEPTH: usize = 64;

/// Most nodes that aliases may add to a document. A few lines of nested aliases could otherwise add
/// billions.
const MAX_COPIED: usize = 100_000;

/// Most values of a document, without elements that are no longer needed: enough for a service with
/// as many endpoints as the maps have rows by default, and for any object of a Kubernetes API
/// server. Each takes about 100 bytes until the document is read.
const MAX_NODES: usize = 800_000;

/// A list or mapping that is still open.
struct Open<'a> {
    id: u32,
    anchor: usize,
    children: u32,
    /// Name and line of the next value, in a mapping.
    key: Option<(Cow<'a, str>, u32)>,
}

/// Takes the events of one parser.
pub struct Builder<'a> {
    /// Lines of the file before the parser's text.
    skipped: u32,
    document: Document<'a>,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, u32>,
    copied: usize,
    /// Index after the nodes that were offered to the sink.
    offered: u32,
}

impl<'a> Builder<'a> {
    /// Creates a builder for a text that follows this many lines of its file.
    pub fn new(skipped: u32) -> Self {
        Self {
            skipped,
            document: Document::default(),
            open: Vec::new(),
            anchors: HashMap::new(),
            copied: 0,
            offered: 0,
        }
    }

    /// Creates a problem at a line of the parser's text.
    pub fn problem(&self, line: usize, reason: impl Into<String>) -> Problem {
        Problem {
            line: self.line(line),
            field: String::new(),
            reason: reason.into(),
        }
    }

    /// Handles the next event, at a line of the parser's text. After an error the document is
    /// unreadable.
    pub fn event(
        &mut self,
        event: Event<'a>,
        line: usize,
        sink: &mut impl Sink<'a>,
    ) -> Result<(), Problem> {
        let at = self.line(line);
        let taken = match event {
            Event::DocumentEnd => self.end_document(at, sink),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(resolve(compact(text), style, tag.as_deref()), anchor, at)
            }
            Event::SequenceStart(anchor, _) => self.open(Value::List, anchor, at),
            Event::MappingStart(anchor, _) => self.open(Value::Map, anchor, at),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.copy(anchor, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                Ok(())
            }
        };
        taken.map_err(|reason| self.problem(line, reason))?;
        self.offer(sink);
        Ok(())
    }

    /// Offers the element that the last event completed, if any.
    fn offer(&mut self, sink: &mut impl Sink<'a>) {
        let [root, list] = &*self.open else { return };
        let first = list.id + 1;
        let (element, end) = (self.offered.max(first), self.next_id());
        // A later alias may refer to a part of it.
        let is_named = root.anchor > 0 || list.anchor > 0 || !self.anchors.is_empty();
        if element == end || !self.is_offered(root.id, list.id) {
            return;
        }
        if sink.element(&self.document, element) && !is_named {
            self.document.nodes.truncate(element as usize);
        }
        self.offered = self.next_id();
    }

    fn is_offered(&self, root: u32, list: u32) -> bool {
        let [root, list] = [root, list].map(|id| &self.document.nodes[id as usize]);
        let named = matches!(&list.step, Step::Name(name) if LISTS.contains(&&**name));
        named && (&root.value, &list.value) == (&Value::Map, &Value::List)
    }

    fn line(&self, line: usize) -> u32 {
        self.skipped + u32::try_from(line).unwrap_or(u32::MAX - self.skipped)
    }

    fn end_document(&mut self, line: u32, sink: &mut impl Sink<'a>) -> Result<(), &'static str> {
        if self.document.nodes.is_empty() {
            self.leaf(Value::Null, line)?;
        }
        self.anchors.clear();
        (self.copied, self.offered) = (0, 0);
        sink.document(std::mem::take(&mut self.document));
        Ok(())
    }

    fn scalar(&mut self, value: Value<'a>, anchor: usize, line: u32) -> Result<(), &'static str> {
        if self.wants_key() {
            self.open.last_mut().expect("a mapping is open").key = Some((key(value)?, line));
        } else {
            let id = self.leaf(value, line)?;
            self.name(anchor, id);
        }
        Ok(())
    }

    fn open(&mut self, value: Value<'a>, anchor: usize, line: u32) -> Result<(), &'static str> {
        if self.wants_key() {
            return Err("a key must be a word, not a list or mapping");
        }
        if self.open.len() == MAX_DEPTH {
            return Err("nested more than 64 levels deep");
        }
        let id = self.leaf(value, line)?;
        self.open.push(Open {
            id,
            anchor,
            children: 0,
            key: None,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), &'static str> {
        let Open { id, anchor, .. } = self
            .open
            .pop()
            .expect("the parser ends only what it started");
        self.document.nodes[id as usize].end = self.next_id();
        self.name(anchor, id);
        if self.document.nodes[id as usize].value == Value::Map {
            self.report_duplicates(id);
        }
        Ok(())
    }

    /// Records the node of an anchor; zero is no anchor.
    fn name(&mut self, anchor: usize, id: u32) {
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
    }

    /// Repeats the subtree of an anchor.
    fn copy(&mut self, anchor: usize, line: u32) -> Result<(), &'static str> {
        if self.wants_key() {
            return Err("a key must be a word, not an alias");
        }
        let from = *self
            .anchors
            .get(&anchor)
            .ok_or("an alias inside of what it stands for")?;
        let node = self.document.nodes[from as usize].clone();
        self.copied += (node.end - from) as usize;
        if self.copied > MAX_COPIED {
            return Err("aliases stand for more than 100000 values");
        }
        let to = self.leaf(node.value, line)?;
        for id in from + 1..node.end {
            let child = self.document.nodes[id as usize].clone();
            let (parent, end) = (child.parent - from + to, child.end - from + to);
            self.document.nodes.push(Node {
                parent,
                end,
                ..child
            });
        }
        self.document.nodes[to as usize].end = self.next_id();
        Ok(())
    }

    /// Whether the next event is a key of a mapping.
    fn wants_key(&self) -> bool {
        let open = self.open.last();
        open.is_some_and(|open| {
            open.key.is_none() && self.document.nodes[open.id as usize].value == Value::Map
        })
    }

    /// Adds a node without children to the open list or mapping, and returns its index.
    fn leaf(&mut self, value: Value<'a>, line: u32) -> Result<u32, &'static str> {
        if self.document.nodes.len() == MAX_NODES {
            return Err("one object or document holds more than 800000 values");
        }
        let id = self.next_id();
        let (parent, step, line) = match self.open.last_mut() {
            None => (id, Step::Root, line),
            Some(Open {
                id,
                key: key @ Some(_),
                ..
            }) => {
                let (name, line) = key.take().expect("matched");
                (*id, Step::Name(name), line)
            }
            Some(Open { id, children, .. }) => {
                *children += 1;
                (*id, Step::Index(*children - 1), line)
            }
        };
        self.document.nodes.push(Node {
            line,
            parent,
            step,
            end: id + 1,
            value,
        });
        Ok(id)
    }

    fn next_id(&self) -> u32 {
        u32::try_from(self.document.nodes.len()).expect("the text is shorter than 4 GiB")
    }

    /// Reports duplicate keys, which the parser accepts; the first value would be lost silently.
    fn report_duplicates(&self, map: u32) {
        let mut names: Vec<(&str, u32)> = Vec::new();
        let mut id = map + 1;
        while id < self.document.nodes[map as usize].end {
            let node = &self.document.nodes[id as usize];
            if let Step::Name(name) = &node.step {
                names.push((name, id));
            }
            id = node.end;
        }
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let line = |id: u32| self.document.nodes[id as usize].line;
            let reason = format!("given twice, first on line {}", line(pair[0].1));
            let problem = Problem {
                line: line(pair[1].1),
                field: self.document.path(pair[1].1),
                reason,
            };
            self.document.problems.borrow_mut().push(problem);
        }
    }
}

/// Copies a text for which the parser reserved 128 bytes into one of its length. To shrink it would
/// leave holes that no other text fits into.
fn compact(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Owned(text) => Cow::Owned(text.as_str().to_owned()),
        Cow::Borrowed(_) => text,
    }
}

/// Returns the key that a scalar is.
fn key(value: Value<'_>) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Value::Text(text) if text == "<<" => Err("merge keys (`<<`) are not supported"),
        Value::Text(text) | Value::Number(text) => Ok(text),
        Value::Bool(yes) => Ok(if yes { "true" } else { "false" }.into()),
        Value::Null => Ok("null".into()),
        Value::List | Value::Map => unreachable!("not a scalar"),
    }
}

/// Resolves a scalar as the YAML 1.2 core schema does.
/// <https://yaml.org/spec/1.2.2/#1032-tag-resolution>
fn resolve<'a>(text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value<'a> {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Value::Text(text);
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        word if word.contains(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok() => {
            Value::Number(text)
        }
        _ => Value::Text(text),
    }
}
