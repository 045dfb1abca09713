//! Reasons of failed probes, worded for operators. The answer of an endpoint is never quoted,
//! because the author of a check must not use it to read what only this node can reach.

use std::{error::Error, fmt, io, time::Duration};

use nix::errno::Errno;

/// Result of a probe.
pub type ProbeResult = Result<(), Failure>;

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection failed or broke.
    #[error("{}", words(.0))]
    Io(#[from] io::Error),
    /// The probe timed out.
    #[error("no answer in {0:?}")]
    NoAnswer(Duration),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(&'static str),
    /// The answer violates the protocol.
    #[error("{protocol}: {reason}")]
    Protocol {
        /// Protocol.
        protocol: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The status code is not accepted.
    #[error("HTTP status {status}, wanted {}", Range(*.wanted))]
    Status {
        /// Status code.
        status: u16,
        /// First and last accepted code.
        wanted: (u16, u16),
    },
    /// The expected header is missing.
    #[error("header {name} is missing, wanted \"{wanted}\"")]
    NoHeader {
        /// Header.
        name: String,
        /// Wanted value.
        wanted: String,
    },
    /// The expected header has another value.
    #[error("header {name} has another value, wanted \"{wanted}\"")]
    Header {
        /// Header.
        name: String,
        /// Wanted value.
        wanted: String,
    },
    /// The endpoint reports this status of the gRPC health checking protocol.
    #[error("gRPC {0}")]
    NotServing(&'static str),
    /// A gRPC error instead of an answer.
    #[error("gRPC status {code}")]
    Grpc {
        /// Name of the status code.
        code: String,
    },
    /// The check is no valid request.
    #[error("cannot ask: {0}")]
    Request(String),
    /// The probe task ended without a result.
    #[error("the probe has ended without a result")]
    Lost,
}

impl Failure {
    /// Whether the failure is not the endpoint's: this node lacks a resource or forbids the
    /// connection, or the agent failed.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Io(error) => matches!(
                error.raw_os_error().map(Errno::from_raw),
                Some(
                    Errno::EMFILE
                        | Errno::ENFILE
                        | Errno::ENOMEM
                        | Errno::ENOBUFS
                        | Errno::EADDRNOTAVAIL
                        | Errno::EAFNOSUPPORT
                        | Errno::EPERM
                        | Errno::EACCES
                )
            ),
            Self::Request(_) | Self::Lost => true,
            Self::NoAnswer(_)
            | Self::Tls(_)
            | Self::Protocol { .. }
            | Self::Status { .. }
            | Self::NoHeader { .. }
            | Self::Header { .. }
            | Self::NotServing(_)
            | Self::Grpc { .. } => false,
        }
    }
}

/// Converts an error of hyper: a connection error keeps the kernel's words, any other becomes one
/// of a few reasons.
pub(super) fn from_hyper(protocol: &'static str, error: &hyper::Error) -> Failure {
    let first: Option<&(dyn Error + 'static)> = error.source();
    let mut causes = std::iter::successors(first, |&cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error()) {
        Some(code) => Failure::Io(io::Error::from_raw_os_error(code)),
        None => Failure::Protocol {
            protocol,
            reason: reason(error),
        },
    }
}

fn reason(error: &hyper::Error) -> &'static str {
    match () {
        () if error.is_parse_too_large() => "the head of the answer is too large",
        () if error.is_parse() => "the answer does not follow this protocol",
        () if error.is_incomplete_message() || error.is_closed() => {
            "the connection ended before the answer"
        }
        () => "the endpoint broke the protocol or refused the request",
    }
}

/// Returns the kernel's words without the error number: `connection refused`.
fn words(error: &io::Error) -> String {
    let kind = || error.kind().to_string();
    let words = error
        .raw_os_error()
        .map_or_else(kind, |code| Errno::from_raw(code).desc().to_owned());
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

struct Range((u16, u16));

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.0;
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_like_what_happened() {
        let refused = Failure::Io(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert_eq!(refused.to_string(), "connection refused");
        assert_eq!(
            Failure::NoAnswer(Duration::from_secs(1)).to_string(),
            "no answer in 1s"
        );
        assert_eq!(
            Failure::NoAnswer(Duration::from_millis(500)).to_string(),
            "no answer in 500ms"
        );
        let status = |wanted| {
            Failure::Status {
                status: 503,
                wanted,
            }
            .to_string()
        };
        assert_eq!(status((200, 399)), "HTTP status 503, wanted 200-399");
        assert_eq!(status((200, 200)), "HTTP status 503, wanted 200");
        let header = Failure::Header {
            name: "x-ready".into(),
            wanted: "yes".into(),
        };
        assert_eq!(
            header.to_string(),
            "header x-ready has another value, wanted \"yes\""
        );
        assert_eq!(
            Failure::Grpc {
                code: "UNIMPLEMENTED".into()
            }
            .to_string(),
            "gRPC status UNIMPLEMENTED"
        );
    }

    #[test]
    fn words_of_an_endpoint_are_not_repeated() {
        let words = Failure::Io(io::Error::new(io::ErrorKind::InvalidData, "s3cr3t"));
        assert_eq!(words.to_string(), "invalid data");
    }

    #[test]
    fn what_this_node_lacks_is_not_the_endpoints_fault() {
        let local = |code| Failure::Io(io::Error::from_raw_os_error(code)).is_local();
        assert!(local(libc::EMFILE) && local(libc::EADDRNOTAVAIL));
        assert!(
            !local(libc::ECONNREFUSED) && !local(libc::EHOSTUNREACH) && !local(libc::ENETUNREACH)
        );
        assert!(!Failure::Io(io::ErrorKind::UnexpectedEof.into()).is_local());
    }
}
