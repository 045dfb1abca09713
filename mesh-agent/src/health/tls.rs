//! TLS without certificate verification: an endpoint is probed by its address, which certificates
//! rarely contain, and a probe tests that it works, not its identity. Nothing secret is sent.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::failure::Failure;

/// Returns the configuration that all TLS connections share.
pub(super) fn connector() -> TlsConnector {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Performs a TLS handshake over a connection to `address`.
pub(super) async fn handshake(
    connector: &TlsConnector,
    address: SocketAddr,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::IpAddress(address.ip().into());
    connector
        .connect(name, stream)
        .await
        .map_err(|error| failure(&error))
}

/// Returns the kind of a handshake failure. The bytes of the endpoint are not quoted.
fn failure(error: &io::Error) -> Failure {
    if error.raw_os_error().is_some() {
        return Failure::Tls("the connection broke during the handshake");
    }
    Failure::Tls(
        match error
            .get_ref()
            .and_then(|error| error.downcast_ref::<Error>())
        {
            Some(Error::AlertReceived(_)) => "the endpoint refused the handshake",
            Some(Error::PeerIncompatible(_)) => {
                "the endpoint offers no version or cipher suite that is supported here"
            }
            Some(Error::InvalidCertificate(_)) => {
                "the endpoint does not have the key of its certificate"
            }
            Some(_) => "the answer is not a TLS handshake",
            None => "the connection ended during the handshake",
        },
    )
}

/// Accepts every certificate. The endpoint must still prove that it has the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
