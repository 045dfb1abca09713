use super::*;
use crate::api::fixture;

/// As many hooks and maps as a real agent has.
fn whole() -> Status {
    let hook = |(name, id): (&str, u32)| Hook {
        name: name.into(),
        program_id: id + 31,
        link_id: id + 8,
    };
    let names = [
        "sock_release",
        "sock_ops",
        "getpeername4",
        "getpeername6",
        "recvmsg4",
        "recvmsg6",
    ];
    let names = names
        .into_iter()
        .chain(["sendmsg4", "sendmsg6", "connect4", "connect6"]);
    let slots = CapacityUse {
        map: "SLOTS".into(),
        used: 6,
        capacity: 2_000_000,
    };
    let mut status = fixture::status();
    status.hooks = names.zip(0..).map(hook).collect();
    status.capacity.insert(1, slots);
    status
}

#[test]
fn status_of_a_healthy_agent_fits_a_small_terminal() {
    let mut status = whole();
    insta::assert_snapshot!(page(&status, Layout::Fit(80), false), @"
        Ready:      yes
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Hooks:      10 attached
        Revision:   7, applied 75s ago in 3 ms
        Sources:    /etc/mesh-agent/services.d

        Capacity:
          MAP        USED   TOTAL     USE%
          SERVICES   3      65536     0.0%
          SLOTS      6      2000000   0.0%
          BACKENDS   6      1000000   0.0%
        ");
    status.notes = (0..100)
        .map(|_| fixture::ailing().status.notes[0].clone())
        .collect();
    let page = page(&status, Layout::Fit(80), false);
    assert!(
        page.lines().count() < 24 && page.lines().all(|line| line.chars().count() <= 80),
        "{page}"
    );
    assert!(page.ends_with("  and 97 more: -v shows them\n"), "{page}");
}

/// Expects an agent that is ready, and a last section with this text.
fn expect_last_section(status: &Status, section: &str) {
    let page = page(status, Layout::Whole, false);
    assert!(page.starts_with("Ready:      yes\n"), "{page}");
    assert!(page.ends_with(&format!("\n\n{section}\n")), "{page}");
}

#[test]
fn status_names_the_missing_capabilities() {
    let status = Status {
        degraded: vec!["sockets of pods are not closed".into()],
        ..whole()
    };
    expect_last_section(&status, "Degraded:\n  sockets of pods are not closed");
}

#[test]
fn status_names_the_missing_kernel_features() {
    let status = Status {
        kernel_features: vec!["the kernel lacks bpf_set_retval".into()],
        ..whole()
    };
    expect_last_section(
        &status,
        "Kernel features:\n  the kernel lacks bpf_set_retval",
    );
}

#[test]
fn verbose_status_shows_hooks_and_all_notes() {
    let mut status = whole();
    status.notes = (0..100)
        .map(|_| fixture::ailing().status.notes[0].clone())
        .collect();
    let page = page(&status, Layout::Whole, true);
    insta::assert_snapshot!(page.split("\n\n").nth(1).unwrap(), @"
        Hooks:
          NAME           PROGRAM   LINK
          sock_release   31        8
          sock_ops       32        9
          getpeername4   33        10
          getpeername6   34        11
          recvmsg4       35        12
          recvmsg6       36        13
          sendmsg4       37        14
          sendmsg6       38        15
          connect4       39        16
          connect6       40        17
        ");
    assert_eq!(page.matches("kind Pod is not served").count(), 100);
}

#[test]
fn problems_and_errors_come_first() {
    insta::assert_snapshot!(page(&fixture::ailing().status, Layout::Fit(80), false), @"
        Ready:      no: 1 problem, 2 errors

        Problems:
          connect4 is not attached

        Errors:
          /etc/mesh-agent/services.d/shop.yaml:12: services[0].ports[0].port: must be 1 to 65535, is 0
          /etc/mesh-agent/services.d/web.yaml:1: is not YAML: found a tab at column 3

        In force instead:
          /etc/mesh-agent/services.d/shop.yaml:9: service shop/cart: its last good version stays in force
          /etc/mesh-agent/services.d/web.yaml:1: the file: its last good version stays in force

        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Hooks:      1 attached
        Revision:   7, applied 75s ago in 3 ms
        Sources:    /etc/mesh-agent/services.d

        Capacity:
          MAP        USED   TOTAL     USE%
          SERVICES   3      65536     0.0%
          BACKENDS   6      1000000   0.0%

        Notes:
          /etc/mesh-agent/services.d/web.yaml:40: kind Pod is not served
        ");
}

#[test]
fn object_in_error_is_counted_beside_readiness() {
    let ailing = fixture::ailing().status;
    let one = Status {
        config_valid: false,
        errors: ailing.errors[..1].to_vec(),
        errors_total: 1,
        wrong: ailing.wrong[..1].to_vec(),
        wrong_total: 1,
        ..fixture::status()
    };
    assert_eq!(readiness(&one), "yes, but for 1 object");
}

#[test]
fn starting_agent_has_no_revision_time() {
    let starting = Status {
        ready: false,
        revision: 0,
        applied_seconds_ago: None,
        apply_milliseconds: None,
        hooks: vec![],
        capacity: vec![],
        sources: vec![],
        ..fixture::status()
    };
    insta::assert_snapshot!(page(&starting, Layout::Fit(80), false), @"
        Ready:      no
        Agent:      0.1.0, process 4711, up 26h3m
        Node:       node-a
        Cgroup:     /sys/fs/cgroup
        Pins:       /sys/fs/bpf/mesh-agent
        Hooks:      none attached
        Revision:   0
        Sources:    none
        ");
}
