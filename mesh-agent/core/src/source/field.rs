//! Fields of a document: each knows its line and path, and reports problems there.
//!
//! Readers do not stop at the first problem: they use `None` for a value that cannot be read,
//! continue, and find every problem of the file in one pass.

use super::document::{Document, Problem, Problems, Step, Value, shortened};

/// A value somewhere in a document.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    document: &'a Document<'a>,
    id: u32,
}

impl<'a> Field<'a> {
    /// Returns the whole document.
    pub fn root(document: &'a Document<'a>) -> Self {
        Self { document, id: 0 }
    }

    /// Returns one value of a document.
    pub fn at(document: &'a Document<'a>, id: u32) -> Self {
        Self { document, id }
    }

    /// Returns another value of the same document.
    pub fn nth(self, id: u32) -> Self {
        Self { id, ..self }
    }

    /// Returns the number of problems of the document so far.
    pub fn problems(self) -> usize {
        self.document.problems.borrow().len()
    }

    /// Returns the value.
    pub fn value(self) -> &'a Value<'a> {
        &self.document.nodes[self.id as usize].value
    }

    /// Returns the line of its key, from one.
    pub fn line(self) -> u32 {
        self.document.nodes[self.id as usize].line
    }

    /// Returns its path as a user would write it.
    pub fn path(self) -> String {
        self.document.path(self.id)
    }

    /// Returns its name, if it is in a mapping.
    pub fn name(self) -> Option<&'a str> {
        match &self.document.nodes[self.id as usize].step {
            Step::Name(name) => Some(name),
            Step::Root | Step::Index(_) => None,
        }
    }

    /// Returns the direct children of this list or mapping.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let end = self.document.nodes[self.id as usize].end;
        let first = (self.id + 1 < end).then_some(Self {
            id: self.id + 1,
            ..self
        });
        std::iter::successors(first, move |child| {
            let id = self.document.nodes[child.id as usize].end;
            (id < end).then_some(Self { id, ..self })
        })
    }

    /// Returns a field of this mapping; `null` counts as absent.
    pub fn get(self, name: &str) -> Option<Self> {
        self.children()
            .find(|child| child.name() == Some(name) && !child.is_absent())
    }

    /// Whether the value is `null`. An annotation without text is not absent.
    pub fn is_absent(self) -> bool {
        *self.value() == Value::Null && !self.document.grafts.contains_key(&self.id)
    }

    /// Whether the value could not be parsed, which is reported.
    pub fn is_reported(self) -> bool {
        let graft = self.document.grafts.get(&self.id);
        graft.is_some_and(|graft| graft.is_reported)
    }

    /// Returns a field of this mapping; reports it if it is absent.
    pub fn required(self, name: &str) -> Option<Self> {
        let found = self.get(name);
        if found.is_none() && *self.value() == Value::Map {
            let path = self.document.path(self.id);
            let field = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            self.problem(field, "missing".to_owned());
        }
        found
    }

    /// Reads a field of this mapping, or returns the default if it is absent.
    pub fn or<T>(self, name: &str, absent: T, read: impl FnOnce(Self) -> Option<T>) -> Option<T> {
        self.get(name).map_or(Some(absent), read)
    }

    /// Returns the elements of a list in this mapping; none if it is absent.
    pub fn list(self, name: &str) -> impl Iterator<Item = Self> + use<'a> {
        let list = self.get(name).and_then(|list| match list.value() {
            Value::List => Some(list),
            _ => list.expected("a list"),
        });
        list.into_iter().flat_map(Self::children)
    }

    /// Returns this field if it is a mapping; otherwise reports it.
    pub fn mapping(self) -> Option<Self> {
        match self.value() {
            Value::Map => Some(self),
            _ => self.expected("a mapping"),
        }
    }

    /// Returns its text; reports another type.
    pub fn text(self) -> Option<&'a str> {
        match self.value() {
            Value::Text(text) => Some(text),
            _ => self.expected("text"),
        }
    }

    /// Returns its boolean; reports another type.
    pub fn boolean(self) -> Option<bool> {
        match self.value() {
            Value::Bool(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// Reports every field of this mapping that is not among `known`.
    pub fn only(self, known: &[&str]) {
        for child in self.children() {
            if child.name().is_some_and(|name| !known.contains(&name)) {
                child.report(match known {
                    [] => "unknown field: expected an empty mapping".to_owned(),
                    _ => format!("unknown field; known here: {}", known.join(", ")),
                });
            }
        }
    }

    /// Reports that the value is not what was expected, and returns nothing.
    pub fn expected<T>(self, what: &str) -> Option<T> {
        let found = match self.value() {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Text(text) if is_like_another_type(text) => {
                format!("the text `\"{}\"`", shortened(text))
            }
            Value::Number(text) | Value::Text(text) => format!("`{}`", shortened(text)),
            Value::List => "a list".to_owned(),
            Value::Map => "a mapping".to_owned(),
        };
        self.error(format!("{}, found {found}", expected(what)))
    }

    /// Reports a problem with this field, and returns nothing.
    pub fn error<T>(self, reason: impl Into<String>) -> Option<T> {
        self.report(reason);
        None
    }

    /// Reports a problem with this field.
    pub fn report(self, reason: impl Into<String>) {
        self.problem(self.document.path(self.id), reason.into());
    }

    /// Reports the problems of a document that is made of fields of this one.
    pub fn report_all(self, problems: Problems) {
        self.document.problems.borrow_mut().append(problems);
    }

    fn problem(self, field: String, reason: String) {
        self.document.problems.borrow_mut().push(Problem {
            line: self.line(),
            field,
            reason,
        });
    }
}

/// Returns the message about a value that has another form. Editors show it as well.
pub fn expected(form: &str) -> String {
    format!("expected {form}")
}

/// Returns all items or nothing. Unlike `collect`, it evaluates all items after one is missing.
pub fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}

/// Whether a text would be a number or a boolean without its quotes.
fn is_like_another_type(text: &str) -> bool {
    text.parse::<f64>().is_ok() || matches!(text, "true" | "false" | "null")
}
