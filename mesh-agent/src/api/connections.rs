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
    io::{AsyncRead, AsyncWrite},
    task::{AbortHandle, JoinSet, yield_now},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Connections open at one time.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// Time for a client to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Time for request and answer while others wait.
const ANSWER_TIME: Duration = Duration::from_secs(5);
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
    opened: Instant,
}

impl Connection {
    fn idle(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
    }

    /// May others be served in its stead?
    fn expendable(&self) -> bool {
        self.idle() || self.opened.elapsed() > ANSWER_TIME
    }
}

impl Connections {
    /// Serves `stream`, or drops it when there is no room and none can be made.
    fn add<S>(&mut self, stream: S, router: &Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.forget_finished();
        if !self.make_room() {
            return;
        }
        let busy = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(connection(stream, router.clone(), busy.clone()));
        self.queue.push_back(Connection { task, busy, opened: Instant::now() });
    }

    fn forget_finished(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.queue.retain(|connection| !connection.task.is_finished());
    }

    /// When all places are taken, closes the oldest connection that has not sent its request or is very slow.
    fn make_room(&mut self) -> bool {
        if self.queue.len() < MAX_CONNECTIONS {
            return true;
        }
        let oldest = self.queue.iter().position(Connection::expendable);
        oldest.and_then(|place| self.queue.remove(place)).map(|connection| connection.task.abort()).is_some()
    }

    async fn finish(mut self) {
        self.queue.iter().filter(|connection| connection.idle()).for_each(|connection| connection.task.abort());
        // What is left after this time is aborted when the set is dropped.
        let _ = timeout(STOP_TIME, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

async fn connection<S>(stream: S, router: Router, busy: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_is_made_at_the_cost_of_the_idle_then_of_the_slow() {
        let mut open = Connections::default();
        (0..MAX_CONNECTIONS - 1).for_each(|_| open.pretend(true));
        assert!(open.make_room());
        open.pretend(false);
        assert!(open.make_room());
        assert!(open.queue.iter().all(|connection| !connection.idle()));
        open.pretend(true);
        assert!(!open.make_room());
        tokio::time::advance(ANSWER_TIME + Duration::from_millis(1)).await;
        assert!(open.make_room());
        assert_eq!(open.queue.len(), MAX_CONNECTIONS - 1);
    }

    impl Connections {
        fn pretend(&mut self, busy: bool) {
            let task = self.tasks.spawn(pending());
            self.queue.push_back(Connection { task, busy: Arc::new(busy.into()), opened: Instant::now() });
        }
    }
}
