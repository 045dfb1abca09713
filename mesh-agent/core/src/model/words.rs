//! Types whose values are written as words, in configuration, API, meshctl and logs.

/// A type whose values are written as words.
pub trait Words: Copy + 'static {
    /// One value for each word, in the order of messages and documents.
    const ALL: &'static [Self];

    /// Whether `leastConnections` may be written as `least-connections`, too.
    const HYPHENS: bool = false;

    /// Returns the word.
    fn word(self) -> &'static str;

    /// Returns the value of a word.
    fn of_word(word: &str) -> Option<Self> {
        let is = |value: &Self| {
            value.word() == word || Self::HYPHENS && hyphenated(value.word()) == word
        };
        Self::ALL.iter().copied().find(is)
    }

    /// Returns all words: `local, remote or none`
    fn any() -> String {
        let words: Vec<&str> = Self::ALL.iter().map(|value| value.word()).collect();
        let (last, first) = words.split_last().expect("each type has a word");
        format!("{} or {last}", first.join(", "))
    }
}

/// Returns `least-connections` for `leastConnections`.
pub fn hyphenated(word: &str) -> String {
    word.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}
