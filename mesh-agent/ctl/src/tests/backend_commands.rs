//! `meshctl backend drain`, `undrain` and `weight`.

use super::*;

#[tokio::test]
async fn command_that_ends_with_the_agent_prints_a_warning() {
    let problem = "cannot write overrides.json, so drains and weights end when the agent does";
    let mut agent = healthy();
    agent.status.problems = vec![problem.into()];
    let agent = served(agent);
    for (line, answer) in [("drain", "draining"), ("undrain", "not draining")] {
        let (exit, out, err) =
            run_in_process(&agent, &format!("backend {line} shop/cart 10.0.0.3:8080")).await;
        assert_eq!(
            (exit, out),
            (
                Exit::Ok,
                format!("shop/cart 10.0.0.3:8080: {answer}, 0 connections\n")
            )
        );
        assert_eq!(err, format!("meshctl: warning: {problem}\n"));
    }
    let (_, out, _) = run_in_process(&agent, "backend drain shop/cart 10.0.0.3:8080 -o json").await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["warning"],
        problem
    );
}

#[tokio::test]
async fn endpoints_are_drained_weighted_and_reset() {
    let agent = healthy();
    let commands = agent.commands.clone();
    let agent = served(agent);
    let answer = ask(
        &agent,
        "backend drain shop/cart 10.0.0.3:8080 --wait --deadline 5s",
    )
    .await;
    assert_eq!(answer, "shop/cart 10.0.0.3:8080: draining, 0 connections\n");
    let line = "backend drain shop/cart 10.0.0.1:8080 --wait --deadline 300ms";
    let (exit, _, err) = run_in_process(&agent, line).await;
    assert_eq!(
        exit,
        Exit::No,
        "it has no connection, but still gets new ones"
    );
    assert!(
        err.contains("after 300ms no connection is left, but the endpoint"),
        "{err}"
    );
    let answer = ask(&agent, "backend weight cart fd00::a:1 5 -n shop").await;
    assert_eq!(
        answer,
        "shop/cart [fd00::a:1]:8080: weight 5, 0 connections\n"
    );
    ask(&agent, "backend weight shop/cart 10.0.0.1 default").await;
    ask(&agent, "backend undrain shop/cart 10.0.0.1 --port http").await;
    let (exit, _, err) = run_in_process(&agent, "backend drain shop/cart 10.0.0.4").await;
    assert_eq!(
        (exit, err.as_str()),
        (Exit::No, "meshctl: 10.0.0.4:9000 is the last one\n")
    );
    ask(&agent, "backend drain shop/cart 10.0.0.4 --force").await;
    let expected = [
        "shop/cart 10.0.0.3:8080 draining",
        "shop/cart 10.0.0.1:8080 draining",
        "shop/cart [fd00::a:1]:8080 weight 5",
        "shop/cart 10.0.0.1:8080 weight as configured",
        "shop/cart 10.0.0.1:8080 not draining",
        "shop/cart 10.0.0.4:9000 draining by force",
    ];
    assert_eq!(*commands.lock().unwrap(), expected);
}

#[tokio::test]
async fn drain_past_its_deadline_exits_with_one() {
    let agent = served(Fake {
        services: Ok(vec![busy_cart()]),
        ..healthy()
    });
    let line = "backend drain shop/cart 10.0.0.1:8080 --wait --deadline 300ms";
    let left = "meshctl: after 300ms 40 connections are left; the drain goes on. Wait again with a longer --deadline, end \
                what is connected, or take the drain back with `meshctl backend undrain shop/cart 10.0.0.1:8080`\n";
    let no = (
        Exit::No,
        "shop/cart 10.0.0.1:8080: draining, 40 connections\n".to_owned(),
        left.to_owned(),
    );
    assert_eq!(run_in_process(&agent, line).await, no);
    let socket = agent.socket.display().to_string();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut arguments = arguments(line);
    arguments.splice(1..1, ["--socket", &socket]);
    run(
        arguments,
        Streams {
            out: &mut out,
            err: &mut err,
            screen: terminal,
        },
    )
    .await;
    let progress = String::from_utf8(err).unwrap();
    assert!(
        progress.starts_with("\r\x1b[2Kcart 10.0.0.1:8080: 40 connections left"),
        "{progress:?}"
    );
    assert!(
        progress.contains("\r\x1b[2Kmeshctl: after 300ms"),
        "{progress:?}"
    );
}

#[tokio::test]
async fn commands_for_unknown_objects_name_the_known_ones() {
    let agent = served(healthy());
    let no = |reason: &str| (Exit::No, String::new(), format!("meshctl: {reason}\n"));
    let there = "no service shop/card; there is shop/cart";
    assert_eq!(
        run_in_process(&agent, "backend drain shop/card 10.0.0.1").await,
        no(there)
    );
    assert_eq!(
        run_in_process(&agent, "backend undrain shop/card 10.0.0.1:80").await,
        no(there)
    );
    for line in [
        "backend drain shop/cart web",
        "backend weight shop/cart 10.0.0.1 many",
        "explain cart:80",
    ] {
        assert_eq!(run_in_process(&agent, line).await.0, Exit::Usage, "{line}");
    }
}

#[tokio::test]
async fn invalid_options_name_the_valid_ones() {
    let agent = served(healthy());
    let (exit, _, err) = run_in_process(&agent, "backend weight shop/cart 10.0.0.1 -1").await;
    assert_eq!(exit, Exit::Usage);
    assert!(
        err.contains("<WEIGHT>: expected a number from 0 to 65535, or `default` for the configured weight, found `-1`"),
        "{err}"
    );
    let (exit, _, err) = run_in_process(
        &agent,
        "backend drain shop/cart 10.0.0.3:8080 --deadline 5s",
    )
    .await;
    let expected =
        "meshctl: --deadline says how long --wait waits: add --wait, or leave out --deadline\n";
    assert_eq!((exit, err.as_str()), (Exit::Usage, expected));
}
