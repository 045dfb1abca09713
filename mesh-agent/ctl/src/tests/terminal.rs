//! Answers on a terminal of 80 × 24.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{ClosingPipe, Fake, Served, arguments, busy_cart, cart, healthy, pipe, served};
use crate::{Exit, Screen, Streams, api::types::Service, run};

#[tokio::test]
async fn terminal_is_cleared_before_each_answer_of_a_watch() {
    let agent = served(healthy());
    let screen = "\x1b[H\x1b[2JNAMESPACE     SERVICE   PORT     CONNECTIONS   CONNECTS   REFUSED\n\
                  kube-system   dns       53/UDP   0             12         0\n";
    let screens = watched(&agent, "stats kube-system/dns -w 100ms", terminal, 2).await;
    let later = screen
        .replace("REFUSED", "CONN/S   REFUSED")
        .replace("12         0", "12         0.0      0");
    assert_eq!(screens, [screen, &later].concat());
}

#[tokio::test]
async fn watch_keeps_the_header_and_the_first_rows_on_the_screen() {
    let services = (0..100).map(|number| Service {
        name: format!("s{number:02}"),
        ..cart()
    });
    let agent = served(Fake {
        services: Ok(services.collect()),
        ..healthy()
    });
    let screen = watched(&agent, "service list -w", terminal, 1).await;
    let lines: Vec<&str> = screen
        .strip_prefix("\x1b[H\x1b[2J")
        .expect("it clears the screen")
        .lines()
        .collect();
    assert_eq!(lines.len(), 23, "the cursor needs a line: {screen}");
    assert!(
        lines[0].starts_with("NAMESPACE  ")
            && lines[1].contains(" s00 ")
            && lines[21].contains(" s20 "),
        "{screen}"
    );
    assert_eq!(
        lines[22],
        "(79 more lines; a taller window shows more, and so does the command without -w)"
    );
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{screen}"
    );
    let whole = watched(&agent, "service list -w", pipe, 1).await;
    assert_eq!(
        whole.lines().count(),
        101,
        "without a terminal nothing is cut"
    );
}

#[tokio::test]
async fn watch_keeps_its_table_while_no_agent_answers() {
    let agent = served(healthy());
    let socket = agent.socket.display().to_string();
    let mut out = Unplugs {
        reader: ClosingPipe {
            text: Vec::new(),
            flushes: 3,
        },
        socket: agent.socket.clone(),
    };
    let line = [
        "meshctl",
        "--socket",
        &socket,
        "stats",
        "kube-system/dns",
        "-w",
        "100ms",
    ];
    let exit = run(
        line,
        Streams {
            out: &mut out,
            err: &mut io::sink(),
            screen: terminal,
        },
    )
    .await;
    assert_eq!(exit, Exit::Ok, "the reader closed the pipe");
    let table = "\x1b[H\x1b[2JNAMESPACE     SERVICE   PORT     CONNECTIONS   CONNECTS   REFUSED\n\
                 kube-system   dns       53/UDP   0             12         0\n";
    let reason =
        "is it running? start it with `mesh-agent run`, or name another socket with --socket\n";
    let message = format!("meshctl: no agent answers on {socket}: {reason}");
    assert_eq!(
        String::from_utf8(out.reader.text).unwrap(),
        format!("{table}{table}{message}")
    );
}

/// A reader that removes the agent's socket after the first answer.
struct Unplugs {
    reader: ClosingPipe,
    socket: PathBuf,
}

impl Write for Unplugs {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.reader.write(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Fails after the first time.
        _ = std::fs::remove_file(&self.socket);
        self.reader.flush()
    }
}

#[tokio::test]
async fn tables_fit_the_terminal_and_wide_ones_show_all() {
    let mut service = busy_cart();
    service.namespace = "a-team-with-a-rather-long-name-that-says-much".into();
    let agent = served(Fake {
        services: Ok(vec![service]),
        ..healthy()
    });
    let name = "a-team-with-a-rather-long-name-that-says-much/cart";
    for line in [
        "service list",
        "backend list",
        "stats",
        "explain 10.96.0.10:80",
        &format!("service get {name}"),
    ] {
        let table = on(&agent, line, terminal).await;
        assert!(
            table.lines().all(|line| line.chars().count() <= 80),
            "{line}:\n{table}"
        );
        let wide = on(&agent, &format!("{line} -o wide"), terminal).await;
        assert!(
            !wide.contains('…') && !wide.contains("-o wide"),
            "{line}:\n{wide}"
        );
        let whole = on(&agent, line, pipe).await;
        assert!(
            !whole.contains('…') && !whole.contains("-o wide"),
            "{line}:\n{whole}"
        );
    }
    insta::assert_snapshot!(on(&agent, "backend list", terminal).await, @"
    SERVICE       PORT            ENDPOINT          STATE                CONNECTIONS
    a-team…/cart  http:80/TCP     10.0.0.1:8080     active               40
    a-team…/cart  http:80/TCP     10.0.0.2:8080     ejected 8s           0
    a-team…/cart  http:80/TCP     10.0.0.3:8080     notReady             0
    a-team…/cart  http:80/TCP     [fd00::a:1]:8080  draining             12
    a-team…/cart  admin:9000/TCP  10.0.0.4:9000     active, terminating  0
    (-o wide shows also HANDSHAKE, CONNECTING, LOCALITY, FAILURES, WEIGHT, CONNECTS)
    ");
    insta::assert_snapshot!(on(&agent, "backend list -o wide", terminal).await, @"
    SERVICE                                              PORT             ENDPOINT           WEIGHT   STATE                 CONNECTIONS   CONNECTING   FAILURES   CONNECTS   HANDSHAKE   LOCALITY   SOURCE   HEALTH
    a-team-with-a-rather-long-name-that-says-much/cart   http:80/TCP      10.0.0.1:8080      1        active                40            2            -          60         1.2ms       -          -        -
    a-team-with-a-rather-long-name-that-says-much/cart   http:80/TCP      10.0.0.2:8080      1 of 2   ejected 8s            0             -            -          117        -           -          -        -
    a-team-with-a-rather-long-name-that-says-much/cart   http:80/TCP      10.0.0.3:8080      1        notReady              0             -            2          3          -           -          -        -
    a-team-with-a-rather-long-name-that-says-much/cart   http:80/TCP      [fd00::a:1]:8080   1        draining              12            -            -          20         -           b          -        -
    a-team-with-a-rather-long-name-that-says-much/cart   admin:9000/TCP   10.0.0.4:9000      1        active, terminating   0             -            -          0          -           -          -        -
    ");
}

pub(super) fn terminal() -> Option<Screen> {
    Some(Screen {
        columns: 80,
        rows: 24,
    })
}

/// Returns the answer on a screen.
async fn on(agent: &Served, line: &str, screen: fn() -> Option<Screen>) -> String {
    let mut out = Vec::new();
    let (socket, mut arguments) = (agent.socket.display().to_string(), arguments(line));
    arguments.splice(1..1, ["--socket", &socket]);
    let exit = run(
        arguments,
        Streams {
            out: &mut out,
            err: &mut io::sink(),
            screen,
        },
    )
    .await;
    assert_eq!(exit, Exit::Ok, "{line}");
    String::from_utf8(out).unwrap()
}

/// Returns some answers of a watch.
pub(super) async fn watched(
    agent: &Served,
    line: &str,
    screen: fn() -> Option<Screen>,
    answers: usize,
) -> String {
    let mut reader = ClosingPipe {
        text: Vec::new(),
        flushes: answers,
    };
    let (socket, mut arguments) = (agent.socket.display().to_string(), arguments(line));
    arguments.splice(1..1, ["--socket", &socket]);
    run(
        arguments,
        Streams {
            out: &mut reader,
            err: &mut io::sink(),
            screen,
        },
    )
    .await;
    String::from_utf8(reader.text).unwrap()
}
