//! A fake view of an agent, and a socket to serve it on, for tests of its readers.

mod diagnosis;
mod explanation;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use mesh_common::counter::Counter;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{diagnosis::diagnosis, explanation::explanation};
use super::{
    access::Access,
    server::{self, View},
    types::{
        CapacityUse, Change, ConfigProblem, Diagnosis, Endpoint, EndpointHealth, Explanation,
        FrontendStatus, HealthCheck, Hook, PortCapacity, Question, Service, ServiceCounters,
        ServicePort, Status, Support, Wrong,
    },
    view::Refusal,
};
use crate::model::ServiceName;

/// The state of the fake agent.
pub struct Fake {
    pub status: Status,
    pub diagnosis: Diagnosis,
    pub loaded: Arc<AtomicBool>,
    pub services: Result<Vec<Service>, String>,
    /// The commands so far, as text.
    pub commands: Arc<Mutex<Vec<String>>>,
}

impl View for Fake {
    fn ready(&self) -> bool {
        self.status.ready
    }

    fn status(&self) -> Status {
        self.status.clone()
    }

    fn doctor(&self) -> Diagnosis {
        self.diagnosis.clone()
    }

    fn support(&self) -> Support {
        Support::default()
    }

    fn loaded(&self) -> bool {
        self.loaded.load(Ordering::SeqCst)
    }

    fn services(&self) -> Result<Vec<Service>, String> {
        self.services.clone()
    }

    fn left_out(&self, namespace: &str, name: &str) -> Option<Service> {
        [headless()].into_iter().find(|service| {
            (service.namespace.as_str(), service.name.as_str()) == (namespace, name)
        })
    }

    fn change_endpoint(
        &self,
        service: ServiceName,
        endpoint: SocketAddr,
        change: Change,
        force: bool,
    ) -> Result<Option<String>, Refusal> {
        if service
            != (ServiceName {
                namespace: "shop".into(),
                name: "cart".into(),
            })
        {
            return Err(Refusal::Unknown(format!(
                "no service {service}; there is shop/cart"
            )));
        }
        if endpoint.port() == 9000 && !force {
            return Err(Refusal::Declined(format!("{endpoint} is the last one")));
        }
        let force = if force { " by force" } else { "" };
        self.commands
            .lock()
            .expect("no test panics while it holds the lock")
            .push(format!("{service} {endpoint} {change}{force}"));
        Ok(self.status.problems.first().cloned())
    }

    fn explain(&self, question: &Question) -> Result<Explanation, Refusal> {
        match question.to.as_str() {
            "10.96.0.10:80" => Ok(explanation()),
            _ => Ok(Explanation {
                frontend: format!("{}/TCP", question.to),
                verdict: "untouched".into(),
                reason: format!(
                    "asked from {}",
                    question.from.as_deref().unwrap_or("anywhere")
                ),
                ..Explanation::default()
            }),
        }
    }
}

/// The agent of a healthy node with two services.
pub fn healthy() -> Fake {
    Fake {
        status: status(),
        diagnosis: diagnosis(),
        loaded: Arc::new(true.into()),
        services: Ok(vec![dns(), cart()]),
        commands: Arc::default(),
    }
}

/// The agent of [`healthy`], with everything wrong that can be.
pub fn ailing() -> Fake {
    let errors = vec![
        problem(
            "/etc/mesh-agent/services.d/shop.yaml",
            12,
            "services[0].ports[0].port",
            "must be 1 to 65535, is 0",
        ),
        problem(
            "/etc/mesh-agent/services.d/web.yaml",
            1,
            "",
            "is not YAML: found a tab at column 3",
        ),
    ];
    let wrong = vec![
        wrong(
            "/etc/mesh-agent/services.d/shop.yaml",
            9,
            "service shop/cart",
            "object",
        ),
        wrong("/etc/mesh-agent/services.d/web.yaml", 1, "the file", "file"),
    ];
    let notes = vec![problem(
        "/etc/mesh-agent/services.d/web.yaml",
        40,
        "",
        "kind Pod is not served",
    )];
    let problems = vec!["connect4 is not attached".to_owned()];
    Fake {
        status: Status {
            ready: false,
            config_valid: false,
            errors,
            wrong,
            errors_total: 2,
            wrong_total: 2,
            notes,
            problems,
            ..status()
        },
        diagnosis: diagnosis(),
        loaded: Arc::new(true.into()),
        services: Err("map SERVICES: cannot read row 7: gone".into()),
        commands: Arc::default(),
    }
}

fn wrong(file: &str, line: u32, name: &str, scope: &str) -> Wrong {
    Wrong {
        file: file.into(),
        line,
        name: name.into(),
        scope: scope.into(),
        in_force: "lastGood".into(),
        effect: "its last good version stays in force".into(),
    }
}

/// A served [`Fake`]; stops when dropped.
pub struct Served {
    pub socket: PathBuf,
    _directory: TempDir,
    _stop: DropGuard,
}

/// Serves `fake` on a socket of its own.
pub fn served(fake: Fake) -> Served {
    let directory = TempDir::new().expect("a temporary directory can be created");
    let socket = directory.path().join("run/agent.sock");
    let cancel = CancellationToken::new();
    let listener = server::bind(&socket, None).expect("a new socket can be bound");
    let access = Access::default();
    tokio::spawn(server::serve(
        listener,
        Arc::new(fake),
        access,
        cancel.clone(),
    ));
    Served {
        socket,
        _directory: directory,
        _stop: cancel.drop_guard(),
    }
}

pub fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        ready: true,
        config_valid: true,
        node_name: "node-a".into(),
        pid: 4711,
        uptime_seconds: 93_784,
        cgroup: "/sys/fs/cgroup".into(),
        pin_dir: "/sys/fs/bpf/mesh-agent".into(),
        revision: 7,
        applied_seconds_ago: Some(75),
        apply_milliseconds: Some(3),
        capacity: vec![
            capacity("SERVICES", 3, 65_536),
            capacity("BACKENDS", 6, 1_000_000),
        ],
        self_probe: vec![],
        hooks: vec![Hook {
            name: "connect4".into(),
            program_id: 31,
            link_id: 8,
        }],
        sources: vec!["/etc/mesh-agent/services.d".into()],
        admission: None,
        errors: vec![],
        wrong: vec![],
        errors_total: 0,
        wrong_total: 0,
        notes: vec![],
        problems: vec![],
        degraded: vec![],
        kernel_features: vec![],
    }
}

pub fn cart() -> Service {
    let http = vec![
        endpoint("10.0.0.1", 8080, 1, "ready", 60),
        endpoint("10.0.0.2", 8080, 2, "ready", 117),
        endpoint("10.0.0.3", 8080, 1, "notReady", 3),
        endpoint("fd00::a:1", 8080, 1, "ready", 20),
    ];
    Service {
        namespace: "shop".into(),
        name: "cart".into(),
        origin: "/etc/mesh-agent/services.d/shop.yaml:12".into(),
        addresses: vec!["10.96.0.10".into(), "fd00::10".into()],
        ports: vec![
            port("http", 80, "TCP", [200, 4, 1, 2, 0, 0, 0, 0], http),
            port(
                "admin",
                9000,
                "TCP",
                [0; 8],
                vec![endpoint("10.0.0.4", 9000, 1, "terminating", 0)],
            ),
        ],
        frontends: vec![
            frontend("10.96.0.10", 80, "ClusterIP", "served", ""),
            frontend("fd00::10", 80, "ClusterIP", "served", ""),
            frontend("127.0.0.1", 30080, "NodePort", "served", ""),
            frontend("10.96.0.10", 9000, "ClusterIP", "served", ""),
            frontend("fd00::10", 9000, "ClusterIP", "refused", "no IPv6 endpoint"),
        ],
        notes: vec![],
        left_out: None,
    }
}

/// Returns the service under load: one endpoint is slow, one ejected, one drained.
pub fn busy_cart() -> Service {
    let mut cart = cart();
    let http = &mut cart.ports[0];
    http.balance = "latencyAware".into();
    http.connections = 52;
    http.capacity = PortCapacity {
        usable: 200,
        total: 500,
        used: 52,
    };
    let [one, two, three, four] = http.endpoints.as_mut_slice() else {
        unreachable!("it has four endpoints")
    };
    (one.connections, one.connecting, one.handshake_microseconds) = (40, 2, Some(1250));
    (two.ejected_for_seconds, two.ejections) = (Some(8), 1);
    two.effective_weight = 1;
    (two.tier, four.tier) = (Some(2), Some(1));
    three.consecutive_failures = 2;
    (four.connections, four.draining) = (12, true);
    four.locality.zone = Some("b".into());
    http.counters[Counter::Failures] = 7;
    http.counters[Counter::Ejections] = 1;
    cart.notes =
        vec!["10.0.0.9:8080 of shop/cart is drained by an operator, but not configured".into()];
    cart
}

/// The same service with health checks: one endpoint fails, one is new, all of the other port fail.
pub fn checked_cart() -> Service {
    let mut cart = cart();
    let health = |state: &str, reason: &str, since_seconds, kept| {
        let checked_seconds_ago = (state != "unknown").then_some(3);
        Some(EndpointHealth {
            state: state.into(),
            reason: reason.into(),
            since_seconds,
            checked_seconds_ago,
            kept,
        })
    };
    let [http, admin] = cart.ports.as_mut_slice() else {
        unreachable!("it has two ports")
    };
    http.health_check = Some(HealthCheck {
        probe: "http /up".into(),
        port: None,
        interval_milliseconds: 5000,
        timeout_milliseconds: 500,
        jitter_percent: 10,
        rise: 2,
        fall: 3,
        allow_empty: false,
    });
    http.endpoints[0].health = health("healthy", "", 4000, false);
    http.endpoints[1].health = health("unhealthy", "connection refused", 12, false);
    http.endpoints[1].inactive_reason = Some("unhealthy".to_owned());
    http.endpoints[1].active = false;
    http.endpoints[3].health = health("unknown", "", 1, false);
    admin.endpoints[0].health = health("unhealthy", "HTTP status 503, wanted 200-399", 75, true);
    cart
}

/// A service that is left alone.
pub fn headless() -> Service {
    Service {
        namespace: "shop".into(),
        name: "db".into(),
        origin: "/etc/mesh-agent/services.d/shop.yaml:60".into(),
        addresses: vec![],
        ports: vec![],
        frontends: vec![],
        notes: vec![],
        left_out: Some("it is headless (clusterIP None)".into()),
    }
}

pub fn dns() -> Service {
    Service {
        namespace: "kube-system".into(),
        name: "dns".into(),
        origin: "/etc/mesh-agent/services.d/dns.yaml:1".into(),
        addresses: vec!["10.96.0.53".into()],
        ports: vec![port("53", 53, "UDP", [12, 0, 0, 0, 0, 0, 0, 0], vec![])],
        frontends: vec![FrontendStatus {
            protocol: "UDP".into(),
            ..frontend("10.96.0.53", 53, "ClusterIP", "refused", "no endpoint")
        }],
        notes: vec![],
        left_out: None,
    }
}

fn frontend(address: &str, port: u16, kind: &str, state: &str, reason: &str) -> FrontendStatus {
    FrontendStatus {
        address: address.into(),
        port,
        protocol: "TCP".into(),
        kind: kind.into(),
        state: state.into(),
        reason: reason.into(),
    }
}

fn port(
    name: &str,
    port: u16,
    protocol: &str,
    counters: [u64; 8],
    endpoints: Vec<Endpoint>,
) -> ServicePort {
    let mut row = [0; 16];
    row[..counters.len()].copy_from_slice(&counters);
    ServicePort {
        port_name: if name == port.to_string() {
            String::new()
        } else {
            name.into()
        },
        port,
        protocol: protocol.into(),
        counters: ServiceCounters::from(row),
        balance: "leastConnections".into(),
        endpoints,
        ..ServicePort::default()
    }
}

fn endpoint(address: &str, port: u16, weight: u32, condition: &str, connects: u64) -> Endpoint {
    let active = condition != "notReady";
    Endpoint {
        endpoint: if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        },
        weight,
        condition: condition.into(),
        active,
        inactive_reason: (!active).then(|| condition.to_owned()),
        index: active.then_some(1),
        connects,
        effective_weight: weight,
        capacity: 1,
        ..Endpoint::default()
    }
}

fn capacity(map: &str, used: u64, capacity: u64) -> CapacityUse {
    CapacityUse {
        map: map.into(),
        used,
        capacity,
    }
}

fn problem(file: &str, line: u32, field: &str, reason: &str) -> ConfigProblem {
    ConfigProblem {
        file: file.into(),
        line,
        field: field.into(),
        reason: reason.into(),
    }
}
