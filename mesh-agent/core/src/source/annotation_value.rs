//! Reads annotation values: YAML or JSON inside a text, with the reader of the native field of the
//! same meaning.

use super::{
    document::{self, Problem},
    field::Field,
};

/// Reads the document in a text. Problems are reported with the line of the text, and with the
/// annotation's name before the path.
pub fn annotation_value<T>(
    field: Field<'_>,
    read: impl FnOnce(Field<'_>) -> Option<T>,
) -> Option<T> {
    let Some(text) = field.value().text() else {
        return field.expected("text, in quotes");
    };
    // An empty text counts as `null`.
    let (documents, mut problems) =
        document::parse(if text.trim().is_empty() { "~" } else { text });
    let value = match &*documents {
        [document] if problems.is_empty() => {
            let value = read(Field::root(document));
            problems.append(&mut document.problems.take().into_sorted().0);
            value
        }
        _ if problems.is_empty() => field.expected("one YAML or JSON value"),
        _ => None,
    };
    for Problem {
        line: _,
        field: path,
        reason,
    } in problems
    {
        field.report_inside(&path, reason);
    }
    value
}
