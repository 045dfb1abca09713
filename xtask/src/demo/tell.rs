//! Output of the demo: numbered steps, facts below them, and whether they are as expected.

use std::io::{IsTerminal, stdout};

/// Writes to standard output, and collects facts that are not as expected.
pub struct Tell {
    step: u32,
    broken: Vec<String>,
    colour: bool,
}

impl Tell {
    /// Creates the output; coloured on a terminal, unless `NO_COLOR` is set.
    pub fn new() -> Self {
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            step: 0,
            broken: Vec::new(),
            colour,
        }
    }

    /// Prints the next step, one sentence.
    pub fn step(&mut self, sentence: &str) {
        self.step += 1;
        println!(
            "\n{}",
            self.paint("1", &format!("{:>2}  {sentence}", self.step))
        );
    }

    /// Prints a command with which a user sees the same.
    pub fn command(&self, line: &str) {
        println!("    {}", self.paint("2", &format!("$ {line}")));
    }

    /// Prints facts.
    pub fn lines<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            println!("    {}", line.as_ref());
        }
    }

    /// Prints a fact, and whether it is as expected.
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

    /// Returns the facts that are not as expected.
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
