use std::{fs, path::Path, time::Duration};

use super::*;
use crate::source::Serve;

#[test]
fn flags_take_precedence_over_the_file_and_the_file_over_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.yaml");
    fs::write(
        &file,
        "cgroup: /from/file\npinDir: /from/file\nvipPool: [10.0.0.0/8]\nresyncInterval: 2s\n",
    )
    .unwrap();
    let given = Given {
        pin_dir: Some("/from/flag".into()),
        ..Given::default()
    };
    let settings = Flags {
        config: Some(file),
        given,
    }
    .resolve()
    .unwrap();
    assert_eq!(settings.cgroup, Path::new("/from/file"));
    assert_eq!(settings.pin_dir, Path::new("/from/flag"));
    assert_eq!(settings.vip_pools, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(settings.resync_interval, Duration::from_secs(2));
    assert_eq!(settings.socket, Path::new("/run/mesh-agent/agent.sock"));
}

#[test]
fn served_services_and_processes_are_settings() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.yaml");
    let text = "cgroup: /cg\nserve: annotated\nallowSecondAgent: true\nexcludeCgroup: [kubepods/nfs, /other/x]\nexcludeNetns: [dns]\n\
                enterNamespaces: false\n";
    fs::write(&file, text).unwrap();
    let resolve = |given: Given| {
        Flags {
            config: Some(file.clone()),
            given,
        }
        .resolve()
        .unwrap()
    };
    let settings = resolve(Given::default());
    assert_eq!(
        (settings.serve, settings.allow_second_agent),
        (Serve::Annotated, true)
    );
    assert!(!settings.enter_namespaces);
    assert_eq!(
        settings.excluded_cgroups,
        [Path::new("/cg/kubepods/nfs"), Path::new("/other/x")]
    );
    assert_eq!(settings.excluded_netns, [Path::new("/run/netns/dns")]);
    let settings = resolve(Given {
        serve: Some(Ok(Serve::All)),
        exclude_netns: vec!["/proc/1/ns/net".into()],
        ..Given::default()
    });
    assert_eq!(
        (settings.serve, settings.excluded_netns),
        (Serve::All, vec!["/proc/1/ns/net".into()])
    );
}

#[test]
fn directories_may_belong_to_a_named_source() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.yaml");
    let resolve = |services: &str| {
        fs::write(&file, format!("cgroup: /cg\nservices: {services}\n")).unwrap();
        Flags {
            config: Some(file.clone()),
            given: Given::default(),
        }
        .resolve()
    };
    let names = |services: &str| {
        resolve(services)
            .unwrap()
            .services
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("[]"), ["/etc/mesh-agent/services.d"]);
    assert_eq!(names("[/here, east=/there]"), ["/here", "east=/there"]);
    let error = |services: &str| format!("{:#}", resolve(services).unwrap_err());
    let twice = "--services (or MESH_SERVICES): directory /here is given for two sources";
    assert_eq!(error("[/here, east=/here]"), twice);
    let named = format!(
        "{}:2: services[1]: source east names no directory: write east=DIR",
        file.display()
    );
    assert_eq!(error("[/here, east=]"), named);
}

#[test]
fn all_errors_are_reported_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.yaml");
    let text = "cgruop: /x\nmaxServices: \"80\"\nservices: /one\nresyncInterval: 5\nvipPool:\n- 10.0.0.0/8\n- ten\n";
    fs::write(&file, text).unwrap();
    let given = Given {
        cgroup: Some("/cg".into()),
        metrics: Some(text::metrics("9090")),
        vip_pool: vec![text::network("10.0.0.0/33")],
        max_backends: Some(text::rows("0")),
        ..Given::default()
    };
    let SettingsError(lines) = Flags {
        config: Some(file.clone()),
        given,
    }
    .resolve()
    .unwrap_err();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace(&file.display().to_string(), "agent.yaml"))
        .collect();
    let known = "config, services, kubernetes, kubeconfig, cgroup, pinDir, socket, metrics, stateDir, nodeName, cloud, region, zone, vipPool, \
                 serviceCidr, externalCidr, nodePortRange, quotaPerService, quotaPerNamespace, allowEmpty, \
                 allowSecondAgent, serve, excludeCgroup, excludeNetns, enterNamespaces, resyncInterval, \
                 maxServices, maxBackends, maxSockets, maxSocketsPerClient, healthChecks, metricsTokenFile, socketGroup, adminGroup, systemCallFilter";
    let expected = [
        &format!(
            "agent.yaml:1: cgruop: unknown field; known here: {}",
            known.strip_prefix("config, ").unwrap()
        ),
        "agent.yaml:2: maxServices: expected a whole number from 1 to 8388608, found the text `\"80\"`",
        "agent.yaml:3: services: expected a list, found `/one`",
        "agent.yaml:4: resyncInterval: expected a duration with its unit, like 500ms, 10s or 5m, found `5`",
        "agent.yaml:7: vipPool[1]: expected a network, like 10.96.0.0/16, found `ten`",
        "--metrics (or MESH_METRICS): expected an address and a port, like 127.0.0.1:9090, or like \
         unix:/run/mesh-agent/metrics.sock, found `9090`",
        "--vip-pool (or MESH_VIP_POOL): expected a network, like 10.96.0.0/16, found `10.0.0.0/33`",
        "--max-backends (or MESH_MAX_BACKENDS): expected a whole number from 1 to 8388608, found `0`",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Flags {
        config: Some("/nonexistent/agent.yaml".into()),
        given: Given::default(),
    };
    let SettingsError(lines) = missing.resolve().unwrap_err();
    assert_eq!(
        lines,
        ["/nonexistent/agent.yaml:1: cannot be read: No such file or directory (os error 2)"]
    );
}

#[test]
fn uninstall_command_has_the_paths_that_are_not_defaults() {
    let settings = |given: Given| {
        let given = Given {
            cgroup: Some("/cg".into()),
            ..given
        };
        Flags {
            config: None,
            given,
        }
        .resolve()
        .unwrap()
    };
    assert_eq!(
        settings(Given::default()).uninstall_command(),
        "mesh-agent uninstall"
    );
    let (pin_dir, socket) = (Some("/sys/fs/bpf/b".into()), Some("/run/b.sock".into()));
    let beside = settings(Given {
        pin_dir: pin_dir.clone(),
        socket,
        ..Given::default()
    });
    let expected = "mesh-agent uninstall --pin-dir /sys/fs/bpf/b --socket /run/b.sock";
    assert_eq!(
        (
            &*beside.uninstall_command(),
            beside.socket_may_be_anothers()
        ),
        (expected, false)
    );
    assert!(
        settings(Given {
            pin_dir,
            ..Given::default()
        })
        .socket_may_be_anothers()
    );
}
