//! Whole command lines, against a served agent.

mod backend_commands;
mod forms;
mod terminal;
mod validate;

use self::terminal::{terminal, watched};
use super::*;
use crate::api::fixture::{Fake, Served, ailing, busy_cart, cart, healthy, served};

#[tokio::test]
async fn services_are_listed_and_shown() {
    let agent = served(healthy());
    let all = ask(&agent, "service list").await;
    assert_eq!(all.lines().collect::<Vec<_>>().len(), 3, "{all}");
    insta::assert_snapshot!(ask(&agent, "service list -n shop").await, @"
    NAMESPACE   NAME   ADDRESS               PORT(S)           ENDPOINTS   CONNECTS
    shop        cart   10.96.0.10,fd00::10   80/TCP,9000/TCP   3/4,1/1     200
    ");
    let json = serde_json::from_str::<api::types::Service>(
        &ask(&agent, "service get shop/cart -o json").await,
    );
    assert_eq!(json.unwrap(), cart());
    assert!(
        ask(&agent, "service get shop/db")
            .await
            .contains("Left alone:   it is headless")
    );
    assert_eq!(
        ask(&agent, "service get cart -n shop").await,
        ask(&agent, "-n shop service get shop/cart").await
    );
}

#[tokio::test]
async fn backends_and_stats_can_be_of_one_service() {
    let agent = served(healthy());
    insta::assert_snapshot!(ask(&agent, "stats kube-system/dns").await, @"
    NAMESPACE     SERVICE   PORT     CONNECTIONS   CONNECTS   REFUSED
    kube-system   dns       53/UDP   0             12         0
    ");
    assert_eq!(
        ask(&agent, "backend list kube-system/dns -o yaml").await,
        "[]\n"
    );
}

#[tokio::test]
async fn status_exits_with_zero_only_when_ready() {
    let well = run_in_process(&served(healthy()), "status -o json").await;
    assert_eq!((well.0, well.2.as_str()), (Exit::Ok, ""));
    let ill = run_in_process(&served(ailing()), "status").await;
    assert_eq!((ill.0, ill.2.as_str()), (Exit::No, ""));
    assert!(
        ill.1
            .starts_with("Ready:      no: 1 problem, 2 errors\n\nProblems:\n"),
        "{}",
        ill.1
    );
}

#[tokio::test]
async fn unknown_objects_and_failed_reads_exit_with_one() {
    let agent = served(healthy());
    let no = |reason: &str| (Exit::No, String::new(), format!("meshctl: {reason}\n"));
    assert_eq!(
        run_in_process(&agent, "service get cart").await,
        no("no service default/cart; there is shop/cart")
    );
    assert_eq!(
        run_in_process(&agent, "stats shop/card -w").await,
        no("no service shop/card; there is shop/cart")
    );
    let unread = no("the agent answered 500: map SERVICES: cannot read row 7: gone");
    assert_eq!(
        run_in_process(&served(ailing()), "service list").await,
        unread
    );
}

#[tokio::test]
async fn error_without_an_agent_says_how_to_start_one() {
    let (exit, out, err) =
        capture(&["meshctl", "--socket", "/nonexistent/agent.sock", "status"]).await;
    let expected = "meshctl: no agent answers on /nonexistent/agent.sock: is it running? start it with `mesh-agent run`, \
                    or name another socket with --socket\n";
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::No, "", expected));
}

#[tokio::test]
async fn wrong_usage_exits_with_two_and_names_the_flag() {
    let agent = served(healthy());
    for line in [
        "",
        "serve",
        "service get",
        "service get a/b/c",
        "stats -w cart",
        "service list -o xml",
        "config validate",
    ] {
        let (exit, out, err) = run_in_process(&agent, line).await;
        assert_eq!((exit, out.as_str()), (Exit::Usage, ""), "{line}: {err}");
    }
    let answer = run_in_process(&agent, "service list -o xml --nmespace shop -w 1ms").await;
    let expected = "meshctl: --nmespace: unknown flag; did you mean --namespace?\n\
                    meshctl: --output: expected table, wide, json or yaml, found `xml`; did you mean yaml?\n\
                    meshctl: --watch: expected 100 ms or more, found `1ms`\n";
    assert_eq!(answer, (Exit::Usage, String::new(), expected.to_owned()));
    let (exit, _, err) = run_in_process(&agent, "service get shop/cart -n web").await;
    let expected = "meshctl: service shop/cart is not in namespace web; leave out -n web\n";
    assert_eq!((exit, err.as_str()), (Exit::Usage, expected));
}

#[tokio::test]
async fn connects_are_explained() {
    let agent = served(healthy());
    let page = ask(&agent, "explain 10.96.0.10:80").await;
    assert!(
        page.contains("10.0.0.2:8080   1         3             33.3%   ejected for 8.2 s more after 3 failures"),
        "{page}"
    );
    let json = ask(&agent, "explain 10.96.0.10:80 -o json").await;
    let expected = api::fixture::explanation();
    assert_eq!(
        serde_json::from_str::<api::types::Explanation>(&json).unwrap(),
        expected
    );
    let (exit, page, _) = run_in_process(
        &agent,
        "explain [fd00::10]:81/tcp --from netns:/run/netns/web",
    )
    .await;
    let expected = "Connect to:   [fd00::10]:81/TCP\nVerdict:      untouched: asked from netns:/run/netns/web\n";
    assert_eq!((exit, page.as_str()), (Exit::No, expected));
}

#[tokio::test]
async fn help_of_every_command_has_examples() {
    for command in [
        "",
        "status",
        "service",
        "service list",
        "service get",
        "backend",
        "backend list",
        "backend drain",
        "backend undrain",
        "backend weight",
        "explain",
        "stats",
        "config",
        "config validate",
        "completion",
    ] {
        let (exit, help, err) = capture(&arguments(&format!("{command} --help"))).await;
        assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{command}");
        assert!(help.contains("Examples:\n  "), "{command}: {help}");
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{command}: {help}");
    }
}

#[tokio::test]
async fn verbs_of_other_tools_work_or_name_the_right_command() {
    let agent = served(healthy());
    let cart = ask(&agent, "service get shop/cart").await;
    assert_eq!(ask(&agent, "service describe shop/cart").await, cart);
    assert_eq!(
        ask(&agent, "services list").await,
        ask(&agent, "service ls").await
    );
    assert_eq!(
        ask(&agent, "backend get shop/cart").await,
        ask(&agent, "endpoints list shop/cart").await
    );
    let (exit, _, err) = run_in_process(&agent, "get services").await;
    assert_eq!(exit, Exit::Usage);
    let known = "known here: status, service, backend, stats, explain, doctor, support-bundle, config, completion; the noun comes first";
    let expected = format!(
        "meshctl: get: unknown command; {known}: `meshctl service list`, `meshctl service get NAME`, `meshctl backend list`\n"
    );
    assert_eq!(err, expected);
    let (exit, _, err) = run_in_process(&agent, "top").await;
    assert_eq!(
        (exit, err.contains("`meshctl stats -w`")),
        (Exit::Usage, true),
        "{err}"
    );
    let (exit, _, err) = run_in_process(&agent, "status -n nope").await;
    let expected = "meshctl: status covers the whole agent: leave out -n nope\n";
    assert_eq!((exit, err.as_str()), (Exit::Usage, expected));
    let (exit, _, err) = run_in_process(&agent, "describe service shop/cart").await;
    assert_eq!(exit, Exit::Usage);
    assert!(
        err.ends_with("; the noun comes first: `meshctl service describe NAME`\n"),
        "{err}"
    );
}

#[tokio::test]
async fn completion_script_exists_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (exit, script, err) = capture(&["meshctl", "completion", shell]).await;
        assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{shell}");
        assert!(
            script.contains("meshctl") && script.contains("COMPLETE"),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn closed_pipe_ends_a_watch_without_an_error() {
    let agent = served(healthy());
    let mut reader = ClosingPipe {
        text: Vec::new(),
        flushes: 3,
    };
    let mut err = Vec::new();
    let socket = agent.socket.display().to_string();
    let arguments = [
        "meshctl",
        "--socket",
        &socket,
        "stats",
        "kube-system/dns",
        "-w",
        "100ms",
    ];
    let exit = run(
        arguments,
        Streams {
            out: &mut reader,
            err: &mut err,
            screen: pipe,
        },
    )
    .await;
    assert_eq!(
        (exit, String::from_utf8(err).unwrap().as_str()),
        (Exit::Ok, "")
    );
    insta::assert_snapshot!(String::from_utf8(reader.text).unwrap(), @"
    NAMESPACE     SERVICE   PORT     CONNECTIONS   CONNECTS   REFUSED
    kube-system   dns       53/UDP   0             12         0

    NAMESPACE     SERVICE   PORT     CONNECTIONS   CONNECTS   CONN/S   REFUSED
    kube-system   dns       53/UDP   0             12         0.0      0

    NAMESPACE     SERVICE   PORT     CONNECTIONS   CONNECTS   CONN/S   REFUSED
    kube-system   dns       53/UDP   0             12         0.0      0
    ");
}

#[tokio::test]
async fn empty_namespace_is_reported_with_the_others() {
    let agent = served(healthy());
    let nothing =
        "meshctl: no service in namespace nope; namespaces with services: kube-system, shop\n";
    for line in ["service list", "backend list", "stats"] {
        let answer = run_in_process(&agent, &format!("{line} -n nope")).await;
        assert_eq!(
            answer,
            (Exit::No, String::new(), nothing.to_owned()),
            "{line}"
        );
        let answer = run_in_process(&agent, &format!("{line} -n nope -o json")).await;
        assert_eq!(
            answer,
            (Exit::No, "[]\n".to_owned(), nothing.to_owned()),
            "{line}"
        );
    }
    let screen = watched(&agent, "service list -n nope -w", terminal, 1).await;
    assert_eq!(
        screen,
        format!("\x1b[H\x1b[2J{}", nothing.replace("meshctl: ", ""))
    );
    let empty = served(Fake {
        services: Ok(vec![]),
        ..healthy()
    });
    let none = "meshctl: the agent has no services; `meshctl status` names the directories that it reads\n";
    assert_eq!(
        run_in_process(&empty, "service list").await,
        (Exit::Ok, String::new(), none.to_owned())
    );
}

fn pipe() -> Option<Screen> {
    None
}

/// A pipe whose reader closes it after some answers.
struct ClosingPipe {
    text: Vec<u8>,
    flushes: usize,
}

impl Write for ClosingPipe {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.flushes == 0 {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            self.text.write(part)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes = self.flushes.saturating_sub(1);
        Ok(())
    }
}

/// Returns the answer of a command that succeeds.
async fn ask(agent: &Served, line: &str) -> String {
    let (exit, out, err) = run_in_process(agent, line).await;
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{line}");
    out
}

async fn run_in_process(agent: &Served, line: &str) -> (Exit, String, String) {
    let socket = agent.socket.display().to_string();
    let mut arguments = arguments(line);
    arguments.splice(1..1, ["--socket", &socket]);
    capture(&arguments).await
}

fn arguments(line: &str) -> Vec<&str> {
    ["meshctl"]
        .into_iter()
        .chain(line.split_whitespace())
        .collect()
}

async fn capture(arguments: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(
        arguments,
        Streams {
            out: &mut out,
            err: &mut err,
            screen: pipe,
        },
    )
    .await;
    (
        exit,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}
