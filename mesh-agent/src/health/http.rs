//! Probes by HTTP/1.1, plain or over TLS. The head of the answer decides; its body is not read.

use std::net::SocketAddr;

use http_body_util::Empty;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue, USER_AGENT},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;

use super::{
    failure::{Failure, ProbeResult},
    tcp, tls,
};
use crate::model::HttpProbe;

/// Default `user-agent`.
const AGENT: &str = concat!("mesh-agent/", env!("CARGO_PKG_VERSION"));

/// Sends the request and checks the answer.
pub(super) async fn probe(
    connector: &TlsConnector,
    address: SocketAddr,
    probe: &HttpProbe,
) -> ProbeResult {
    let request = request(address, probe)?;
    let stream = tcp::connect(address).await?;
    let (status, headers) = match probe.tls {
        true => {
            answer(
                TokioIo::new(tls::handshake(connector, address, stream).await?),
                request,
            )
            .await?
        }
        false => answer(TokioIo::new(stream), request).await?,
    };
    judge(probe, status, &headers)
}

fn request(address: SocketAddr, probe: &HttpProbe) -> Result<Request<Empty<Bytes>>, Failure> {
    let mut request = Request::get(&probe.path).header(CONNECTION, "close");
    for (name, value) in &probe.headers {
        request = request.header(name, value);
    }
    let given = request.headers_ref();
    let lacks = |name| given.is_some_and(|headers| !headers.contains_key(name));
    let (lacks_host, lacks_agent) = (lacks(HOST), lacks(USER_AGENT));
    if lacks_host {
        request = request.header(HOST, address.to_string());
    }
    if lacks_agent {
        request = request.header(USER_AGENT, AGENT);
    }
    request
        .body(Empty::new())
        .map_err(|error| Failure::Request(error.to_string()))
}

async fn answer<T>(
    io: T,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, HeaderMap), Failure>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io)
        .await
        .map_err(|error| protocol(&error))?;
    let mut connection = std::pin::pin!(connection);
    let mut pending = std::pin::pin!(sender.send_request(request));
    let response: Response<Incoming> = tokio::select! {
        biased;
        response = &mut pending => response.map_err(|error| protocol(&error))?,
        // The connection may end together with the answer.
        end = &mut connection => {
            end.map_err(|error| protocol(&error))?;
            pending.await.map_err(|error| protocol(&error))?
        }
    };
    let (head, _) = response.into_parts();
    Ok((head.status, head.headers))
}

fn judge(probe: &HttpProbe, status: StatusCode, headers: &HeaderMap) -> ProbeResult {
    let (status, (first, last)) = (status.as_u16(), probe.status);
    if !(first..=last).contains(&status) {
        return Err(Failure::Status {
            status,
            wanted: probe.status,
        });
    }
    let Some((name, wanted)) = &probe.expect_header else {
        return Ok(());
    };
    let (name, wanted) = (name.clone(), wanted.clone());
    let values: Vec<&[u8]> = headers
        .get_all(&name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    match values.first() {
        _ if values.contains(&wanted.as_bytes()) => Ok(()),
        Some(_) => Err(Failure::Header { name, wanted }),
        None => Err(Failure::NoHeader { name, wanted }),
    }
}

/// Reports a connection that broke like one that was never made.
fn protocol(error: &hyper::Error) -> Failure {
    super::failure::from_hyper("HTTP", error)
}
