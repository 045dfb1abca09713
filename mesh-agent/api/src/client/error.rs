//! Errors of requests to the agent. Every error says what to do.

use std::path::PathBuf;

use hyper::StatusCode;

use super::{Answer, REQUEST_TIME};
use crate::types::ApiError;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no socket.
    #[error(
        "no agent answers on {}: is it running? start it with `mesh-agent run`, or name another socket with --socket",
        socket.display()
    )]
    NoAgent {
        /// Socket.
        socket: PathBuf,
    },
    /// An agent stopped and left its socket.
    #[error(
        "no agent answers on {}; programs and services stay in the kernel: start it again with `mesh-agent run`, or remove \
         everything from the kernel with `mesh-agent uninstall` and the --pin-dir, --state-dir and --socket that the agent \
         was given",
        socket.display()
    )]
    Stopped {
        /// Socket.
        socket: PathBuf,
    },
    /// The socket belongs to another user.
    #[error(
        "no permission to open {}: run as root, or as a member of the group that the agent's --socket-group names",
        socket.display()
    )]
    Permission {
        /// Socket.
        socket: PathBuf,
    },
    /// The agent took too long.
    #[error("the agent on {} did not answer within {} s; is its process stopped?", socket.display(), REQUEST_TIME.as_secs())]
    Timeout {
        /// Socket.
        socket: PathBuf,
    },
    /// The connection broke, or the listener does not speak HTTP.
    #[error("lost the agent on {}: {reason}; try again", socket.display())]
    Broken {
        /// Socket.
        socket: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The object does not exist.
    #[error("{reason}")]
    NotFound {
        /// The message of the agent.
        reason: String,
    },
    /// The agent refused the request, because it would stop traffic, is malformed, or is not allowed
    /// to this user.
    #[error("{reason}")]
    Declined {
        /// The message of the agent.
        reason: String,
    },
    /// The agent has not loaded its services yet.
    #[error("{reason}")]
    NotLoaded {
        /// The message of the agent.
        reason: String,
    },
    /// The agent failed to answer.
    #[error("the agent answered {code}: {reason}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// The message of the agent.
        reason: String,
    },
    /// The answer cannot be parsed.
    #[error(
        "cannot read the answer of the agent: {reason}; are meshctl and mesh-agent of the same version?"
    )]
    Unreadable {
        /// The parse error.
        reason: serde_json::Error,
    },
}

/// Returns the error of an answer that is not a success.
pub(super) fn refusal(Answer { code, again, body }: &Answer) -> Error {
    let reason = match serde_json::from_slice::<ApiError>(body) {
        Ok(ApiError { error }) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    match *code {
        _ if *again => Error::NotLoaded { reason },
        StatusCode::NOT_FOUND => Error::NotFound { reason },
        StatusCode::CONFLICT | StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
            Error::Declined { reason }
        }
        code => Error::Refused {
            code: code.as_u16(),
            reason,
        },
    }
}
