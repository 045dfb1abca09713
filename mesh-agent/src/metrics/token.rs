//! Checks the bearer token of scrapers, read from a file that may be replaced at any time.

use std::{
    io::{self, Read as _},
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use tracing::warn;

use crate::safe_open;

/// Shortest time between reads of the file.
const EVERY: Duration = Duration::from_secs(1);
/// Longest token.
const LONGEST: u64 = 4096;

/// A token file and its last content.
pub(super) struct Token {
    path: PathBuf,
    known: Mutex<Option<(Instant, Vec<u8>)>>,
}

impl Token {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            known: Mutex::default(),
        }
    }

    /// Returns whether a request carries the token. Without a token that can be read, none does.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|given| is_same(given, &self.wanted()))
    }

    fn wanted(&self) -> Vec<u8> {
        let mut known = self.known.lock().expect("nothing panics with the lock");
        match &*known {
            Some((at, token)) if at.elapsed() < EVERY => token.clone(),
            _ => {
                let token = self.read().unwrap_or_else(|error| {
                    warn!(
                        "metrics token {}: {error}; scrapes are refused until it can be read",
                        self.path.display()
                    );
                    Vec::new()
                });
                *known = Some((Instant::now(), token.clone()));
                token
            }
        }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        safe_open::regular(&self.path)?
            .take(LONGEST)
            .read_to_end(&mut content)?;
        let token = content.trim_ascii().to_vec();
        if token.is_empty() {
            Err(io::Error::other("empty: write the token into it"))
        } else {
            Ok(token)
        }
    }
}

/// Compares in constant time. An empty token never matches.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let differences = given
        .iter()
        .zip(wanted)
        .fold(0, |all, (a, b)| all | (a ^ b));
    !wanted.is_empty() && given.len() == wanted.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_bearer_of_the_token_is_admitted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let admits = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            Token::new(path.clone()).admits(&headers)
        };
        assert!(
            !admits("Bearer ") && !admits("Bearer t0ken"),
            "there is no file"
        );
        fs::write(&path, "\n").unwrap();
        assert!(!admits("Bearer "), "an empty file is no token");
        fs::write(&path, "t0ken\n").unwrap();
        assert!(admits("Bearer t0ken"));
        for wrong in [
            "Bearer t0kem",
            "Bearer t0ke",
            "Bearer t0ken1",
            "t0ken",
            "Basic t0ken",
            "Bearer ",
        ] {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(!Token::new(path).admits(&HeaderMap::new()));
    }
}
