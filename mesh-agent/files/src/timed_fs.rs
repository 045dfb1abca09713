//! Accesses files with a timeout. On a network or FUSE filesystem whose server hangs, a system call
//! may never return; it must not delay the files that are read after it.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Timeout for one path.
const PATIENCE: Duration = Duration::from_secs(1);
/// Timeout for the remaining paths after one has timed out, because more are likely to hang.
const IMPATIENCE: Duration = Duration::from_millis(200);
/// Most threads that wait for a path.
const MOST: usize = 64;

/// Paths that a thread still waits for. They are not accessed again before the thread returns.
static STUCK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Paths and the result of accessing each.
pub type Results<T> = Vec<(PathBuf, io::Result<T>)>;
type ReadFn<T> = fn(&Path) -> io::Result<T>;
type List = fn(&Path) -> io::Result<Vec<PathBuf>>;

/// Accesses every path, in order. A path that times out has an error and does not delay the others.
pub fn each<T: Send + 'static>(paths: Vec<PathBuf>, look: ReadFn<T>) -> Results<T> {
    all(Todo::Paths(paths), look).unwrap_or_default()
}

/// Accesses the listed paths of a directory. The error is that of listing them.
pub fn listed<T: Send + 'static>(
    directory: &Path,
    list: List,
    look: ReadFn<T>,
) -> io::Result<Results<T>> {
    all(Todo::Directory(directory.to_owned(), list), look)
}

/// Accesses one path.
pub fn one<T: Send + 'static>(path: &Path, look: ReadFn<T>) -> io::Result<T> {
    each(vec![path.to_owned()], look)
        .into_iter()
        .next()
        .map_or_else(|| Err(hangs()), |(_, result)| result)
}

fn all<T: Send + 'static>(todo: Todo, look: ReadFn<T>) -> io::Result<Results<T>> {
    let (mut results, mut rest) = Worker::start(todo, look).collect(PATIENCE)?;
    while !rest.is_empty() {
        let (more, left) = Worker::start(Todo::Paths(rest), look).collect(IMPATIENCE)?;
        results.extend(more);
        rest = left;
    }
    Ok(results)
}

fn hangs() -> io::Error {
    io::Error::other(
        "its file system gave no answer in 1s; the services stay, and it is read when it answers",
    )
}

/// Paths that a thread accesses.
enum Todo {
    Paths(Vec<PathBuf>),
    Directory(PathBuf, List),
}

/// A thread that accesses paths until one times out, and its results so far.
struct Worker<T> {
    progress: Mutex<Progress<T>>,
    done: Condvar,
}

struct Progress<T> {
    /// Path that the thread accesses; the directory while it is listed.
    at: Option<PathBuf>,
    /// Start of this access.
    since: Instant,
    paths: io::Result<Vec<PathBuf>>,
    results: Vec<io::Result<T>>,
    /// Whether the thread should end after this path.
    given_up: bool,
}

impl<T: Send + 'static> Worker<T> {
    fn start(todo: Todo, look: ReadFn<T>) -> Arc<Self> {
        let (at, paths) = match &todo {
            Todo::Paths(paths) => (paths.first().cloned(), paths.clone()),
            Todo::Directory(directory, _) => (Some(directory.clone()), vec![]),
        };
        let progress = Progress {
            at,
            since: Instant::now(),
            paths: Ok(paths),
            results: vec![],
            given_up: false,
        };
        let worker = Arc::new(Self {
            progress: Mutex::new(progress),
            done: Condvar::new(),
        });
        let thread = Arc::clone(&worker);
        thread::spawn(move || {
            thread.work(todo, look);
            thread.done.notify_one();
        });
        worker
    }

    /// Accesses the paths. Returns early when the results are no longer awaited.
    fn work(&self, todo: Todo, look: ReadFn<T>) -> Option<()> {
        let paths = match todo {
            Todo::Paths(paths) => Ok(paths),
            Todo::Directory(directory, list) => answer(&directory, list),
        };
        let todo = paths.as_ref().map(Vec::clone).unwrap_or_default();
        self.note(todo.first(), |progress| progress.paths = paths)?;
        for (number, path) in todo.iter().enumerate() {
            let result = answer(path, look);
            self.note(todo.get(number + 1), |progress| {
                progress.results.push(result);
            })?;
        }
        Some(())
    }

    /// Records a result and the next path.
    fn note(&self, next: Option<&PathBuf>, note: impl FnOnce(&mut Progress<T>)) -> Option<()> {
        let mut progress = self.progress();
        if progress.given_up {
            progress.at.take().map(|path| stuck().remove(&path));
            return None;
        }
        note(&mut progress);
        (progress.at, progress.since) = (next.cloned(), Instant::now());
        Some(())
    }

    /// Returns the results that come in time, and the paths that are left when one times out.
    fn collect(&self, patience: Duration) -> io::Result<(Results<T>, Vec<PathBuf>)> {
        let mut progress = self.progress();
        while let Some(at) = &progress.at {
            let left = patience.saturating_sub(progress.since.elapsed());
            if left.is_zero() {
                stuck().insert(at.clone());
                progress.given_up = true;
                break;
            }
            progress = self
                .done
                .wait_timeout(progress, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let mut paths = std::mem::replace(&mut progress.paths, Ok(vec![]))?;
        let mut results = std::mem::take(&mut progress.results);
        if progress.given_up && paths.is_empty() {
            return Err(hangs());
        }
        if progress.given_up {
            results.push(Err(hangs()));
        }
        let rest = paths.split_off(results.len());
        Ok((paths.into_iter().zip(results).collect(), rest))
    }

    fn progress(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accesses a path unless a thread waits for it already.
fn answer<T>(path: &Path, look: ReadFn<T>) -> io::Result<T> {
    if is_stuck(path) {
        Err(hangs())
    } else {
        look(path)
    }
}

/// Whether a path must be skipped: a thread waits for it, or too many wait for others.
fn is_stuck(path: &Path) -> bool {
    let stuck = stuck();
    stuck.len() >= MOST || stuck.contains(path)
}

fn stuck() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    STUCK.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    /// Opening a pipe waits for its writer.
    fn name(path: &Path) -> io::Result<String> {
        File::open(path)?;
        Ok(path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned())
    }

    #[test]
    fn a_path_that_gives_no_answer_keeps_no_other_waiting_and_is_looked_at_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for pipe in ["b", "d"] {
            mkfifo(&path(pipe), Mode::S_IRWXU).unwrap();
        }
        for file in ["a", "c", "e"] {
            File::create(path(file)).unwrap();
        }
        let look = || -> Vec<Option<String>> {
            let results = each(["a", "b", "c", "d", "e"].map(path).into(), name);
            results.into_iter().map(|(_, result)| result.ok()).collect()
        };
        let some = |names: [&str; 5]| names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
        let start = Instant::now();
        assert_eq!(look(), some(["a", "", "c", "", "e"]));
        assert!(
            (PATIENCE..PATIENCE * 2).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
        let start = Instant::now();
        assert_eq!(look(), some(["a", "", "c", "", "e"]));
        assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
        // The threads that wait get their answer.
        for pipe in ["b", "d"] {
            File::options()
                .write(true)
                .open(path(pipe))
                .unwrap()
                .flush()
                .unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while stuck()
            .iter()
            .any(|path| path.starts_with(directory.path()))
        {
            assert!(Instant::now() < deadline, "answers are not heard");
            thread::yield_now();
        }
        for pipe in ["b", "d"] {
            std::fs::remove_file(path(pipe)).unwrap();
            File::create(path(pipe)).unwrap();
        }
        assert_eq!(look(), some(["a", "b", "c", "d", "e"]));
    }

    #[test]
    fn results_come_in_order() {
        let paths: Vec<PathBuf> = (0..1000)
            .map(|number| PathBuf::from(number.to_string()))
            .collect();
        let results = each(paths.clone(), |path| {
            if path.ends_with("7") {
                Err(hangs())
            } else {
                Ok(path.to_owned())
            }
        });
        assert!(
            results
                .iter()
                .zip(&paths)
                .all(|((path, _), expected)| path == expected)
        );
        assert_eq!(
            results
                .iter()
                .filter_map(|(_, result)| result.as_ref().err())
                .count(),
            1
        );
        assert_eq!(one(Path::new("x"), |_| Ok(1)).unwrap(), 1);
    }
}
