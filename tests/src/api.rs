//! Sends requests to the agent's socket, by HTTP/1.0, so that an answer ends with its stream.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde::de::DeserializeOwned;

const ANSWER: Duration = Duration::from_secs(10);

/// An answer of the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// The part after the head.
    pub body: String,
}

impl Answer {
    /// The body as one of the agent's types.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("the agent answered {self:?}: {error}"))
    }
}

/// `GET` of `path` from the agent at `socket`.
pub fn get(socket: &Path, path: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: mesh-agent\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, answer))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(Answer {
        code,
        body: body.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_code_and_a_body() {
        let answer =
            "HTTP/1.0 404 Not Found\r\ncontent-type: application/json\r\n\r\n{\"error\":\"no\"}";
        assert_eq!(
            parse(answer),
            Some(Answer {
                code: 404,
                body: "{\"error\":\"no\"}".into()
            })
        );
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }
}
