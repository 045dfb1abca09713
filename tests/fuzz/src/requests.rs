//! One connection to the control socket: the bytes that a client sends. With a first byte `!`, the
//! agent has every problem that it can report.

use std::{
    cell::LazyCell,
    sync::{Arc, PoisonError},
};

use mesh_api::{
    connection_limits::{self, API},
    fixture::{Fake, ailing, healthy},
    server::router,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    runtime::{Builder, Runtime},
};

/// Room for a request and an answer.
const BUFFER: usize = 1 << 20;
/// Most bytes of an answer, except for those that repeat the request.
const ANSWER: usize = 64 << 10;

thread_local! {
    static RUNTIME: LazyCell<Runtime> = const { LazyCell::new(runtime) };
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Checks that there is at most one answer, which is complete; that errors say what is wrong; that
/// only a POST changes anything; and that its answer says so.
pub fn check(data: &[u8]) {
    let (fake, request) = match data.split_first() {
        Some((b'!', rest)) => (ailing(), rest),
        _ => (healthy(), data),
    };
    let commands = Arc::clone(&fake.commands);
    let answer = RUNTIME.with(|runtime| runtime.block_on(exchange(fake, request)));
    let commands = commands.lock().unwrap_or_else(PoisonError::into_inner);
    let code = check_answer(request, &answer);
    match commands.as_slice() {
        [] => {}
        [_] => assert!(
            starts_with_post(request) && says_in_force(code, &answer),
            "{code:?} after {commands:?}"
        ),
        _ => panic!("{commands:?} for one request"),
    }
}

async fn exchange(fake: Fake, request: &[u8]) -> Vec<u8> {
    let (mut client, server) = duplex(BUFFER);
    let serve =
        connection_limits::connection(server, router(Arc::new(fake)), Arc::default(), API.time);
    let ask = async {
        client.write_all(request).await.expect("it fits");
        client.shutdown().await.expect("the connection is open");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("it ends");
        answer
    };
    tokio::join!(serve, ask).1
}

/// Empty lines before a request are allowed.
fn starts_with_post(request: &[u8]) -> bool {
    let start = request.iter().position(|byte| !b"\r\n".contains(byte));
    start.is_some_and(|start| request[start..].starts_with(b"POST "))
}

/// A change without this answer is in force, too, but the client cannot know it.
fn says_in_force(code: Option<u16>, answer: &[u8]) -> bool {
    let words = b"the change is in force";
    let has_words = || answer.windows(words.len()).any(|it| it == words);
    code == Some(200) || code == Some(500) && has_words()
}

/// Returns the status code of the answer, if there is one.
fn check_answer(request: &[u8], answer: &[u8]) -> Option<u16> {
    let go_on: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let answer = answer.strip_prefix(go_on).unwrap_or(answer);
    if answer.is_empty() {
        return None;
    }
    assert!(answer.len() <= ANSWER + 8 * request.len(), "a long answer");
    let text = std::str::from_utf8(answer).expect("an answer is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let code = head.split(' ').nth(1).expect("a line of status");
    let code: u16 = code.parse().expect("a status is a number");
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |it| it.parse().expect("a length is a number"));
    // An answer to HEAD has the length of that to GET, and no body.
    assert!(body.len() == length || body.is_empty(), "{text}");
    check_body(code, body);
    Some(code)
}

fn check_body(code: u16, body: &str) {
    // The library refuses what is not HTTP with an empty answer.
    if body.is_empty() {
        return;
    }
    let body: Value = serde_json::from_str(body).expect("a body is JSON");
    match code {
        200 => {}
        400 | 404 | 405 | 409 | 413 | 500 | 503 => {
            let error = body["error"].as_str().expect("an error has a message");
            assert!(!error.is_empty());
        }
        _ => panic!("{code}: {body}"),
    }
}
