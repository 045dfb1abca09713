//! The story on the terminal: numbered steps, facts below them, and what was expected of them.

use std::io::{IsTerminal, stdout};

/// Writes to standard output and remembers broken expectations.
pub struct Tell {
    step: u32,
    broken: Vec<String>,
    colour: bool,
}

impl Tell {
    /// Coloured on a terminal, unless `NO_COLOR` is set.
    pub fn new() -> Self {
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            step: 0,
            broken: Vec::new(),
            colour,
        }
    }

    /// The next step, in one sentence.
    pub fn step(&mut self, sentence: &str) {
        self.step += 1;
        println!(
            "\n{}",
            self.paint("1", &format!("{:>2}  {sentence}", self.step))
        );
    }

    /// What the user could type to see the same.
    pub fn command(&self, line: &str) {
        println!("    {}", self.paint("2", &format!("$ {line}")));
    }

    /// Facts.
    pub fn lines<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            println!("    {}", line.as_ref());
        }
    }

    /// A fact that was promised.
    pub fn expect(&mut self, holds: bool, fact: &str) {
        let mark = if holds {
            self.paint("32", "✓")
        } else {
            self.paint("31", "✗")
        };
        println!("    {mark} {fact}");
        if !holds {
            self.broken.push(format!("step {}: {fact}", self.step));
        }
    }

    /// All promises that did not hold.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
