//! A source that ends is reported and started again.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::agent::inbox::inbox;

#[tokio::test(start_paused = true)]
async fn source_that_ends_is_reported_and_started_again() {
    let (inbox, mut events) = inbox();
    let (stop, starts) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let start = move |updates: mpsc::Sender<SourceUpdate>| {
        let number = starts.fetch_add(1, Ordering::Relaxed);
        async move {
            updates.send(SourceUpdate::default()).await?;
            match number {
                0 => Err(anyhow::anyhow!("the disk is gone")),
                1 => panic!("out of range"),
                _ => Ok(()),
            }
        }
    };
    let task = tokio::spawn(supervise("files".into(), start, inbox, stop.clone()));
    let mut ends = Vec::new();
    for _ in 0..3 {
        let event = events.recv().await.unwrap().event;
        assert!(
            matches!(&event, Event::Source(update) if &*update.source == "files"),
            "{event:?}"
        );
        let at = Instant::now();
        match events.recv().await.unwrap().event {
            Event::SourceEnded { source, reason } if &*source == "files" => {
                ends.push((reason, at));
            }
            other => panic!("{other:?}"),
        }
    }
    let reasons: Vec<&str> = ends.iter().map(|(reason, _)| &**reason).collect();
    assert_eq!(
        (reasons[0], reasons[2]),
        ("the disk is gone", "it returned")
    );
    assert!(reasons[1].contains("out of range"), "{}", reasons[1]);
    let pauses: Vec<u64> = ends
        .windows(2)
        .map(|two| (two[1].1 - two[0].1).as_secs())
        .collect();
    assert_eq!(pauses, [1, 2]);
    stop.cancel();
    task.await.unwrap();
}
