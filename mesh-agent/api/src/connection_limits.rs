//! Limits HTTP connections, so that neither many clients nor a slow one block others.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
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
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Most open connections of one peer.
    per_peer: usize,
    /// Most time of a connection: request, answer, and the client's reads.
    pub time: Duration,
}

/// Limits of the API. A peer is a user: one cannot close the connections of others.
pub const API: ConnectionLimits = ConnectionLimits {
    per_peer: MAX_CONNECTIONS / 2,
    time: Duration::from_secs(60),
};
/// Limits of metrics and health pages.
pub const METRICS: ConnectionLimits = ConnectionLimits {
    per_peer: 16,
    time: Duration::from_secs(10),
};
/// Most open connections.
pub const MAX_CONNECTIONS: usize = 64;
/// Most time for a client to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Most time for answers under way when the server stops.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Answers on `listener` until `cancel`; then answers under way may finish for a short time.
/// `router` returns the routes for a client, and `peer` its identity.
///
/// Each connection carries one request.
pub async fn serve<L: Listener, P: Eq + Hash + Copy>(
    mut listener: L,
    router: impl Fn(&L::Addr) -> Router,
    limits: ConnectionLimits,
    peer: impl Fn(&L::Addr) -> P,
    cancel: CancellationToken,
) {
    let mut open = Connections::new(limits);
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            (stream, address) = listener.accept() => open.add(stream, peer(&address), router(&address)),
        }
        // Lets waiting requests be read before the next connection closes theirs.
        yield_now().await;
    }
    drop(listener);
    open.finish().await;
}

/// The open connections, oldest first.
struct Connections<P> {
    limits: ConnectionLimits,
    tasks: JoinSet<()>,
    queue: VecDeque<Connection<P>>,
}

/// One open connection.
struct Connection<P> {
    peer: P,
    task: AbortHandle,
    /// True once its request has arrived.
    busy: Arc<AtomicBool>,
}

impl<P> Connection<P> {
    fn idle(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
    }
}

impl<P: Eq + Hash + Copy> Connections<P> {
    fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            tasks: JoinSet::new(),
            queue: VecDeque::new(),
        }
    }

    /// Serves `stream`, and closes another connection when a limit is reached.
    fn add<S>(&mut self, stream: S, peer: P, router: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.forget_finished();
        self.close_surplus(peer);
        let busy = Arc::new(AtomicBool::new(false));
        let task = self
            .tasks
            .spawn(connection(stream, router, busy.clone(), self.limits.time));
        self.queue.push_back(Connection { peer, task, busy });
    }

    fn forget_finished(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.queue
            .retain(|connection| !connection.task.is_finished());
    }

    /// Closes a connection when a limit is reached: of this peer when it is at its limit, or of the
    /// peer with the most connections when all are in use. Chooses the oldest one without a request,
    /// or else the oldest. A new connection is always served, because most requests are short.
    fn close_surplus(&mut self, peer: P) {
        let mut counts: HashMap<P, usize> = HashMap::new();
        self.queue
            .iter()
            .for_each(|connection| *counts.entry(connection.peer).or_default() += 1);
        let largest = counts
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(peer, _)| *peer);
        let of = match counts.get(&peer) {
            Some(count) if *count >= self.limits.per_peer => Some(peer),
            _ if self.queue.len() >= MAX_CONNECTIONS => largest,
            _ => None,
        };
        let Some(of) = of else { return };
        let mut theirs = self
            .queue
            .iter()
            .enumerate()
            .filter(|(_, connection)| connection.peer == of);
        let oldest = theirs.clone().next();
        if let Some((place, _)) = theirs.find(|(_, connection)| connection.idle()).or(oldest)
            && let Some(connection) = self.queue.remove(place)
        {
            connection.task.abort();
        }
    }

    async fn finish(mut self) {
        self.queue
            .iter()
            .filter(|connection| connection.idle())
            .for_each(|connection| connection.task.abort());
        // Dropping the set aborts the tasks that are left.
        let _ = timeout(STOP_TIME, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
    }
}

/// Answers the one request of a connection, and sets `busy` when it has arrived.
pub async fn connection<S>(stream: S, router: Router, busy: Arc<AtomicBool>, time: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        busy.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .keep_alive(false);
    match timeout(time, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Err(_) => tracing::debug!(error = %io::ErrorKind::TimedOut, "connection ended early"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        net::{IpAddr, Ipv4Addr},
    };

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

    #[tokio::test]
    async fn idle_then_oldest_connection_is_closed_for_a_new_one() {
        let mut open = Connections::new(ConnectionLimits {
            per_peer: MAX_CONNECTIONS,
            ..API
        });
        (0..MAX_CONNECTIONS - 1).for_each(|_| open.pretend(None, true));
        open.pretend(None, false);
        let first = open.queue[0].task.id();
        open.close_surplus(None);
        assert_eq!(
            (open.queue.len(), open.queue[0].task.id()),
            (MAX_CONNECTIONS - 1, first)
        );
        assert!(open.queue.iter().all(|connection| !connection.idle()));
        open.pretend(None, true);
        open.close_surplus(None);
        assert_eq!(open.queue.len(), MAX_CONNECTIONS - 1);
        assert!(
            open.queue
                .iter()
                .all(|connection| connection.task.id() != first)
        );
    }

    #[tokio::test]
    async fn peer_over_its_limit_closes_its_own_connections() {
        let mut open = Connections::new(METRICS);
        open.pretend(None, false);
        (0..METRICS.per_peer).for_each(|_| open.pretend(HERE, true));
        open.close_surplus(HERE);
        assert_eq!(
            (open.queue.len(), open.queue[0].peer),
            (METRICS.per_peer, None)
        );
        // Many peers: those with the most give way.
        for last in 1..u8::MAX {
            let other = Some(Ipv4Addr::new(192, 0, 2, last).into());
            open.close_surplus(other);
            open.pretend(other, true);
        }
        assert_eq!(open.queue.len(), MAX_CONNECTIONS);
        assert!(
            open.queue
                .iter()
                .filter(|connection| connection.peer == HERE)
                .count()
                <= 1
        );
    }

    impl Connections<Option<IpAddr>> {
        fn pretend(&mut self, peer: Option<IpAddr>, busy: bool) {
            let task = self.tasks.spawn(pending());
            self.queue.push_back(Connection {
                peer,
                task,
                busy: Arc::new(busy.into()),
            });
        }
    }
}
