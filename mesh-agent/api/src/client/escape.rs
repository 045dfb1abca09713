//! Escapes parts of URLs.

use std::fmt::Write as _;

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(super) fn escape(part: &str) -> String {
    part.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => write!(escaped, "%{byte:02X}").expect("writing to a string does not fail"),
        }
        escaped
    })
}
