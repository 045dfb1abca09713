//! Why a probe is not a success, in words for operators. What an endpoint answered is not repeated: the author of
//! a check must not read through it what only this node can reach.

use std::{error::Error, fmt, io, time::Duration};

use nix::errno::Errno;

/// What a probe found: nothing wrong, or this.
pub type Outcome = Result<(), Failure>;

/// Why a probe is not a success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection, or it broke.
    #[error("{}", words(.0))]
    Io(#[from] io::Error),
    /// Not in time.
    #[error("no answer in {0:?}")]
    NoAnswer(Duration),
    /// No TLS with it.
    #[error("TLS: {0}")]
    Tls(&'static str),
    /// Not what its protocol says.
    #[error("{protocol}: {reason}")]
    Protocol {
        /// Protocol that was spoken.
        protocol: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// Another status code.
    #[error("HTTP status {status}, wanted {}", Range(*.wanted))]
    Status {
        /// Status code.
        status: u16,
        /// First and last good one.
        wanted: (u16, u16),
    },
    /// The wanted header is not there.
    #[error("header {name} is missing, wanted \"{wanted}\"")]
    NoHeader {
        /// Header.
        name: String,
        /// Wanted value.
        wanted: String,
    },
    /// The wanted header has another value.
    #[error("header {name} has another value, wanted \"{wanted}\"")]
    Header {
        /// Header.
        name: String,
        /// Wanted value.
        wanted: String,
    },
    /// By its own word, by the name the gRPC health checking protocol has for it.
    #[error("gRPC {0}")]
    NotServing(&'static str),
    /// A gRPC error instead of an answer.
    #[error("gRPC status {code}")]
    Grpc {
        /// Name of the status code.
        code: String,
    },
    /// The check cannot be made into a request.
    #[error("cannot ask: {0}")]
    Request(String),
    /// The probe itself came to grief.
    #[error("the probe has ended without a result")]
    Lost,
}

impl Failure {
    /// Whether it says nothing of the endpoint: this node ran out of something, or forbids the connection, or the
    /// agent is at fault.
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

/// An error of the connection is told in the kernel's words, any other as one of a few kinds.
pub(super) fn from_hyper(protocol: &'static str, error: &hyper::Error) -> Failure {
    let first: Option<&(dyn Error + 'static)> = error.source();
    let mut causes = std::iter::successors(first, |&cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error()) {
        Some(code) => Failure::Io(io::Error::from_raw_os_error(code)),
        None => Failure::Protocol { protocol, reason: reason(error) },
    }
}

fn reason(error: &hyper::Error) -> &'static str {
    match () {
        () if error.is_parse_too_large() => "the head of the answer is too large",
        () if error.is_parse() => "what came is no answer of this protocol",
        () if error.is_incomplete_message() || error.is_closed() => "the connection ended before the answer",
        () => "the endpoint broke the protocol or refused the request",
    }
}

/// The kernel's words without their number: `connection refused`.
fn words(error: &io::Error) -> String {
    let kind = || error.kind().to_string();
    let words = error.raw_os_error().map_or_else(kind, |code| Errno::from_raw(code).desc().to_owned());
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

struct Range((u16, u16));

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.0;
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_like_what_happened() {
        let refused = Failure::Io(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert_eq!(refused.to_string(), "connection refused");
        assert_eq!(Failure::NoAnswer(Duration::from_secs(1)).to_string(), "no answer in 1s");
        assert_eq!(Failure::NoAnswer(Duration::from_millis(500)).to_string(), "no answer in 500ms");
        let status = |wanted| Failure::Status { status: 503, wanted }.to_string();
        assert_eq!(status((200, 399)), "HTTP status 503, wanted 200-399");
        assert_eq!(status((200, 200)), "HTTP status 503, wanted 200");
        let header = Failure::Header { name: "x-ready".into(), wanted: "yes".into() };
        assert_eq!(header.to_string(), "header x-ready has another value, wanted \"yes\"");
        assert_eq!(Failure::Grpc { code: "UNIMPLEMENTED".into() }.to_string(), "gRPC status UNIMPLEMENTED");
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
        assert!(!local(libc::ECONNREFUSED) && !local(libc::EHOSTUNREACH) && !local(libc::ENETUNREACH));
        assert!(!Failure::Io(io::ErrorKind::UnexpectedEof.into()).is_local());
    }
}
