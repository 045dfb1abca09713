//! Changes of real files reach the agent.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mesh_core::source::fixture::{names, one, service};
use mesh_files::dir::DirectoryReader;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::watch;
use crate::{
    model::{Admission, Update},
    source::{
        SourceUpdate,
        merge::{Holdings, merge},
    },
};

/// A services directory.
struct Node {
    directory: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }
}

/// Returns the update of a single source, merged.
fn merged(update: &SourceUpdate) -> Update {
    merge(&[update], &Admission::default(), &Holdings::default()).0
}

/// Time within which a change must be live.
const LIVE: Duration = Duration::from_millis(200);

/// A watcher and its updates.
struct Watched {
    updates: mpsc::Receiver<SourceUpdate>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Watched {
    async fn start(directories: Vec<PathBuf>, expected: &[&str]) -> Self {
        let (sender, updates) = mpsc::channel(1);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(watch(
            DirectoryReader::new(directories, false),
            sender,
            cancel.clone(),
        ));
        let mut watched = Self {
            updates,
            cancel,
            task,
        };
        let first = timeout(Duration::from_secs(5), watched.updates.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(names(&merged(&first)), expected);
        watched
    }

    /// Waits for the next update, and checks what it serves and how long it took.
    async fn within(&mut self, limit: Duration, since: Instant, expected: &[&str]) {
        let update = timeout(Duration::from_secs(5), self.updates.recv())
            .await
            .expect("an update")
            .unwrap();
        let took = since.elapsed();
        assert_eq!(
            (names(&merged(&update)), &update.errors[..]),
            (expected.iter().map(ToString::to_string).collect(), &[][..])
        );
        assert!(took <= limit, "took {took:?}");
    }

    /// Changes the files, and expects exactly one update in time.
    async fn after(&mut self, change: impl FnOnce(), expected: &[&str]) {
        let since = Instant::now();
        change();
        self.within(LIVE, since, expected).await;
    }

    async fn stop(self) {
        self.cancel.cancel();
        timeout(Duration::from_secs(5), self.task)
            .await
            .expect("it ends when told to")
            .unwrap();
    }
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edited_added_renamed_and_removed_files_are_live_in_time() {
    let node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    let mut watched = Watched::start(vec![node.directory.path().to_owned()], &["a"]).await;
    watched
        .after(|| node.write("a.yaml", &one("b", "10.96.0.1")), &["b"])
        .await;
    watched
        .after(|| node.write("c.yaml", &one("c", "10.96.0.3")), &["b", "c"])
        .await;
    watched
        .after(
            || fs::rename(node.path("c.yaml"), node.path("d.yaml")).unwrap(),
            &["b", "c"],
        )
        .await;
    watched
        .after(
            || fs::rename(node.path("d.yaml"), node.path("d.txt")).unwrap(),
            &["b"],
        )
        .await;
    watched
        .after(
            || fs::rename(node.path("d.txt"), node.path("d.yml")).unwrap(),
            &["b", "c"],
        )
        .await;
    watched.after(|| node.remove("a.yaml"), &["c"]).await;
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_links_and_edits_behind_them_are_live_in_time() {
    let node = Node::new();
    for version in ["..1", "..2", "elsewhere"] {
        fs::create_dir(node.path(version)).unwrap();
        node.write(
            &format!("{version}/a.yaml"),
            &one(&version.replace("..", "v"), "10.96.0.1"),
        );
    }
    let place = |target: &str, link: &str| {
        symlink(target, node.path("tmp")).unwrap();
        fs::rename(node.path("tmp"), node.path(link)).unwrap();
    };
    place("..1", "..data");
    fs::create_dir(node.path("services")).unwrap();
    place("../..data/a.yaml", "services/a.yaml");
    let mut watched = Watched::start(vec![node.path("services")], &["v1"]).await;
    watched.after(|| place("..2", "..data"), &["v2"]).await;
    fs::remove_dir_all(node.path("..1")).unwrap();
    watched
        .after(
            || put(&node.path("..2/a.yaml"), &one("x", "10.96.0.1")),
            &["x"],
        )
        .await;
    watched
        .after(
            || place("../elsewhere/a.yaml", "services/a.yaml"),
            &["elsewhere"],
        )
        .await;
    watched
        .after(
            || put(&node.path("elsewhere/a.yaml"), &one("y", "10.96.0.1")),
            &["y"],
        )
        .await;
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volume_of_kubernetes_is_swapped_many_times() {
    let node = Node::new();
    let swap = |version: u32| {
        let name = format!("..{version}");
        fs::create_dir(node.path(&name)).unwrap();
        node.write(
            &format!("{name}/a.yaml"),
            &one(&format!("v{version}"), "10.96.0.1"),
        );
        symlink(&name, node.path("..data_tmp")).unwrap();
        fs::rename(node.path("..data_tmp"), node.path("..data")).unwrap();
        if version > 0 {
            fs::remove_dir_all(node.path(&format!("..{}", version - 1))).unwrap();
        }
    };
    swap(0);
    symlink("..data/a.yaml", node.path("a.yaml")).unwrap();
    let mut watched = Watched::start(vec![node.directory.path().to_owned()], &["v0"]).await;
    for version in 1..30 {
        watched
            .after(|| swap(version), &[&format!("v{version}")])
            .await;
    }
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_that_appears_later_or_is_replaced_is_live_in_time() {
    let node = Node::new();
    let services = node.path("some/where/services");
    let mut watched = Watched::start(vec![services.clone()], &[]).await;
    let make = |name: &str| {
        let made = node.path("made");
        fs::create_dir(&made).unwrap();
        put(&made.join("a.yaml"), &one(name, "10.96.0.1"));
        fs::rename(&made, &services).unwrap();
    };
    let appear = || {
        fs::create_dir_all(services.parent().unwrap()).unwrap();
        make("a");
    };
    watched.after(appear, &["a"]).await;
    let replace = || {
        fs::rename(&services, node.path("old")).unwrap();
        make("b");
    };
    watched.after(replace, &["b"]).await;
    watched
        .after(
            || put(&services.join("a.yaml"), &one("c", "10.96.0.1")),
            &["c"],
        )
        .await;
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_writer_is_waited_for() {
    let node = Node::new();
    let text = "services:\n".to_owned() + &service("a", "10.96.0.1") + &service("b", "10.96.0.2");
    node.write("a.yaml", &text);
    let mut watched = Watched::start(vec![node.directory.path().to_owned()], &["a", "b"]).await;
    // Between the writes the file is valid but incomplete, and must not be read.
    let path = node.path("a.yaml");
    let write = move || {
        let mut file = fs::File::create(&path).unwrap();
        let new = "# new\n".to_owned() + &text + &service("c", "10.96.0.3");
        for line in new.split_inclusive('\n') {
            file.write_all(line.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(60));
        }
        Instant::now()
    };
    let done = tokio::task::spawn_blocking(write).await.unwrap();
    watched.within(LIVE, done, &["a", "b", "c"]).await;
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_state_of_a_flapping_file_is_live_in_time() {
    let node = Node::new();
    node.write("a.yaml", &one("v0", "10.96.0.1"));
    let mut watched = Watched::start(vec![node.directory.path().to_owned()], &["v0"]).await;
    let path = node.path("a.yaml");
    let flap = tokio::task::spawn_blocking(move || {
        for version in 1..=100 {
            put(&path, &one(&format!("v{version}"), "10.96.0.1"));
            std::thread::sleep(Duration::from_millis(10));
        }
        Instant::now()
    });
    let mut updates = 0;
    while let Ok(Some(update)) = timeout(Duration::from_secs(5), watched.updates.recv()).await {
        let names = names(&merged(&update));
        assert_eq!((update.errors.len(), names.len()), (0, 1));
        updates += 1;
        if names == ["v100"] {
            break;
        }
    }
    let took = flap.await.unwrap().elapsed();
    assert!(took <= LIVE, "took {took:?}");
    assert!((5..30).contains(&updates), "{updates} updates");
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_twice_and_a_full_channel_does_not_hold_up_the_end() {
    let node = Node::new();
    node.write("a.yaml", &one("a", "10.96.0.1"));
    let mut watched = Watched::start(vec![node.directory.path().to_owned()], &["a"]).await;
    node.write("a.yaml", &one("a", "10.96.0.1"));
    node.write("b.txt", "x");
    assert!(
        timeout(Duration::from_millis(300), watched.updates.recv())
            .await
            .is_err()
    );
    for version in 0..3 {
        node.write("a.yaml", &one(&format!("v{version}"), "10.96.0.1"));
        timeout(Duration::from_secs(5), async {
            while watched.updates.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
    watched.stop().await;
}
