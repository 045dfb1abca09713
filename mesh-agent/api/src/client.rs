//! The client of the control socket.

mod diagnosis;
mod error;
mod escape;

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1, header, http::request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

pub use self::error::Error;
use self::{error::refusal, escape::escape};
use super::types::{Change, CommandOptions, CommandResult, Explanation, Question, Service, Status};

/// Most time of one request, from the connect to the last byte of the answer.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Time between two attempts to connect while the queue of the socket is full.
const RETRY_TIME: Duration = Duration::from_millis(10);

/// Most time to wait for an agent that has just started to load its services, and time between two
/// requests meanwhile.
const LOAD_TIME: Duration = Duration::from_secs(5);
const LOOK_TIME: Duration = Duration::from_millis(100);

/// A client of the agent's socket. It connects for each request, so it survives restarts of the
/// agent.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    /// Most time to wait for an agent that has just started.
    patience: Duration,
}

/// An answer of the agent.
struct Answer {
    code: StatusCode,
    /// Whether a retry may get another answer.
    again: bool,
    body: Bytes,
}

impl Client {
    /// Returns a client of the agent that listens on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            patience: LOAD_TIME,
        }
    }

    /// Returns the state of the agent.
    pub async fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status").await
    }

    /// Returns all services, or those of one namespace, sorted by namespace and name.
    pub async fn services(&self, namespace: Option<&str>) -> Result<Vec<Service>, Error> {
        match namespace {
            None => self.get("/v1/services").await,
            Some(namespace) => {
                self.get(&format!("/v1/services?namespace={}", escape(namespace)))
                    .await
            }
        }
    }

    /// Returns one service.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Service, Error> {
        self.get(&format!(
            "/v1/services/{}/{}",
            escape(namespace),
            escape(name)
        ))
        .await
    }

    /// Changes an endpoint, `address:port`; returns the service when the change is in effect.
    pub async fn change_endpoint(
        &self,
        namespace: &str,
        name: &str,
        endpoint: &str,
        change: Change,
        force: bool,
    ) -> Result<CommandResult, Error> {
        let parts = [namespace, name, endpoint].map(escape);
        let path = format!(
            "/v1/services/{}/{}/endpoints/{}/{}",
            parts[0],
            parts[1],
            parts[2],
            change.verb()
        );
        let weight = if let Change::Weight(weight) = change {
            weight
        } else {
            None
        };
        let options = serde_json::to_vec(&CommandOptions { weight, force })
            .expect("a struct with string keys");
        self.ask(Request::post(path), options.into()).await
    }

    /// Explains where a connect goes.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        let Question { to, protocol, from } = question;
        let mut path = format!("/v1/explain?to={}", escape(to));
        for (name, value) in [("protocol", protocol), ("from", from)] {
            if let Some(value) = value {
                write!(path, "&{name}={}", escape(value))
                    .expect("writing to a string does not fail");
            }
        }
        self.get(&path).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.ask(Request::get(path), Bytes::new()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: request::Builder,
        body: Bytes,
    ) -> Result<T, Error> {
        let request = request
            .header(header::HOST, "localhost")
            .body(Full::new(body))
            .expect("paths consist of escaped parts, so the request is well-formed");
        let end = Instant::now() + self.patience;
        loop {
            let timed = timeout(REQUEST_TIME, self.fetch(request.clone())).await;
            let answer = timed.map_err(|_| Error::Timeout {
                socket: self.socket.clone(),
            })??;
            match answer.code {
                StatusCode::OK => {
                    return serde_json::from_slice(&answer.body)
                        .map_err(|reason| Error::Unreadable { reason });
                }
                _ if answer.again && Instant::now() < end => sleep(LOOK_TIME).await,
                _ => return Err(refusal(&answer)),
            }
        }
    }

    async fn fetch(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let stream = self
            .connect()
            .await
            .map_err(|error| self.no_connection(&error))?;
        self.exchange(stream, request)
            .await
            .map_err(|error| self.broken(error.to_string()))
    }

    /// Connects, and retries while the queue of the socket is full: unix_stream_connect() does not
    /// wait for a non-blocking socket, and no event reports space in the queue.
    /// <https://github.com/torvalds/linux/blob/v6.1/net/unix/af_unix.c>
    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY_TIME).await,
                done => return done,
            }
        }
    }

    async fn exchange(
        &self,
        stream: UnixStream,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Answer> {
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = requests.send_request(request).await?;
        let (code, again) = (
            response.status(),
            response.headers().contains_key(header::RETRY_AFTER),
        );
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok(Answer { code, again, body })
    }

    fn no_connection(&self, error: &io::Error) -> Error {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::ConnectionRefused if is_socket(&socket) => Error::Stopped { socket },
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NoAgent { socket },
            io::ErrorKind::PermissionDenied => Error::Permission { socket },
            _ => self.broken(error.to_string()),
        }
    }

    fn broken(&self, reason: String) -> Error {
        Error::Broken {
            socket: self.socket.clone(),
            reason,
        }
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests;
