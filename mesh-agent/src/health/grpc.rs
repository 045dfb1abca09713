//! Probes by the gRPC health checking protocol, over HTTP/2 without TLS.
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::net::SocketAddr;

use hyper::{Request, Uri, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::{Code, Status, body::Body};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

use super::{
    failure::{Failure, ProbeResult, from_hyper},
    tcp,
};

/// Largest answer; a valid one has one or two bytes.
const ANSWER: usize = 1024;

/// Asks the endpoint for its own status, or that of `service`.
pub(super) async fn probe(address: SocketAddr, service: &str) -> ProbeResult {
    let stream = tcp::connect(address).await?;
    let origin = origin(address)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| http2_failure(&error))?;
    let send = service_fn(move |request: Request<Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut client = HealthClient::with_origin(send, origin).max_decoding_message_size(ANSWER);
    let mut connection = std::pin::pin!(connection);
    let mut check = std::pin::pin!(client.check(HealthCheckRequest {
        service: service.to_owned()
    }));
    let answer = tokio::select! {
        biased;
        answer = &mut check => answer,
        end = &mut connection => {
            end.map_err(|error| http2_failure(&error))?;
            check.await
        }
    };
    judge(answer.map(|answer| answer.into_inner().status()))
}

fn origin(address: SocketAddr) -> Result<Uri, Failure> {
    format!("http://{address}")
        .parse()
        .map_err(|error| Failure::Request(format!("{address}: {error}")))
}

fn judge(answer: Result<ServingStatus, Status>) -> ProbeResult {
    match answer {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(
            status @ (ServingStatus::NotServing
            | ServingStatus::Unknown
            | ServingStatus::ServiceUnknown),
        ) => Err(Failure::NotServing(status.as_str_name())),
        Err(status) => Err(refusal(&status)),
    }
}

/// Returns the failure for a gRPC status, which may stand for a connection error.
fn refusal(status: &Status) -> Failure {
    let source =
        std::error::Error::source(status).and_then(|source| source.downcast_ref::<hyper::Error>());
    match (status.code(), source) {
        (_, Some(error)) => http2_failure(error),
        (code, None) => Failure::Grpc { code: name(code) },
    }
}

/// Returns the name of a code as in the gRPC documents: `UNIMPLEMENTED`.
fn name(code: Code) -> String {
    let camel = format!("{code:?}");
    let letters = camel.char_indices().flat_map(|(at, letter)| {
        let gap = (at > 0 && letter.is_uppercase()).then_some('_');
        gap.into_iter().chain([letter.to_ascii_uppercase()])
    });
    letters.collect()
}

fn http2_failure(error: &hyper::Error) -> Failure {
    from_hyper("HTTP/2", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_in_the_documents() {
        assert_eq!(
            [Code::Unimplemented, Code::NotFound].map(name),
            ["UNIMPLEMENTED", "NOT_FOUND"]
        );
    }
}
