//! `meshctl doctor` and `meshctl support-bundle`, on a real kernel.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, process::Command};

use mesh_core::api::types::{Diagnosis, Finding, Severity};
use mesh_tests::{
    Node, bpftool::bpftool, command_result::CommandResult, manifest::document, node::PATIENCE,
    service, wait,
};

use crate::self_probe::{NOTICED, detach, wait_until_every_hook_works};

/// Checks that depend on the machine that runs the tests: they serve a part of the hierarchy.
const OF_THE_MACHINE: [&str; 5] = ["cgroup", "cgroupV1", "clock", "clockJump", "capabilities"];

fn doctor(node: &Node, flags: &str) -> (CommandResult, Diagnosis) {
    let outcome = node.meshctl(&format!("doctor -o json{flags}"));
    let diagnosis = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{outcome:?}: {error}"));
    (outcome, diagnosis)
}

/// Returns the findings that are not well and do not depend on the machine.
fn wrong(diagnosis: &Diagnosis) -> Vec<(&str, Severity)> {
    let of_the_machine = |finding: &&Finding| OF_THE_MACHINE.contains(&finding.id.as_str());
    let wrong = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Ok && !of_the_machine(finding));
    wrong
        .inspect(|finding| assert!(!finding.remedy.is_empty(), "{finding:?}"))
        .map(|finding| (finding.id.as_str(), finding.severity))
        .collect()
}

#[test]
fn doctor_finds_nothing_wrong_with_a_healthy_agent() {
    let node = Node::start();
    wait_until_every_hook_works(&node);
    let (outcome, diagnosis) = doctor(&node, "");
    assert_eq!(wrong(&diagnosis), [], "{diagnosis:#?}");
    assert_eq!(outcome.code, Some(0));
    let ids: BTreeSet<&str> = diagnosis.findings.iter().map(|it| it.id.as_str()).collect();
    for id in [
        "programs",
        "selfProbe/connect4",
        "selfProbe/sock_release",
        "map/SERVICES",
        "map/SOCKETS",
        "mapLayout",
        "configuration",
        "kernel",
        "clock",
        "pinDirectory",
        "socket",
        "stateDirectory",
        "cgroup",
        "version",
    ] {
        assert!(ids.contains(id), "{id} in {ids:?}");
    }
}

#[test]
fn doctor_names_a_detached_program() {
    let node = Node::start();
    wait_until_every_hook_works(&node);
    detach(&node, "recvmsg6");
    wait::until("doctor to notice", NOTICED, || {
        let (outcome, diagnosis) = doctor(&node, "");
        outcome.code == Some(1)
            && wrong(&diagnosis).contains(&("selfProbe/recvmsg6", Severity::Error))
    });
}

#[test]
fn doctor_lists_programs_of_others_on_the_cgroup() {
    let (node, other) = (Node::start(), Node::start());
    wait_until_every_hook_works(&node);
    let hooks = other.status().hooks;
    let theirs = hooks
        .iter()
        .find(|it| it.name == "connect6")
        .expect("attached");
    let cgroup = node.directories().cgroup.display().to_string();
    let id = theirs.program_id.to_string();
    bpftool(&[
        "cgroup",
        "attach",
        &cgroup,
        "cgroup_inet6_connect",
        "id",
        &id,
        "multi",
    ]);
    let (outcome, diagnosis) = doctor(&node, "");
    assert_eq!(
        wrong(&diagnosis),
        [("programs/connect6", Severity::Warning)],
        "{diagnosis:#?}"
    );
    let finding = diagnosis
        .findings
        .iter()
        .find(|it| it.id == "programs/connect6");
    let what = &finding.expect("doctor reports the other program").what;
    assert!(what.ends_with(&format!(", program {id}")), "{what}");
    assert_eq!(outcome.code, Some(0));
    assert_eq!(doctor(&node, " --strict").0.code, Some(1));
}

#[test]
fn doctor_warns_of_a_map_that_is_nearly_full() {
    let flags = "--max-services 5 --quota-per-service 100 --quota-per-namespace 100";
    let node = Node::setup().flags(flags).start();
    let a = node.server("a");
    let services = [1, 2, 3, 4].map(|number| {
        service(&format!("shop/s{number}"))
            .address(&format!("10.96.0.{number}"))
            .tcp(80)
            .endpoint(&a)
    });
    node.write("shop.yaml", document(&services));
    node.wait_until_served("shop/s4", &[&a]);
    wait_until_every_hook_works(&node);
    let (outcome, diagnosis) = doctor(&node, "");
    assert_eq!(wrong(&diagnosis), [("map/SERVICES", Severity::Warning)]);
    assert_eq!(outcome.code, Some(0));
}

#[test]
fn doctor_says_what_it_sees_without_an_agent() {
    let mut node = Node::start();
    node.stop_agent();
    let pins = format!(" --pin-dir {}", node.directories().pins.display());
    let (outcome, diagnosis) = doctor(&node, &pins);
    assert_eq!(
        wrong(&diagnosis),
        [("agent", Severity::Error)],
        "{diagnosis:#?}"
    );
    assert_eq!(outcome.code, Some(1));
    let pinned = diagnosis.findings.iter().find(|it| it.id == "programs");
    let what = &pinned.expect("it looks for pins").what;
    assert!(what.starts_with("10 programs are pinned in "), "{what}");

    node.uninstall().expect_success();
    let (_, diagnosis) = doctor(&node, &pins);
    assert_eq!(
        wrong(&diagnosis),
        [("agent", Severity::Error), ("programs", Severity::Error)]
    );
}

const CANARY: &str = "canary-4711";

#[test]
fn support_bundle_has_no_secret_of_any_place_where_one_can_stand() {
    let mut node = Node::setup().prepare();
    let token = node.scratch().join("token");
    fs::write(&token, format!("{CANARY}-token")).unwrap();
    let metrics = node.scratch().join("metrics.sock");
    node.add_flags(&format!(
        "--metrics unix:{} --metrics-token-file {}",
        metrics.display(),
        token.display()
    ));
    node.write("shop.yaml", secretive("shop", &format!("{CANARY}-list")));
    node.write(
        "broken.yaml",
        format!("services:\n- health: {{ http: {{ headers: {{ X: {CANARY}-broken }}"),
    );
    node.write(
        "wrong.yaml",
        secretive("wrong", &format!("[{CANARY}-list]")),
    );
    node.launch_agent();
    wait::until("the agent to answer", PATIENCE, || {
        node.try_get("/v1/status").is_ok()
    });
    wait_until_every_hook_works(&node);
    let bundle = node.scratch().join("report.tar.gz");
    let outcome = node
        .meshctl(&format!(
            "support-bundle --with-services --file {}",
            bundle.display()
        ))
        .expect_success();
    let mode = fs::metadata(&bundle).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let unpacked = node.scratch().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&bundle).arg("-C").arg(&unpacked);
    tar.arg("--strip-components=1");
    CommandResult::of(&mut tar, PATIENCE).expect_success();
    for part in [
        "doctor.json",
        "status.json",
        "services.json",
        "settings.txt",
        "metrics.txt",
        "log.txt",
        "maps.json",
        "programs.json",
        "node.txt",
    ] {
        assert!(unpacked.join(part).is_file(), "{part}: {outcome:?}");
        assert!(
            outcome.stdout.contains(&format!("  {part}, ")),
            "{outcome:?}"
        );
    }
    let found = Command::new("grep")
        .args(["-r", CANARY])
        .arg(&unpacked)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let text = |part| fs::read_to_string(unpacked.join(part)).unwrap();
    assert!(text("services.json").contains("shop-native"));
    assert!(text("metrics.txt").contains("mesh_agent_self_probe_success{"));
}

/// A native service and a Kubernetes service with a secret in every place that takes text. The second
/// header is an error if it is a list.
fn secretive(name: &str, second: &str) -> String {
    format!(
        "services:
- name: {name}-native
  address: 10.96.0.1
  ports: [{{ port: 80 }}]
  health: {{ http: {{ path: /up, headers: {{ X-Any: {CANARY}-header, Accept: {second} }} }} }}
---
apiVersion: v1
kind: Service
metadata:
  name: {name}-kubernetes
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: {CANARY}-annotation
    mesh-agent.io/health: {CANARY}-health
spec:
  clusterIP: 10.96.0.2
  ports: [{{ port: 80 }}]
"
    )
}
