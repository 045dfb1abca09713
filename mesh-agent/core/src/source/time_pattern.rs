//! Bounds of durations as a pattern for the JSON Schema, in which a duration is text: matches a whole
//! number with one unit that is out of bounds. The reader checks all other forms.

/// The units that most durations are written in, and their milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// Returns a pattern of the durations below `min` or above `max`, in milliseconds.
pub fn outside(min: u64, max: u64) -> String {
    let units = UNITS.map(|(unit, milliseconds)| {
        let (least, most) = (min.div_ceil(milliseconds), max / milliseconds);
        let numbers = [below(least), above(most)].concat();
        format!("^({}){unit}$", numbers.join("|"))
    });
    units.join("|")
}

/// Returns patterns of the whole numbers below `limit`, without leading zeros.
fn below(limit: u64) -> Vec<String> {
    let digits = limit.to_string();
    let shorter = (1..digits.len()).map(|length| format!("[1-9][0-9]{{{}}}", length - 1));
    let zero = (limit > 0).then(|| "0".to_owned());
    let as_long = branches(&digits, |first, digit| {
        let least = if first { b'1' } else { b'0' };
        (least, digit - 1)
    });
    zero.into_iter().chain(shorter).chain(as_long).collect()
}

/// Returns patterns of the whole numbers above `limit`, without leading zeros.
fn above(limit: u64) -> Vec<String> {
    let digits = limit.to_string();
    let longer = format!("[1-9][0-9]{{{},}}", digits.len());
    let as_long = branches(&digits, |_, digit| (digit + 1, b'9'));
    as_long.chain([longer]).collect()
}

/// Returns patterns of numbers with as many digits, which differ first at one digit. `other` returns
/// the range of digits there.
fn branches(digits: &str, other: impl Fn(bool, u8) -> (u8, u8)) -> impl Iterator<Item = String> {
    digits.bytes().enumerate().filter_map(move |(at, digit)| {
        let (from, to) = other(at == 0, digit);
        let rest = digits.len() - at - 1;
        let (from_digit, to_digit, same) = (char::from(from), char::from(to), &digits[..at]);
        (from <= to).then(|| format!("{same}[{from_digit}-{to_digit}][0-9]{{{rest}}}"))
    })
}
