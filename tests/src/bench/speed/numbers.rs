//! Formats numbers for tables.

/// Formats a number with its significant digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => grouped(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Formats a whole number with commas.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < -0.5 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let numbers = [0.034, 12.345, 678.9, 1234.5, 1_234_567.0, -20_000.4];
        assert_eq!(
            numbers.map(number),
            ["0.03", "12.3", "679", "1,234", "1,234,567", "-20,000"]
        );
        assert_eq!(grouped(0.2), "0");
    }
}
