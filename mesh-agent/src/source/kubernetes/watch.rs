//! Watches all objects of one kind, and starts again after each failure.

use std::time::Duration;

use backon::ExponentialBuilder;
use futures_util::StreamExt as _;
use kube::{
    Api, Client,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, ExponentialBackoff, InitialListStrategy, watcher},
    },
};
use tokio::sync::mpsc;

use super::{failure, object};
use crate::source::{Key, Kind};

/// Pause after the first failure; each is twice as long as the one before, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause, without jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Objects of a page, where the API server cannot stream a list.
const PAGE: u32 = 500;

/// What the watch of one kind finds.
pub enum Change {
    /// A list of all objects begins. Objects that it does not name are gone at its end.
    ListBegins(Kind),
    /// The list is complete.
    ListEnds(Kind),
    /// An object is new or changed.
    Set(Key, Vec<u8>),
    /// An object is gone.
    Gone(Key),
    /// The API server cannot be asked, for this reason. It is asked again.
    Failed(Kind, String),
    /// The API server answers.
    Answered(Kind),
}

/// Sends all changes of one kind until the receiver is gone.
pub async fn watch(client: Client, kind: Kind, changes: mpsc::Sender<Change>) {
    let api: Api<DynamicObject> = Api::all_with(client, &object::resource(kind));
    let mut strategy = InitialListStrategy::StreamingList;
    loop {
        let config = watcher::Config {
            initial_list_strategy: strategy.clone(),
            page_size: Some(PAGE),
            ..watcher::Config::default()
        };
        let mut events = watcher(api.clone(), config).backoff(pauses()).boxed();
        while let Some(event) = events.next().await {
            match event.as_ref().err().and_then(failure::code) {
                // Streaming is on by default from Kubernetes 1.32 on.
                Some(400 | 422) if strategy == InitialListStrategy::StreamingList => {
                    strategy = InitialListStrategy::ListWatch;
                    break;
                }
                // The library goes on from the version that is gone, where a status tells it.
                Some(410) => break,
                _ => {}
            }
            if let Some(change) = change(event, kind)
                && changes.send(change).await.is_err()
            {
                return;
            }
        }
    }
}

/// Returns the pauses after failures, without end. A success starts again with the first.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .into()
}

/// Returns what an event means.
fn change(event: watcher::Result<Event<DynamicObject>>, kind: Kind) -> Option<Change> {
    Some(match event {
        Ok(Event::Init) => Change::ListBegins(kind),
        Ok(Event::InitDone) => Change::ListEnds(kind),
        Ok(Event::InitApply(it) | Event::Apply(it)) => {
            let (key, json) = object::read(it, kind)?;
            Change::Set(key, json)
        }
        Ok(Event::Delete(it)) => Change::Gone(object::key(&it, kind)?),
        Err(error) => Change::Failed(kind, failure::words(&error)),
    })
}
