//! JSON to the events that YAML gives. The YAML parser holds all of a `{…}` in memory until it knows what follows it, at
//! a hundred times its size.

use std::borrow::Cow;

use saphyr_parser::{Event, ScalarStyle};
use serde::de::IgnoredAny;

use super::{Problem, Sink, build::Builder};

/// Whether a text is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Feeds one JSON value to the builder, as a document.
pub fn stream<'a>(text: &'a str, builder: &mut Builder<'a>, sink: &mut impl Sink<'a>) -> Result<(), Problem> {
    let mut json = Json { text, at: 0, line: 1, builder, sink };
    json.event(Event::DocumentStart(false))?;
    json.value()?;
    json.skip_blanks();
    if json.at < text.len() {
        return Err(json.wrong("nothing but blanks may follow the value"));
    }
    json.event(Event::DocumentEnd)
}

/// A text that is being read.
struct Json<'a, 'b, S> {
    text: &'a str,
    /// Bytes that are read.
    at: usize,
    /// From one.
    line: usize,
    builder: &'b mut Builder<'a>,
    sink: &'b mut S,
}

impl<'a, S: Sink<'a>> Json<'a, '_, S> {
    /// The builder bounds how deep this recurses.
    fn value(&mut self) -> Result<(), Problem> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.list(Event::MappingStart(0, None), Event::MappingEnd, b'}', Self::member),
            Some(b'[') => self.list(Event::SequenceStart(0, None), Event::SequenceEnd, b']', Self::value),
            Some(b'"') => self.string(),
            _ => self.word(),
        }
    }

    fn list(
        &mut self,
        start: Event<'a>,
        end: Event<'a>,
        close: u8,
        element: fn(&mut Self) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.at += 1;
        self.event(start)?;
        self.skip_blanks();
        if self.take(close) {
            return self.event(end);
        }
        loop {
            element(self)?;
            self.skip_blanks();
            if self.sink.is_full() {
                return Ok(());
            }
            if self.take(close) {
                return self.event(end);
            }
            if !self.take(b',') {
                return Err(self.wrong(&format!("expected `,` or `{}`", char::from(close))));
            }
        }
    }

    fn member(&mut self) -> Result<(), Problem> {
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected a name in double quotes"));
        }
        self.string()?;
        self.skip_blanks();
        if !self.take(b':') {
            return Err(self.wrong("expected `:` after a name"));
        }
        self.value()
    }

    fn string(&mut self) -> Result<(), Problem> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let mut escaped = false;
        let end = rest.iter().position(|byte| {
            let is_end = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            is_end || *byte < b' '
        });
        let Some(end) = end.filter(|end| rest[*end] == b'"') else {
            return Err(self.wrong("a text without an end"));
        };
        let inner = &self.text[self.at + 1..self.at + 1 + end];
        let text: Cow<'a, str> = if inner.contains('\\') {
            let quoted = &self.text[self.at..self.at + end + 2];
            serde_json::from_str::<String>(quoted).map_err(|_| self.wrong("an escape that JSON does not know"))?.into()
        } else {
            inner.into()
        };
        self.at += end + 2;
        self.event(Event::Scalar(text, ScalarStyle::DoubleQuoted, 0, None))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), Problem> {
        let rest = &self.text[self.at..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        if !is_json(word) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        self.event(Event::Scalar(word.into(), ScalarStyle::Plain, 0, None))
    }

    fn skip_blanks(&mut self) {
        while let Some(blank @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.line += usize::from(blank == b'\n');
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn event(&mut self, event: Event<'a>) -> Result<(), Problem> {
        self.builder.event(event, self.line, self.sink)
    }

    fn wrong(&self, reason: &str) -> Problem {
        self.builder.problem(self.line, format!("not JSON: {reason}"))
    }
}
