//! Masks secrets in text that is packed. In doubt, text is masked.

use serde_json::Value;

/// Text that replaces a secret.
pub(super) const MASK: &str = "***";
/// Words after which a secret may follow, in lower case without separators.
const WORDS: [&str; 11] = [
    "authorization",
    "bearer",
    "token",
    "password",
    "passwd",
    "secret",
    "cookie",
    "apikey",
    "privatekey",
    "credential",
    "signature",
];
/// Words of lines whose quoted values come from users, and may be secrets.
const QUOTING: [&str; 2] = ["header", "annotation"];
/// Keys whose values are masked, whatever they are.
const KEYS: [&str; 5] = ["headers", "annotations", "data", "stringdata", "env"];

/// Masks every line of a text.
pub(super) fn text(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(line).collect()
}

/// Masks the strings of a value, and what is below keys of secrets.
pub(super) fn value(value: Value) -> Value {
    match value {
        Value::String(text) => self::text(&text).into(),
        Value::Array(items) => items.into_iter().map(self::value).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, inside)| {
                let masked = if is_secret(&key) {
                    hidden(inside)
                } else {
                    self::value(unquoted(&key, inside))
                };
                (key, masked)
            })
            .collect(),
        other => other,
    }
}

fn is_secret(key: &str) -> bool {
    let key = plain(key);
    KEYS.contains(&key.as_str()) || WORDS.iter().any(|word| key.contains(word))
}

/// Masks text of a file that an error quotes; the field is named beside it.
fn unquoted(key: &str, value: Value) -> Value {
    match value {
        Value::String(text) if key == "reason" => without_quotes(&text).into(),
        other => other,
    }
}

/// Masks everything but keys.
fn hidden(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(hidden).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, inside)| (key, hidden(inside)))
            .collect(),
        Value::Null => Value::Null,
        _ => MASK.into(),
    }
}

fn line(line: &str) -> String {
    let (line, end) = match line.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (line, ""),
    };
    let anonymous = without_users(line);
    let line = if QUOTING.iter().any(|word| plain(&anonymous).contains(word)) {
        without_quotes(&anonymous)
    } else {
        anonymous
    };
    after_word(&line) + end
}

/// Returns the text in lower case without separators, each character in its place.
fn plain(text: &str) -> String {
    text.to_lowercase().replace(['-', '_', ' '], "")
}

/// Masks what follows the first word of a secret in a line.
fn after_word(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let spelled = WORDS.iter().flat_map(|word| {
        let apart = word.replace("key", "-key");
        [(*word).to_owned(), apart.replace('-', "_"), apart]
    });
    let ends = spelled.filter_map(|word| Some(lower.find(&word)? + word.len()));
    let Some(end) = ends.min() else {
        return line.to_owned();
    };
    // The name of a metric or a setting goes on until a separator.
    let rest = &line[end..];
    let start = rest
        .find([':', '=', ' ', '`', '"'])
        .map_or(rest.len(), |at| at + 1);
    if rest[start..].trim().is_empty() {
        return line.to_owned();
    }
    format!("{}{MASK}", &line[..end + start])
}

/// Masks values between backquotes.
fn without_quotes(line: &str) -> String {
    let parts = line.split('`').enumerate();
    let masked: Vec<&str> = parts
        .map(|(number, part)| if number % 2 == 1 { MASK } else { part })
        .collect();
    masked.join("`")
}

/// Masks user names and passwords in URLs.
fn without_users(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        masked += before;
        masked += "://";
        let end = after
            .find(|c: char| c == '/' || c == '"' || c == '`' || c.is_whitespace())
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                masked += MASK;
                &after[at..]
            }
            None => after,
        };
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_and_other_text_stays() {
        for (line, masked) in [
            (
                "GET https://user:pass@example.com/x y\n",
                "GET https://***@example.com/x y\n",
            ),
            ("Authorization: Bearer canary", "Authorization:***"),
            (
                "metrics_token_file: Some(\"/etc/x\")",
                "metrics_token_file:***",
            ),
            ("X-Api-Key=canary", "X-Api-Key=***"),
            (
                "a.yaml:1: health.headers: expected text, found `canary`",
                "a.yaml:1: health.headers: expected text, found `***`",
            ),
            (
                "found `canary`: no annotation",
                "found `***`: no annotation",
            ),
            (
                "a.yaml:1: port: found `70000`",
                "a.yaml:1: port: found `70000`",
            ),
            ("http://10.0.0.1:80/ is up", "http://10.0.0.1:80/ is up"),
            ("", ""),
        ] {
            assert_eq!(text(line), masked);
        }
    }

    #[test]
    fn values_below_keys_of_secrets_are_masked() {
        let masked = value(json!({
            "name": "cart",
            "headers": [{ "name": "x", "value": "canary" }],
            "annotations": { "any": "canary" },
            "clientSecret": 7,
            "list": ["password: canary"],
        }));
        let expected = json!({
            "name": "cart",
            "headers": [{ "name": MASK, "value": MASK }],
            "annotations": { "any": MASK },
            "clientSecret": MASK,
            "list": ["password:***"],
        });
        assert_eq!(masked, expected);
    }
}
