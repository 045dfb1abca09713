//! Works on many items in parallel.

use std::{sync::Mutex, thread};

/// Returns the results for all items, in any order. Uses all CPUs.
pub fn in_parallel<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len());
    if workers < 2 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new(items);
    let next = || {
        queue
            .lock()
            .expect("no thread panics while it holds the lock")
            .pop()
    };
    let take = || std::iter::from_fn(next).map(&work).collect::<Vec<_>>();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(take)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("parsing does not panic"))
            .collect()
    })
}
