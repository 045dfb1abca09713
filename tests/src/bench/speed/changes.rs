//! Measures the time of changes, of all services at once and of one endpoint, and the memory in use.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    BenchReport, Scale,
    contenders::Contender,
    kernel::memory,
    mesh::{SERVICES_A_FILE, prepare},
    names::{CHANGES, FROM_NOTHING},
    numbers::grouped,
    peers::{apply, haproxy},
    services::{ENDPOINT_PORT, ENDPOINTS, Writing, endpoint},
    stage::Stage,
};
use crate::{Server, bench::stats::percentile, node::Node, place::Place, service, wait};

/// Measure: the part of [`FROM_NOTHING`] in which rows are compiled and written.
pub const WRITING: &str = "rows compiled and written";

/// Measure: 99th percentile of the time until a changed endpoint serves.
pub const CHANGE_P99: &str = "one endpoint p99";

/// Measure: resident memory of the agent.
pub const RESIDENT: &str = "memory of the agent";

/// Address of a further service, whose only endpoint is added and removed.
const LIVE: &str = "10.95.0.1";

/// Measures the agent, the rule sets of running contenders, and HAProxy.
pub fn run(scale: &Scale, contenders: &[Contender], report: &mut BenchReport) {
    for services in &scale.changed_services {
        println!(
            "  mesh-agent with {} services",
            grouped(f64::from(*services))
        );
        for _ in 0..scale.change_rounds {
            mesh(*services, SERVICES_A_FILE, scale.changes, report);
        }
        mesh(*services, *services, scale.changes / 2, report);
    }
    for contender in contenders {
        rules(contender, scale, report);
    }
    proxy(scale, report);
}

/// Measures the agent, with `a_file` services in each file.
fn mesh(services: u32, a_file: u32, times: u32, report: &mut BenchReport) {
    let files = services.div_ceil(a_file);
    let name = format!(
        "mesh {} {files} file{}",
        grouped(f64::from(services)),
        if files == 1 { "" } else { "s" }
    );
    let mut node = prepare(services + 1, Writing::PLAIN);
    let [a, b] = ["a", "b"].map(|name| node.server(name));
    let file =
        |number: u32| Writing::PLAIN.file(number * a_file..services.min((number + 1) * a_file));
    (1..files).for_each(|number| node.write(&format!("{number}.yaml"), file(number)));
    let first = file(0);
    let with = |server: &Server| format!("{first}{}", live(server));
    node.write("0.yaml", with(&a));

    let start = Instant::now();
    node.launch_agent();
    node.wait_until_ready(Duration::from_secs(180));
    let mut add =
        |measure: &str, unit, value| report.figures.add(CHANGES, &name, measure, unit, value);
    add(FROM_NOTHING, "s", start.elapsed().as_secs_f64());
    add(
        WRITING,
        "s",
        node.status().apply_milliseconds.unwrap_or(0) as f64 / 1000.0,
    );
    let after_load = node.agent_memory_kib();
    let took = changes(&node, &with, &a, &b, times);
    add("one endpoint p50", "ms", milliseconds(&took, 0.5));
    add(CHANGE_P99, "ms", milliseconds(&took, 0.99));
    add(
        RESIDENT,
        "MiB",
        after_load.max(node.agent_memory_kib()) as f64 / 1024.0,
    );
    let maps = memory::of_programs(node.status().hooks.iter().map(|hook| hook.program_id));
    add(
        "memory of its maps",
        "MiB",
        maps as f64 / f64::from(1 << 20),
    );
}

fn live(server: &Server) -> String {
    let text = service("bench/live")
        .address(LIVE)
        .tcp(80)
        .endpoint(server)
        .to_string();
    text.trim_start_matches("services:\n").to_owned()
}

/// Returns the nanoseconds from each change of a file until a connect shows it.
fn changes(
    node: &Node,
    with: &dyn Fn(&Server) -> String,
    a: &Server,
    b: &Server,
    times: u32,
) -> Vec<u64> {
    let mut client = node.client();
    let vip = format!("{LIVE}:80");
    let mut took = Vec::new();
    for time in 0..times {
        let server = if time % 2 == 0 { b } else { a };
        let text = with(server);
        node.write("0.yaml", text);
        let start = Instant::now();
        let look = || client.tcp(&vip).once().answers_of(server) == 1;
        wait::until("the change to be served", Duration::from_secs(60), look);
        took.push(nanoseconds(start));
        crate::bench::interrupt::check();
    }
    took.sort_unstable();
    took
}

/// Measures a rule set. A change replaces only the chains of the service, as kube-proxy does.
fn rules(contender: &Contender, scale: &Scale, report: &mut BenchReport) {
    let Some(rules) = contender.rules else { return };
    println!("  {}", contender.name);
    let mut took = Vec::new();
    for time in 0..scale.rule_changes {
        let text = (rules.write_change)(rules.services / 2, ENDPOINTS - 1 + time % 2);
        match apply(
            &contender.stage.servers,
            contender.scratch.path(),
            &text,
            rules.some,
        ) {
            Ok(time) => took.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            Err(error) => return report.miss(&format!("changes of {}: {error}", contender.name)),
        }
    }
    took.sort_unstable();
    report.figures.add(
        CHANGES,
        &contender.name,
        "one endpoint p50",
        "ms",
        milliseconds(&took, 0.5),
    );
    report.figures.add(
        CHANGES,
        &contender.name,
        CHANGE_P99,
        "ms",
        milliseconds(&took, 0.99),
    );
}

/// Measures HAProxy: the time until it listens for the last service, and a change by its control
/// socket.
fn proxy(scale: &Scale, report: &mut BenchReport) {
    let (services, stage) = (scale.proxied, Stage::around(&Place::new(), None));
    let scratch = tempfile::TempDir::with_prefix(format!("{}-", crate::name::unique()))
        .expect("room for a directory");
    let start = Instant::now();
    let Some(_process) = haproxy::start(&stage.servers, scratch.path(), services) else {
        return;
    };
    let name = format!("HAProxy {}", grouped(f64::from(services)));
    println!("  {name}");
    report.figures.add(
        CHANGES,
        &name,
        FROM_NOTHING,
        "s",
        start.elapsed().as_secs_f64(),
    );
    let mut took: Vec<_> = (0..scale.changes)
        .map(|time| tell(scratch.path(), services / 2, time % 2))
        .collect();
    took.sort_unstable();
    report.figures.add(
        CHANGES,
        &name,
        "one endpoint p50",
        "ms",
        milliseconds(&took, 0.5),
    );
    report
        .figures
        .add(CHANGES, &name, CHANGE_P99, "ms", milliseconds(&took, 0.99));
}

fn tell(scratch: &Path, service: u32, number: u32) -> u64 {
    let start = Instant::now();
    let mut control = UnixStream::connect(scratch.join(haproxy::CONTROL)).expect("HAProxy listens");
    let address = endpoint(service, number);
    writeln!(
        control,
        "set server tcp{service}/e9 addr {address} port {ENDPOINT_PORT}"
    )
    .expect("HAProxy listens");
    let mut answer = String::new();
    control
        .read_to_string(&mut answer)
        .expect("HAProxy answers and closes");
    assert!(
        !answer.contains("No such") && !answer.contains("Unknown"),
        "{answer}"
    );
    nanoseconds(start)
}

fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn milliseconds(sorted: &[u64], share: f64) -> f64 {
    percentile(sorted, share) as f64 / 1e6
}
