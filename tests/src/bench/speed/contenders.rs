//! Starts all contenders with the same services. They run at the same time, so that rounds can
//! alternate between them.

use std::net::Ipv4Addr;

use tempfile::TempDir;

use super::{
    BenchReport, Scale,
    kernel::empty::Empty,
    load::drive::Targets,
    mesh::Mesh,
    names::{CHANGES, DIRECT, EMPTY, FROM_NOTHING, mesh_name},
    nginx,
    numbers::grouped,
    peers::{apply, haproxy, iptables, nftables},
    process::Process,
    services::{ENDPOINT_PORT, Writing, any, direct, one, vip},
    stage::Stage,
};
use crate::{Node, name, place::Place};

/// A contender, which may be measured in several ways.
pub struct Contender {
    /// Name in tables.
    pub name: String,
    /// The ways in which it is measured.
    pub lanes: Vec<Lane>,
    /// Its rules, for contenders that a command changes.
    pub rules: Option<Rules>,
    // Dropped before the stage: processes must end before their cgroup is removed.
    held: Held,
    /// Where it runs.
    pub stage: Stage,
    /// Configuration files and logs.
    pub scratch: TempDir,
}

/// Rules of netfilter for a number of services.
#[derive(Clone, Copy)]
pub struct Rules {
    kind: &'static str,
    /// Number of services.
    pub services: u32,
    /// Command that loads all rules.
    all: &'static [&'static str],
    /// Returns all rules for this number of services.
    write_all: fn(u32) -> String,
    /// Command that applies a change.
    pub some: &'static [&'static str],
    /// Returns the rules that give a service this number of endpoints.
    pub write_change: fn(u32, u32) -> String,
}

impl Rules {
    /// kube-proxy's iptables layout.
    pub const fn iptables(services: u32) -> Self {
        let (all, some) = (iptables::RESTORE, iptables::RESTORE_SOME);
        Self {
            kind: "iptables",
            services,
            all,
            write_all: iptables::all,
            some,
            write_change: iptables::change,
        }
    }

    /// kube-proxy's nftables layout.
    pub const fn nftables(services: u32) -> Self {
        let load = nftables::LOAD;
        let (write_all, write_change) = (nftables::all, nftables::change);
        Self {
            kind: "nftables",
            services,
            all: load,
            write_all,
            some: load,
            write_change,
        }
    }

    fn lanes(self, name: &str) -> Vec<Lane> {
        let Self { kind, services, .. } = self;
        if kind == "nftables" {
            let any = Lane::echo(format!("{name} any"), any(services));
            return vec![Lane::both(format!("{name} hot"), one(services / 2)), any];
        }
        let places = [
            ("first", 0),
            ("median", services / 2),
            ("last", services - 1),
        ];
        places
            .map(|(place, service)| Lane::both(format!("{name} {place}"), one(service)))
            .into()
    }
}

/// A way to measure a contender.
pub struct Lane {
    /// Name in tables.
    pub name: String,
    /// Targets of clients that expect an echo.
    pub echo: Option<Targets>,
    /// Address and port for HTTP clients.
    pub http: Option<(Ipv4Addr, u16)>,
}

#[expect(dead_code, reason = "held, not read")]
enum Held {
    Nothing,
    Empty(Empty),
    Mesh(Node),
    Proxy(Process),
}

impl Contender {
    fn new(name: &str, held: Held, stage: Stage, lanes: Vec<Lane>) -> Self {
        Self {
            name: name.into(),
            lanes,
            rules: None,
            held,
            stage,
            scratch: scratch(),
        }
    }

    /// Replaces the echo server by nginx. Returns false when nginx is not installed.
    pub fn serve_http(&mut self) -> bool {
        self.stage.serve_nothing();
        nginx::start(&self.stage.servers, self.scratch.path())
            .map(|server| self.stage.serve_by(server))
            .is_some()
    }
}

impl Lane {
    fn both(name: String, targets: Targets) -> Self {
        Self {
            name,
            echo: Some(targets),
            http: Some((targets.first, targets.port)),
        }
    }

    fn echo(name: String, targets: Targets) -> Self {
        Self {
            name,
            echo: Some(targets),
            http: None,
        }
    }
}

/// Starts all contenders, or only those that are changed by commands.
pub fn start(scale: &Scale, report: &mut BenchReport, only_rules: bool) -> Vec<Contender> {
    let mut all = Vec::new();
    if !only_rules {
        all.push(Contender::new(
            DIRECT,
            Held::Nothing,
            new_stage(),
            vec![Lane::both(DIRECT.into(), direct(ENDPOINT_PORT))],
        ));
        let stage = new_stage();
        let empty = Empty::attach(&stage.clients.cgroup);
        let lanes = vec![Lane::both(EMPTY.into(), direct(ENDPOINT_PORT))];
        all.push(Contender::new(EMPTY, Held::Empty(empty), stage, lanes));
        all.extend(scale.services.iter().map(|&services| mesh(services)));
    }
    all.extend(
        scale
            .iptables
            .iter()
            .filter_map(|&services| rules(Rules::iptables(services), report)),
    );
    all.extend(
        scale
            .nftables
            .iter()
            .filter_map(|&services| rules(Rules::nftables(services), report)),
    );
    if !only_rules {
        all.extend(proxy(report));
    }
    all
}

fn new_stage() -> Stage {
    Stage::around(&Place::new(), None)
}

fn scratch() -> TempDir {
    TempDir::with_prefix(format!("{}-", name::unique())).expect("room for a temporary directory")
}

fn mesh(services: u32) -> Contender {
    let name = mesh_name(services);
    println!("  starting {name}");
    let Mesh { stage, node, .. } = Mesh::start(services, Writing::PLAIN, None);
    let mut lanes = vec![Lane::both(format!("{name} hot"), one(0))];
    if services > 1 {
        lanes.push(Lane::echo(format!("{name} any"), any(services)));
    }
    Contender::new(&name, Held::Mesh(node), stage, lanes)
}

/// Starts a contender with these rules. Reports it as missing if they cannot be loaded.
fn rules(rules: Rules, report: &mut BenchReport) -> Option<Contender> {
    let name = format!("{} {}", rules.kind, grouped(f64::from(rules.services)));
    println!("  starting {name}");
    let mut contender = Contender::new(&name, Held::Nothing, new_stage(), rules.lanes(&name));
    let text = (rules.write_all)(rules.services);
    match apply(
        &contender.stage.servers,
        contender.scratch.path(),
        &text,
        rules.all,
    ) {
        Ok(took) => report
            .figures
            .add(CHANGES, &name, FROM_NOTHING, "s", took.as_secs_f64()),
        Err(error) => {
            report.miss(&format!("{name}: {error}"));
            return None;
        }
    }
    contender.stage.tracks();
    contender.rules = Some(rules);
    Some(contender)
}

fn proxy(report: &mut BenchReport) -> Option<Contender> {
    println!("  starting HAProxy");
    let http = Lane {
        name: "HAProxy HTTP".into(),
        echo: None,
        http: Some((vip(0), haproxy::HTTP_MODE_PORT)),
    };
    let lanes = vec![Lane::both("HAProxy TCP".into(), one(0)), http];
    let mut contender = Contender::new("HAProxy", Held::Nothing, new_stage(), lanes);
    let Some(process) = haproxy::start(&contender.stage.servers, contender.scratch.path(), 1)
    else {
        report.miss("HAProxy: haproxy is not installed");
        return None;
    };
    contender.held = Held::Proxy(process);
    Some(contender)
}
