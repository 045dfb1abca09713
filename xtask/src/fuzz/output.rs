//! Parses the output of libFuzzer.

/// Figures of a run.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Figures {
    executions: u64,
    /// Edges of the control flow that were reached.
    edges: u64,
    /// Inputs that reach them.
    inputs: u64,
    per_second: u64,
    /// Inputs that break a rule.
    pub failed: Vec<String>,
}

impl Figures {
    /// Head of the table of [`row`](Self::row).
    pub const HEAD: &str = "TARGET        EXECUTIONS     EDGES   INPUTS   FAILED";

    /// Takes the figures of a line; false if it has none.
    pub fn read(&mut self, line: &str) -> bool {
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            self.failed.push(file.to_owned());
            return true;
        }
        if let Some(stat) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number(stat);
            return true;
        }
        if line.starts_with("stat::") || line.contains("DE: ") {
            return true;
        }
        let Some((count, rest)) = line.strip_prefix('#').and_then(|it| it.split_once('\t')) else {
            return false;
        };
        self.executions = number(count);
        let mut words = rest.split_ascii_whitespace();
        while let Some(word) = words.next() {
            let figure = match word {
                "cov:" => &mut self.edges,
                "corp:" => &mut self.inputs,
                "exec/s:" => &mut self.per_second,
                _ => continue,
            };
            *figure = number(words.next().unwrap_or_default());
        }
        true
    }

    /// Returns a line of progress.
    pub fn line(&self, target: &str) -> String {
        format!(
            "{target:12} {} executions, {} a second, {} edges, {} inputs",
            self.executions, self.per_second, self.edges, self.inputs
        )
    }

    /// Returns the row of the table.
    pub fn row(&self, target: &str) -> String {
        format!(
            "{target:12} {:>11} {:>9} {:>8} {:>8}",
            self.executions,
            self.edges,
            self.inputs,
            self.failed.len()
        )
    }
}

/// Returns the number at the beginning; zero if there is none.
fn number(text: &str) -> u64 {
    let digits = text.trim_start();
    let end = digits.find(|it: char| !it.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())]
        .parse()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_last_line_and_failures_are_named() {
        let mut figures = Figures::default();
        for line in [
            "#2\tINITED cov: 19 ft: 20 corp: 1/1b exec/s: 0 rss: 33Mb",
            "#128\tNEW    cov: 23 ft: 24 corp: 5/12b lim: 4 exec/s: 64 rss: 34Mb L: 2/4 MS: 1 CrossOver-",
            "#4096\tpulse  cov: 25 ft: 26 corp: 7/1Kb lim: 43 exec/s: 2048 rss: 34Mb",
            "artifact_prefix='./'; Test unit written to ./crash-aea2",
            "stat::number_of_executed_units: 5000",
        ] {
            assert!(figures.read(line), "{line}");
        }
        assert!(!figures.read("thread panicked"));
        let expected = Figures {
            executions: 5000,
            edges: 25,
            inputs: 7,
            per_second: 2048,
            failed: vec!["./crash-aea2".to_owned()],
        };
        assert_eq!(figures, expected);
    }
}
