//! A fake view of an agent, and a socket to serve it on, for tests of its readers.

mod diagnosis;
mod explanation;
mod services;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    diagnosis::diagnosis,
    explanation::explanation,
    services::{busy_cart, cart, checked_cart, dns, headless},
};
use super::{
    access::Access,
    server::{self, View},
    types::{
        CapacityUse, Change, ConfigProblem, Diagnosis, Explanation, Hook, Question, Service,
        Status, Support, Wrong,
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

/// Serves `fake` on its own socket.
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
