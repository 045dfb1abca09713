//! Answers of a client process to its test.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Transport protocol of a connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Protocol {
    /// Connect, read the server's name.
    Tcp,
    /// Connect, send a datagram, read the server's name.
    Udp,
}

/// Results of a number of connects.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ConnectReport {
    /// Number of answers by server name.
    pub answers: BTreeMap<String, u64>,
    /// Errors by stage and name, like `connect ECONNREFUSED`.
    pub errors: BTreeMap<String, u64>,
    /// Results of `getpeername`.
    pub peers: BTreeMap<SocketAddr, u64>,
    /// Durations of all connects, including refused ones.
    pub took: Times,
}

impl ConnectReport {
    /// Returns the number of all answers.
    pub fn total_answers(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Counts an answer by the name of its server, or an error, and returns the answer.
    pub fn note<T>(&mut self, answer: Result<T, String>, name: impl Fn(&T) -> String) -> Option<T> {
        match answer {
            Ok(answered) => {
                *self.answers.entry(name(&answered)).or_default() += 1;
                Some(answered)
            }
            Err(error) => {
                *self.errors.entry(error).or_default() += 1;
                None
            }
        }
    }

    /// Returns the number of answers of one server.
    pub fn answers_of(&self, server: &crate::Server) -> u64 {
        self.answers.get(server.name()).copied().unwrap_or_default()
    }
}

/// Builds a table of counts: `counts([("a", 3), ("b", 4)])`.
pub fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

/// Durations of connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// Maximum.
    pub max: Duration,
}

impl Times {
    /// Computes the percentiles; zero without durations.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let last = durations.len().saturating_sub(1);
        let rank = |percent: usize| (durations.len() * percent / 100).min(last);
        let [p50, p99, max] =
            [50, 99, 100].map(|percent| durations.get(rank(percent)).copied().unwrap_or_default());
        Self { p50, p99, max }
    }
}

/// Writes one line of JSON to the test.
pub fn say(answer: &impl Serialize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, answer)?;
    writeln!(stdout)?;
    stdout.flush()
}

/// Result of one connect of [`Client::walk`](super::Client::walk).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Result of `getpeername`, or the error of the connect.
    pub peer: Result<SocketAddr, String>,
    /// Name of the server that answers, or the error.
    pub answer: Result<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred_and_of_none() {
        let hundred = (1..=100).map(Duration::from_millis).collect();
        let [p50, p99, max] = [51, 100, 100].map(Duration::from_millis);
        assert_eq!(Times::of(hundred), Times { p50, p99, max });
        assert_eq!(Times::of(Vec::new()), Times::default());
    }

    #[test]
    fn a_report_is_written_and_read_as_one_line() {
        let report = ConnectReport {
            answers: counts([("a", 2)]),
            errors: counts([("connect ECONNREFUSED", 1)]),
            peers: [("[::ffff:10.96.0.10]:80".parse().unwrap(), 2)].into(),
            took: Times {
                max: Duration::from_nanos(1_000_000_001),
                ..Times::default()
            },
        };
        let line = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<ConnectReport>(&line).unwrap(),
            report
        );
    }
}
