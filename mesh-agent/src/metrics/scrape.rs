//! Renders the text for scrapers at most once per second and shares it among them.

use std::time::Duration;

use axum::body::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::api::view::{Stopped, View, ViewReader};

/// Shortest time between two renderings, and largest age of a text that is served.
const PAUSE: Duration = Duration::from_secs(1);

/// Interval of checking whether a text is still held.
const LOOK: Duration = Duration::from_millis(10);

/// A rendering: the text, or the reason why there is none.
type Rendered = Result<Bytes, String>;

/// The last rendering, and a way to ask for another.
#[derive(Default)]
pub(super) struct Scrapes {
    asked: Notify,
    last: watch::Sender<Option<Last>>,
}

/// The rendering that is served.
struct Last {
    at: Instant,
    rendered: Rendered,
    /// Whether the next rendering waits because readers still hold the previous one.
    held: bool,
}

impl Last {
    fn is_fresh(&self) -> bool {
        self.held || self.at.elapsed() < PAUSE
    }
}

impl Scrapes {
    /// Returns a text that is at most a second old, or the last one while slow readers hold up the
    /// next.
    pub(super) async fn get(&self) -> Rendered {
        let mut last = self.last.subscribe();
        if let Some(fresh) = last
            .borrow_and_update()
            .as_ref()
            .filter(|last| last.is_fresh())
        {
            return fresh.rendered.clone();
        }
        self.asked.notify_one();
        let next = last
            .wait_for(|last| last.as_ref().is_some_and(Last::is_fresh))
            .await;
        next.ok()
            .and_then(|next| Some(next.as_ref()?.rendered.clone()))
            .unwrap_or_else(|| Err(Stopped.to_string()))
    }

    /// Renders on request, for as long as it is polled. At most two texts are in memory: while
    /// readers hold the one before the last, no other is rendered, for at most `patience`.
    pub(super) async fn render(
        &self,
        reader: &ViewReader,
        patience: Duration,
        render: fn(&dyn View) -> Rendered,
    ) {
        loop {
            self.asked.notified().await;
            let before = self
                .last
                .borrow()
                .as_ref()
                .and_then(|last| last.rendered.clone().ok());
            let rendered = reader
                .read(render)
                .await
                .unwrap_or_else(|stopped| Err(stopped.to_string()));
            self.last.send_replace(Some(Last {
                at: Instant::now(),
                rendered,
                held: false,
            }));
            sleep(PAUSE).await;
            if let Some(before) = before.filter(|before| !before.is_unique()) {
                self.hold(true);
                _ = timeout(patience, unshared(&before)).await;
                self.hold(false);
            }
        }
    }

    fn hold(&self, held: bool) {
        self.last
            .send_modify(|last| last.iter_mut().for_each(|last| last.held = held));
    }
}

/// Waits until nothing else holds the text.
async fn unshared(text: &Bytes) {
    while !text.is_unique() {
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::api::fixture::healthy;

    static RENDERED: AtomicUsize = AtomicUsize::new(0);

    fn count(_: &dyn View) -> Rendered {
        Ok(Bytes::from(
            RENDERED.fetch_add(1, Ordering::SeqCst).to_string(),
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn many_scrapes_are_one_rendering_a_second_and_slow_readers_hold_two_texts() {
        let scrapes = Arc::new(Scrapes::default());
        let renderer = tokio::spawn({
            let scrapes = Arc::clone(&scrapes);
            async move {
                scrapes
                    .render(
                        &ViewReader::new(Arc::new(healthy())),
                        Duration::from_secs(3),
                        count,
                    )
                    .await;
            }
        });
        let first = scrapes.get().await.unwrap();
        for _ in 0..1000 {
            assert_eq!(scrapes.get().await.unwrap(), first);
        }
        sleep(PAUSE).await;
        let second = scrapes.get().await.unwrap();
        assert_eq!((&first[..], &second[..]), (&b"0"[..], &b"1"[..]));
        // The first is still held, so the second is served, however old.
        sleep(PAUSE * 3).await;
        assert_eq!(scrapes.get().await.unwrap(), second);
        drop(first);
        sleep(LOOK * 2).await;
        assert_eq!(&scrapes.get().await.unwrap()[..], b"2");
        renderer.abort();
    }
}
