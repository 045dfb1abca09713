//! An API server of a cluster, as far as a client that lists and watches sees it: versions, pages,
//! streamed lists, bookmarks, and the ways in which it fails.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>

mod answer;
mod store;

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};

use tokio::{runtime::Builder, sync::watch};
use tokio_util::sync::CancellationToken;

use self::store::Store;
use crate::{Object, netns::Netns};

/// How the server fails, for a number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection in the middle of the first object.
    HalfSent,
}

/// What the server can do, and how it fails.
#[derive(Clone, Default)]
struct Behaviour {
    /// Does not know streamed lists, like Kubernetes before 1.27.
    is_old: bool,
    /// Answers to a watch from a forgotten version by status, not in the stream.
    gone_by_status: bool,
    /// The next requests fail.
    faults: Vec<Fault>,
}

/// What happened so far.
struct Shared {
    store: Mutex<Store>,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<BTreeMap<String, usize>>,
    /// Number of changes, for watches to wake up.
    changes: watch::Sender<u64>,
    /// Number of times that all streams were ended.
    breaks: watch::Sender<u64>,
}

/// A running API server; stops when dropped.
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl ApiServer {
    /// Starts a server in a network namespace.
    pub fn start(netns: &Netns, address: SocketAddr) -> Self {
        let shared = Shared {
            store: Mutex::default(),
            behaviour: Mutex::default(),
            requests: Mutex::default(),
            changes: watch::Sender::default(),
            breaks: watch::Sender::default(),
        };
        let mut server = Self {
            address,
            shared: Arc::new(shared),
            running: None,
        };
        server.go_on(netns);
        server
    }

    /// Starts again after [`Self::stop`], with the same objects.
    pub fn go_on(&mut self, netns: &Netns) {
        let listener = netns.run(|| TcpListener::bind(self.address));
        let listener = listener.expect("a free address");
        listener.set_nonblocking(true).expect("a listener");
        let (shared, stop) = (Arc::clone(&self.shared), CancellationToken::new());
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = listener.try_into().expect("a listener");
                let listener: tokio::net::TcpListener = listener;
                let serve = axum::serve(listener, answer::router(shared)).into_future();
                stopped.run_until_cancelled(serve).await;
            });
        });
        self.running = Some((stop, thread));
    }

    /// Stops the server and closes all connections.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.cancel();
            thread.join().expect("the server does not panic");
        }
    }

    /// Writes a kubeconfig file for this server.
    pub fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: test, user: {{}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
            self.address
        );
        let path = directory.join("kubeconfig");
        fs::write(&path, text).expect("room for a file");
        path
    }

    /// Creates or replaces objects.
    pub fn put<'a>(&self, objects: impl IntoIterator<Item = &'a Object>) {
        objects
            .into_iter()
            .for_each(|it| self.store().put(it.value().clone()));
        self.shared.changes.send_modify(|count| *count += 1);
    }

    /// Deletes an object.
    pub fn delete(&self, object: &Object) {
        self.store().delete(object.value());
        self.shared.changes.send_modify(|count| *count += 1);
    }

    /// Forgets what happened, so that watches have to start with a new list.
    pub fn compact(&self) {
        self.store().compact();
        self.end_streams();
    }

    /// Ends all watches.
    pub fn end_streams(&self) {
        self.shared.breaks.send_modify(|count| *count += 1);
    }

    /// The next requests fail.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.behaviour().faults.extend(faults);
    }

    /// Whether all requests failed that were to fail.
    pub fn has_failed(&self) -> bool {
        self.behaviour().faults.is_empty()
    }

    /// Does not know streamed lists from now on.
    pub fn make_old(&self) {
        self.behaviour().is_old = true;
    }

    /// Tells by status that a version is too old, from now on.
    pub fn tell_gone_by_status(&self) {
        self.behaviour().gone_by_status = true;
    }

    /// Returns the number of requests by what they ask for: `list services`, `watch services`.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        let requests = self.shared.requests.lock();
        requests.expect("no request panics").clone()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().expect("no request panics")
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.shared.behaviour.lock().expect("no request panics")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}
