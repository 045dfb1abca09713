//! Default and range of a field in words, for the manual and for editors.

use schemars::Schema;
use serde_json::Value;

/// Adds defaults and ranges to the descriptions of the fields of a mapping.
pub fn describe(mapping: &mut Schema) {
    let required = required(mapping.as_value()).to_vec();
    let Some(Value::Object(fields)) = mapping.get_mut("properties") else {
        return;
    };
    for (name, field) in fields {
        let is_required = required.contains(&name.as_str().into());
        let needed = is_required.then(|| "Required.".to_owned());
        let default = default(field).map(|it| format!("Default: {it}."));
        // Editors list the words of an `enum` themselves.
        let bounds = Some(range(field)).filter(|it| !it.is_empty() && field.get("enum").is_none());
        let range = bounds.map(|it| format!("Range: {it}."));
        let hints: Vec<String> = [needed, default, range].into_iter().flatten().collect();
        if let Some(Value::String(description)) = field.get_mut("description")
            && !hints.is_empty()
        {
            *description = format!("{description}\n\n{}", hints.join(" "));
        }
    }
}

/// Returns the names of the fields that a mapping must have.
pub fn required(mapping: &Value) -> &[Value] {
    mapping["required"].as_array().map_or(&[], Vec::as_slice)
}

/// Returns the default of a field.
pub fn default(field: &Value) -> Option<String> {
    match (field["x-default"].as_str(), &field["default"]) {
        (Some(words), _) => Some(words.to_owned()),
        (None, Value::Null) => None,
        (None, Value::String(word)) if field.get("x-range").is_none() => Some(format!("`{word}`")),
        (None, Value::String(text)) => Some(text.clone()),
        (None, value) => Some(value.to_string()),
    }
}

/// Returns the range of the values of a field, or nothing.
pub fn range(field: &Value) -> String {
    let words = field["enum"]
        .as_array()
        .or(field["items"]["enum"].as_array());
    match (field["x-range"].as_str(), words) {
        (Some(range), _) => range.to_owned(),
        (None, Some(words)) => {
            let words = words.iter().filter_map(Value::as_str);
            words
                .map(|it| format!("`{it}`"))
                .collect::<Vec<_>>()
                .join(", ")
        }
        (None, None) if field["minimum"].is_number() => {
            format!("{}–{}", field["minimum"], field["maximum"])
        }
        (None, None) => String::new(),
    }
}
