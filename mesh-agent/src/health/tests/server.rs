//! Servers for probes.

use std::{future::pending, net::SocketAddr, sync::Arc};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

/// Returns a listener and its address.
pub(super) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Returns an address without a listener.
pub(super) async fn refusing() -> SocketAddr {
    listener().await.1
}

/// Serves every connection with `each`.
pub(super) async fn serving<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    address
}

/// Accepts connections and sends nothing.
pub(super) async fn silent() -> SocketAddr {
    serving(async |stream| {
        let _stream = stream;
        pending::<()>().await;
    })
    .await
}

type Answer = Response<Full<Bytes>>;

/// Answers HTTP requests with `answer`.
pub(super) async fn http(
    answer: impl Fn(&Request<Incoming>) -> Answer + Clone + Send + Sync + 'static,
) -> SocketAddr {
    serving(move |stream| speak(TokioIo::new(stream), answer.clone())).await
}

/// The same by way of TLS, with a self-signed certificate.
pub(super) async fn https(
    answer: impl Fn(&Request<Incoming>) -> Answer + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let acceptor = self_signed();
    serving(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            speak(TokioIo::new(stream), answer).await;
        }
    })
    .await
}

async fn speak<T>(io: T, answer: impl Fn(&Request<Incoming>) -> Answer + Clone + Send + 'static)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(&request);
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    // The probe closes the connection as soon as it has read enough.
    _ = http1::Builder::new().serve_connection(io, service).await;
}

fn self_signed() -> TlsAcceptor {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["some.name.else".to_owned()]).unwrap();
    let private =
        tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], private.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
