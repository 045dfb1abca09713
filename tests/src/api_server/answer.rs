//! Answers to requests.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Behaviour, Fault, Shared,
    store::{Event, failure},
};

/// Lines that wait for a slow client.
const QUEUE: usize = 64;

type Options = HashMap<String, String>;

/// Routes the paths of all resources.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(
            "/api/v1/services",
            get(async |shared, options| answer(shared, options, "services")),
        )
        .route(
            "/apis/discovery.k8s.io/v1/endpointslices",
            get(async |shared, options| answer(shared, options, "endpointslices")),
        )
        .with_state(shared)
}

fn answer(
    State(shared): State<Arc<Shared>>,
    Query(options): Query<Options>,
    resource: &'static str,
) -> Response {
    let is_watch = options.get("watch").is_some_and(|it| it == "true");
    let verb = if is_watch { "watch" } else { "list" };
    let requests = shared.requests.lock();
    *requests
        .expect("no request panics")
        .entry(format!("{verb} {resource}"))
        .or_default() += 1;
    let (fault, behaviour) = {
        let behaviour = shared.behaviour.lock();
        let mut behaviour = behaviour.expect("no request panics");
        let fault = (!behaviour.faults.is_empty()).then(|| behaviour.faults.remove(0));
        (fault, behaviour.clone())
    };
    match fault {
        Some(Fault::Status(code)) => refuse(code, "Fault"),
        Some(Fault::HalfSent) => half(&shared, resource),
        None if is_watch => watch(&shared, &behaviour, &options, resource),
        None => list(&shared, &options, resource),
    }
}

fn refuse(code: u16, reason: &str) -> Response {
    let status = StatusCode::from_u16(code).expect("a status");
    let headers = [("retry-after", "1")];
    (status, headers, Json(failure(code, reason))).into_response()
}

/// Sends the first half of an event.
fn half(shared: &Shared, resource: &str) -> Response {
    let store = shared.store.lock().expect("no request panics");
    let first = store.list(resource).into_iter().next();
    let line = json!({"type": "ADDED", "object": first}).to_string();
    line[..line.len() / 2].to_owned().into_response()
}

fn list(shared: &Shared, options: &Options, resource: &str) -> Response {
    let store = shared.store.lock().expect("no request panics");
    let all = store.list(resource);
    let number = |name: &str| options.get(name).and_then(|it| it.parse::<usize>().ok());
    let (start, limit) = (
        number("continue").unwrap_or(0),
        number("limit").unwrap_or(usize::MAX),
    );
    let end = start.saturating_add(limit).min(all.len());
    // The objects of a list do not name their kind.
    let items: Vec<Value> = all[start.min(end)..end].iter().map(without_kind).collect();
    let next = (end < all.len()).then(|| end.to_string());
    let metadata = json!({"resourceVersion": store.version().to_string(), "continue": next.unwrap_or_default()});
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
        .into_response()
}

fn without_kind(object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().expect("an object");
    fields.remove("kind");
    fields.remove("apiVersion");
    object
}

fn watch(
    shared: &Arc<Shared>,
    behaviour: &Behaviour,
    options: &Options,
    resource: &'static str,
) -> Response {
    let is_initial = options
        .get("sendInitialEvents")
        .is_some_and(|it| it == "true");
    if is_initial && behaviour.is_old {
        return refuse(422, "Invalid");
    }
    let version = options.get("resourceVersion");
    let version: u64 = version.and_then(|it| it.parse().ok()).unwrap_or(0);
    let (lines, start) = {
        let store = shared.store.lock().expect("no request panics");
        if is_initial {
            (
                initial(&store.list(resource), store.version(), resource),
                store.version(),
            )
        } else if store.since(resource, version).is_some() {
            (Vec::new(), version)
        } else if behaviour.gone_by_status {
            return refuse(410, "Expired");
        } else {
            let gone = json!({"type": "ERROR", "object": failure(410, "Expired")});
            return format!("{gone}\n").into_response();
        }
    };
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(follow(Arc::clone(shared), resource, start, lines, sender));
    let lines = stream::unfold(receiver, async |mut receiver| {
        let line: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    Body::from_stream(lines).into_response()
}

/// Returns the events of a streamed list: all objects, and the bookmark that ends it.
fn initial(objects: &[Value], version: u64, resource: &str) -> Vec<Value> {
    let added = objects
        .iter()
        .map(|object| json!({"type": "ADDED", "object": object}));
    let (kind, api_version) = match resource {
        "services" => ("Service", "v1"),
        _ => ("EndpointSlice", "discovery.k8s.io/v1"),
    };
    let end = json!({"type": "BOOKMARK", "object": {
        "kind": kind,
        "apiVersion": api_version,
        "metadata": {
            "resourceVersion": version.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    }});
    added.chain([end]).collect()
}

/// Sends what happens from a version on, until all streams are ended or the client is gone.
async fn follow(
    shared: Arc<Shared>,
    resource: &'static str,
    mut version: u64,
    first: Vec<Value>,
    lines: mpsc::Sender<Bytes>,
) {
    let (mut changes, mut breaks) = (shared.changes.subscribe(), shared.breaks.subscribe());
    let line = |value: &Value| Bytes::from(format!("{value}\n"));
    for value in first {
        if lines.send(line(&value)).await.is_err() {
            return;
        }
    }
    loop {
        let events = {
            let store = shared.store.lock().expect("no request panics");
            store.since(resource, version)
        };
        let Some(events) = events else { return };
        for Event {
            version: new,
            kind,
            object,
            ..
        } in events
        {
            version = new;
            let event = json!({"type": kind, "object": object});
            if lines.send(line(&event)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = breaks.changed() => return,
            () = lines.closed() => return,
        }
    }
}
