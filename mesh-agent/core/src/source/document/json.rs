//! Parses JSON to the events of the YAML parser: strictly by RFC 8259, one value per text, without
//! recursion.

use std::borrow::Cow;

use saphyr_parser::{Event, ScalarStyle};
use serde::de::IgnoredAny;

/// An event and its line.
pub type EventResult<'a> = Result<(Event<'a>, usize), SyntaxError>;

/// A syntax error and its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// Line, from one.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub reason: String,
}

/// Whether a text is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Parser state: what may come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The beginning.
    Start,
    /// A value.
    Value,
    /// A value, or the end of an empty list.
    ValueOrEnd,
    /// A key.
    Name,
    /// A key, or the end of an empty mapping.
    NameOrEnd,
    /// The colon between a key and its value.
    Colon,
    /// Another value of the list or mapping, or its end.
    CommaOrEnd,
    /// The end of the text.
    End,
    /// Nothing.
    Nothing,
}

/// Reads a text event by event; ends after an error.
pub struct Events<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    next: Next,
    /// Closing brackets of the open lists and mappings, the innermost last.
    open: Vec<u8>,
}

impl<'a> Events<'a> {
    /// Starts at the beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            next: Next::Start,
            open: Vec::new(),
        }
    }

    fn step(&mut self) -> Result<Option<Event<'a>>, String> {
        self.skip_space();
        let byte = self.text.as_bytes().get(self.at).copied();
        match (self.next, byte) {
            (Next::Start, _) => Ok(Some(self.and(Next::Value, Event::DocumentStart(true)))),
            (Next::End, None) => Ok(Some(self.and(Next::Nothing, Event::DocumentEnd))),
            (Next::Value | Next::ValueOrEnd, Some(b'{')) => Ok(Some(self.open(b'}'))),
            (Next::Value | Next::ValueOrEnd, Some(b'[')) => Ok(Some(self.open(b']'))),
            (Next::Value | Next::ValueOrEnd, Some(b'"')) => {
                self.string().map(|text| Some(self.value(text)))
            }
            (Next::Name | Next::NameOrEnd, Some(b'"')) => {
                let name = self.string()?;
                Ok(Some(self.and(Next::Colon, name)))
            }
            (Next::ValueOrEnd | Next::NameOrEnd | Next::CommaOrEnd, Some(end))
                if self.open.last() == Some(&end) =>
            {
                Ok(Some(self.close()))
            }
            (Next::Colon, Some(b':')) => Ok(self.pass(Next::Value)),
            (Next::CommaOrEnd, Some(b',')) if self.open.last() == Some(&b'}') => {
                Ok(self.pass(Next::Name))
            }
            (Next::CommaOrEnd, Some(b',')) => Ok(self.pass(Next::Value)),
            (Next::Value | Next::ValueOrEnd, Some(_)) => self.word().map(Some),
            _ => Err(self.expected(self.wanted())),
        }
    }

    /// Skips a character that is no event.
    fn pass(&mut self, next: Next) -> Option<Event<'a>> {
        self.at += 1;
        self.next = next;
        None
    }

    fn and(&mut self, next: Next, event: Event<'a>) -> Event<'a> {
        self.next = next;
        event
    }

    fn open(&mut self, end: u8) -> Event<'a> {
        self.at += 1;
        self.open.push(end);
        match end {
            b'}' => self.and(Next::NameOrEnd, Event::MappingStart(0, None)),
            _ => self.and(Next::ValueOrEnd, Event::SequenceStart(0, None)),
        }
    }

    fn close(&mut self) -> Event<'a> {
        self.at += 1;
        let event = if self.open.pop() == Some(b'}') {
            Event::MappingEnd
        } else {
            Event::SequenceEnd
        };
        self.value(event)
    }

    /// Returns a value's event and sets the next state, which depends on the enclosing list or
    /// mapping.
    fn value(&mut self, event: Event<'a>) -> Event<'a> {
        let next = if self.open.is_empty() {
            Next::End
        } else {
            Next::CommaOrEnd
        };
        self.and(next, event)
    }

    /// Reads a number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Event<'a>, String> {
        let rest = &self.text[self.at..];
        let ends = |c: char| !(c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c));
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if !is_json(word) {
            return Err(self.expected("a value (texts stand in double quotes)"));
        }
        self.at += word.len();
        Ok(self.value(Event::Scalar(
            Cow::Borrowed(word),
            ScalarStyle::Plain,
            0,
            None,
        )))
    }

    fn string(&mut self) -> Result<Event<'a>, String> {
        let rest = &self.text[self.at..];
        let length = end_of_string(rest).ok_or("a text without its closing `\"`")?;
        let quoted = &rest[..length];
        let inside = &quoted[1..length - 1];
        let is_plain = !inside.bytes().any(|byte| byte == b'\\' || byte < b' ');
        let text = if is_plain {
            Cow::Borrowed(inside)
        } else {
            Cow::Owned(unescaped(quoted)?)
        };
        self.at += length;
        Ok(Event::Scalar(text, ScalarStyle::DoubleQuoted, 0, None))
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let space = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let (length, lines) = space.fold((0, 0), |(length, lines), byte| {
            (length + 1, lines + usize::from(*byte == b'\n'))
        });
        self.at += length;
        self.line += lines;
    }

    fn wanted(&self) -> &'static str {
        match (self.next, self.open.last()) {
            (Next::Name | Next::NameOrEnd, _) => "a name in double quotes",
            (Next::Colon, _) => "`:`",
            (Next::CommaOrEnd, Some(b'}')) => "`,` or `}`",
            (Next::CommaOrEnd, _) => "`,` or `]`",
            (Next::End, _) => "the end of the file, because a JSON file holds one value",
            (Next::Start | Next::Value | Next::ValueOrEnd | Next::Nothing, _) => "a value",
        }
    }

    fn expected(&self, what: &str) -> String {
        let first = self.text[self.at..]
            .split(|c: char| c.is_whitespace() || ",:[]{}\"".contains(c))
            .next();
        let word: String = first.unwrap_or_default().chars().take(20).collect();
        match self.text[self.at..].chars().next() {
            None => format!("expected {what}, found the end of the file"),
            Some(first) if word.is_empty() => format!("expected {what}, found `{first}`"),
            // A file that is no list or mapping is no service file and may be secret, so its text
            // is not quoted.
            Some(_) if self.open.is_empty() => format!("expected {what}, found other text"),
            Some(_) => format!("expected {what}, found `{word}`"),
        }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = EventResult<'a>;

    fn next(&mut self) -> Option<EventResult<'a>> {
        while self.next != Next::Nothing {
            match self.step() {
                Ok(Some(event)) => return Some(Ok((event, self.line))),
                Ok(None) => {}
                Err(reason) => {
                    self.next = Next::Nothing;
                    let reason = format!("not JSON: {reason}");
                    return Some(Err(SyntaxError {
                        line: self.line,
                        reason,
                    }));
                }
            }
        }
        None
    }
}

/// Returns the length of the quoted string at the beginning.
fn end_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map(|position| position + 2)
}

fn unescaped(quoted: &str) -> Result<String, String> {
    let wrong = "a text with a line break or another control character, or with an escape that JSON does not have";
    serde_json::from_str(quoted).map_err(|_| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(text: &str) -> String {
        let error = Events::new(text).find_map(Result::err);
        let SyntaxError { line, reason } = error.expect("it is not JSON");
        format!("{line}: {reason}")
    }

    #[test]
    fn what_is_not_json_is_told_with_its_line() {
        let expected = [
            (
                "",
                "1: not JSON: expected a value, found the end of the file",
            ),
            (
                "\n{\n  \"a\": 1,\n}\n",
                "4: not JSON: expected a name in double quotes, found `}`",
            ),
            (
                "[1,]",
                "1: not JSON: expected a value (texts stand in double quotes), found `]`",
            ),
            ("{\"a\" 1}", "1: not JSON: expected `:`, found `1`"),
            (
                "{\"a\": 1 \"b\": 2}",
                "1: not JSON: expected `,` or `}`, found `\"`",
            ),
            ("[1}", "1: not JSON: expected `,` or `]`, found `}`"),
            (
                "{a: 1}",
                "1: not JSON: expected a name in double quotes, found `a`",
            ),
            (
                "{'a': 1}",
                "1: not JSON: expected a name in double quotes, found `'a'`",
            ),
            (
                "services: []",
                "1: not JSON: expected a value (texts stand in double quotes), found other text",
            ),
            (
                "{} # comment",
                "1: not JSON: expected the end of the file, because a JSON file holds one value, found other text",
            ),
            (
                "{}\n{}",
                "2: not JSON: expected the end of the file, because a JSON file holds one value, found `{`",
            ),
            (
                "[01]",
                "1: not JSON: expected a value (texts stand in double quotes), found `01`",
            ),
            (
                "[.5]",
                "1: not JSON: expected a value (texts stand in double quotes), found `.5`",
            ),
            (
                "[TRUE]",
                "1: not JSON: expected a value (texts stand in double quotes), found `TRUE`",
            ),
            ("[\"a", "1: not JSON: a text without its closing `\"`"),
            (
                "{\"a\": [1, {\"b\"",
                "1: not JSON: expected `:`, found the end of the file",
            ),
        ];
        for (text, right) in expected {
            assert_eq!(wrong(text), right, "{text}");
        }
        let control = "a text with a line break or another control character, or with an escape that JSON does not have";
        assert_eq!(wrong("[\"a\nb\"]"), format!("1: not JSON: {control}"));
        assert_eq!(wrong("[\"\\x\"]"), format!("1: not JSON: {control}"));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from);
            let map = prop::collection::hash_map(any::<String>(), inner, 0..6);
            prop_oneof![
                list,
                map.prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
            ]
        })
    }

    /// Takes events until the value that begins is whole.
    fn value<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Option<serde_json::Value> {
        match events.next()? {
            Event::Scalar(text, ScalarStyle::DoubleQuoted, _, _) => Some(text.into()),
            Event::Scalar(text, _, _, _) => serde_json::from_str(&text).ok(),
            Event::SequenceStart(..) => Some(std::iter::from_fn(|| value(events)).collect()),
            Event::MappingStart(..) => {
                let pairs = std::iter::from_fn(|| {
                    Some((value(events)?.as_str()?.to_owned(), value(events)?))
                });
                Some(serde_json::Value::Object(pairs.collect()))
            }
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_back(written in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&written) } else { serde_json::to_string(&written) };
            let text = text.unwrap();
            let events: Vec<_> = Events::new(&text).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(events.last().map(|(_, line)| *line), Some(text.lines().count().max(1)));
            let mut events = events.into_iter().map(|(event, _)| event).skip(1);
            let same: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(value(&mut events), Some(same));
        }

        #[test]
        fn what_serde_refuses_is_refused(text in r#"[\[\]{}:,"\\01e.a \n-]{0,12}"#) {
            let refused = Events::new(&text).any(|event| event.is_err());
            prop_assert_eq!(refused, serde_json::from_str::<serde_json::Value>(&text).is_err(), "{}", text);
        }
    }
}
