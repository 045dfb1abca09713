//! Escapes text from files, names and peers for terminals and logs.

/// Returns the text with control and formatting characters escaped, so that it neither moves the
/// cursor nor changes the order of the rest of the line.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match is_hidden(c) {
            true => printable.extend(c.escape_default()),
            false => printable.push(c),
        }
    }
    printable
}

/// Returns the text with each line escaped by itself.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Whether a character is a control character, a direction mark
/// (<https://www.unicode.org/reports/tr9/>), a line separator, or has no width.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_neither_moves_the_cursor_nor_reverses_the_line() {
        assert_eq!(printable("shop/cärt ☕ 店"), "shop/cärt ☕ 店");
        assert_eq!(printable("a\u{1b}[31mb\nc\td"), r"a\u{1b}[31mb\nc\td");
        assert_eq!(
            printable("\u{202e}lmay.exe\u{2066}\u{200f}\u{85}"),
            r"\u{202e}lmay.exe\u{2066}\u{200f}\u{85}"
        );
    }
}
