//! HTTP connections within limits: no number of clients, and no slow one, keeps others from being answered.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, serve::Listener};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    task::{AbortHandle, JoinSet, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Connections open at one time.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// Time for a client to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Time for a whole connection: request, answer and a client that reads it slowly.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Time that answers under way have once the server is told to stop.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Answers on `listener` until `cancel`; then answers under way may finish, for a short while.
///
/// Each connection carries one request.
pub(crate) async fn serve<L: Listener>(mut listener: L, router: Router, cancel: CancellationToken) {
    let mut open = Connections::default();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            (stream, _) = listener.accept() => open.add(stream, &router),
        }
        // Lets requests that have already arrived be seen before the next connection pushes theirs out.
        yield_now().await;
    }
    drop(listener);
    open.finish().await;
}

/// The open connections, oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    queue: VecDeque<Connection>,
}

/// One open connection.
struct Connection {
    task: AbortHandle,
    /// True once its request has arrived.
    busy: Arc<AtomicBool>,
}

impl Connection {
    fn idle(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
    }
}

impl Connections {
    /// Serves `stream`, or drops it when there is no room and none can be made.
    fn add<S>(&mut self, stream: S, router: &Router)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        self.forget_finished();
        if !self.make_room() {
            return;
        }
        let busy = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(connection(stream, router.clone(), busy.clone()));
        self.queue.push_back(Connection { task, busy });
    }

    fn forget_finished(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.queue.retain(|connection| !connection.task.is_finished());
    }

    /// When all places are taken, closes the oldest connection that has not sent its request.
    fn make_room(&mut self) -> bool {
        if self.queue.len() < MAX_CONNECTIONS {
            return true;
        }
        let oldest_idle = self.queue.iter().position(Connection::idle);
        oldest_idle.and_then(|place| self.queue.remove(place)).map(|connection| connection.task.abort()).is_some()
    }

    async fn finish(mut self) {
        self.queue.iter().filter(|connection| connection.idle()).for_each(|connection| connection.task.abort());
        // What is left after this time is aborted when the set is dropped.
        let _ = timeout(STOP_TIME, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

async fn connection<S>(stream: S, router: Router, busy: Arc<AtomicBool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        busy.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME).keep_alive(false);
    match timeout(CONNECTION_TIME, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Err(_) => tracing::debug!(error = %io::ErrorKind::TimedOut, "connection ended early"),
    }
}
