use std::{
    os::unix::net::UnixListener,
    sync::{Arc, atomic::Ordering},
};

use super::*;
use crate::fixture::{Fake, cart, healthy, served};

#[tokio::test]
async fn error_without_an_agent_differs_when_one_left_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let expected = format!(
        "no agent answers on {}: is it running? start it with `mesh-agent run`, or name another socket with --socket",
        socket.display()
    );
    assert_eq!(
        Client::new(socket.clone())
            .status()
            .await
            .unwrap_err()
            .to_string(),
        expected
    );
    drop(UnixListener::bind(&socket).unwrap());
    let expected = format!(
        "no agent answers on {}; programs and services stay in the kernel: start it again with `mesh-agent run`, or \
             remove everything from the kernel with `mesh-agent uninstall` and the --pin-dir, --state-dir and --socket that \
             the agent was given",
        socket.display()
    );
    assert_eq!(
        Client::new(socket).status().await.unwrap_err().to_string(),
        expected
    );
}

#[test]
fn permission_error_says_to_run_as_root() {
    let client = Client::new("/run/agent.sock".into());
    let error = client.no_connection(&io::ErrorKind::PermissionDenied.into());
    assert_eq!(
        error.to_string(),
        "no permission to open /run/agent.sock: run as root, or as a member of the group that the agent's --socket-group names"
    );
}

#[tokio::test]
async fn client_waits_a_limited_time_for_services_to_load() {
    let starting = Fake {
        loaded: Arc::default(),
        ..healthy()
    };
    let loaded = Arc::clone(&starting.loaded);
    let agent = served(starting);
    let hasty = Client {
        socket: agent.socket.clone(),
        patience: Duration::ZERO,
    };
    let reason = "the agent has not loaded its services yet; try again in a moment, and see `meshctl status` if that \
                      does not help";
    for answer in [
        hasty.service("shop", "cart").await.err(),
        hasty.services(None).await.err(),
    ] {
        assert_eq!(answer.unwrap().to_string(), reason);
    }
    let question = Question {
        to: "10.96.0.10:80".into(),
        ..Question::default()
    };
    assert_eq!(
        hasty.explain(&question).await.unwrap_err().to_string(),
        reason
    );
    tokio::spawn(async move {
        sleep(LOOK_TIME).await;
        loaded.store(true, Ordering::SeqCst);
    });
    assert_eq!(
        Client::new(agent.socket.clone())
            .service("shop", "cart")
            .await
            .unwrap(),
        cart()
    );
}

#[tokio::test]
async fn file_that_is_no_socket_is_not_an_agent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    fs::write(&path, "").unwrap();
    assert!(matches!(
        Client::new(path).status().await.unwrap_err(),
        Error::NoAgent { .. }
    ));
}

#[tokio::test]
async fn listener_that_hangs_up_is_reported_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || drop(listener.accept()));
    let error = Client::new(path).status().await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
}

#[test]
fn path_parts_are_escaped() {
    assert_eq!(escape("cart-1.a_b~"), "cart-1.a_b~");
    assert_eq!(escape("a/b?c d&é"), "a%2Fb%3Fc%20d%26%C3%A9");
}
