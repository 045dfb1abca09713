//! Reads the settings file like service files: reports every error with its line and field, all of
//! them at once.

use std::{
    fs, io,
    num::NonZeroU8,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    bounds::Bounds,
    clusters::Clusters,
    confinement::Confinement,
    given::Given,
    health_checks::HealthChecks,
    text::{self, MAX_ROWS, from_file},
};
use crate::{
    model::{ConfigError, Origin},
    source::settings::{Document, Field, Problem, Value, duration, number, parse},
};

const DEFAULT: &str = "/etc/mesh-agent/agent.yaml";

const KNOWN: [&str; 34] = [
    "services",
    "kubernetes",
    "kubeconfig",
    "cgroup",
    "pinDir",
    "socket",
    "metrics",
    "stateDir",
    "nodeName",
    "cloud",
    "region",
    "zone",
    "vipPool",
    "serviceCidr",
    "externalCidr",
    "nodePortRange",
    "quotaPerService",
    "quotaPerNamespace",
    "allowEmpty",
    "allowSecondAgent",
    "serve",
    "excludeCgroup",
    "excludeNetns",
    "enterNamespaces",
    "resyncInterval",
    "maxServices",
    "maxBackends",
    "maxSockets",
    "maxSocketsPerClient",
    "healthChecks",
    "metricsTokenFile",
    "socketGroup",
    "adminGroup",
    "systemCallFilter",
];

/// Returns the settings of the file, and its errors. The default file may be missing.
pub fn given(path: Option<&Path>) -> (Given, Vec<String>) {
    let name = path.unwrap_or(Path::new(DEFAULT));
    let problem = |reason: String| {
        vec![Problem {
            line: 1,
            field: String::new(),
            reason,
        }]
    };
    let (given, problems) = match fs::read_to_string(name) {
        Ok(text) => read(&text),
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Default::default()
        }
        Err(error) => (
            Given::default(),
            problem(format!("cannot be read: {error}")),
        ),
    };
    let file = Arc::new(name.to_owned());
    let located = problems.into_iter().map(
        |Problem {
             line,
             field,
             reason,
         }| {
            ConfigError {
                origin: Origin::Line {
                    file: Arc::clone(&file),
                    line,
                },
                field,
                reason,
            }
            .to_string()
        },
    );
    (given, located.collect())
}

fn read(text: &str) -> (Given, Vec<Problem>) {
    let (documents, mut problems) = parse(text);
    let given = documents.first().map(document).unwrap_or_default();
    for document in &documents {
        problems.append(&mut document.problems.take().into_sorted().0);
    }
    if let Some(second) = documents.get(1).and_then(|document| document.nodes.first()) {
        let reason =
            "a settings file is one document: put everything before the line `---`".to_owned();
        problems.push(Problem {
            line: second.line,
            field: String::new(),
            reason,
        });
    }
    problems.sort_unstable();
    problems.dedup();
    (given, problems)
}

fn document(document: &Document<'_>) -> Given {
    let root = Field::root(document);
    if *root.value() == Value::Null {
        return Given::default();
    }
    let Some(root) = root.mapping() else {
        return Given::default();
    };
    root.only(&KNOWN);
    let text = |name| root.get(name).and_then(Field::text).map(str::to_owned);
    let path = |name| root.get(name).and_then(Field::text).map(PathBuf::from);
    let paths = |name| {
        root.list(name)
            .filter_map(Field::text)
            .map(PathBuf::from)
            .collect()
    };
    let rows = |name| {
        root.get(name)
            .and_then(|field| number(field, 1..=MAX_ROWS))
            .map(Ok)
    };
    Given {
        services: root
            .list("services")
            .filter_map(|field| from_file(field, text::services))
            .collect(),
        clusters: Clusters::read(root),
        cgroup: path("cgroup"),
        pin_dir: path("pinDir"),
        socket: path("socket"),
        metrics: root
            .get("metrics")
            .and_then(|field| from_file(field, text::metrics)),
        metrics_token_file: path("metricsTokenFile"),
        state_dir: path("stateDir"),
        node_name: text("nodeName"),
        cloud: text("cloud"),
        region: text("region"),
        zone: text("zone"),
        vip_pool: root
            .list("vipPool")
            .filter_map(|field| from_file(field, text::network))
            .collect(),
        bounds: bounds(root),
        allow_empty: root.get("allowEmpty").and_then(Field::boolean).map(Ok),
        allow_second_agent: root
            .get("allowSecondAgent")
            .and_then(Field::boolean)
            .map(Ok),
        serve: root
            .get("serve")
            .and_then(|field| from_file(field, text::serve)),
        exclude_cgroup: paths("excludeCgroup"),
        exclude_netns: paths("excludeNetns"),
        enter_namespaces: root.get("enterNamespaces").and_then(Field::boolean).map(Ok),
        resync_interval: root
            .get("resyncInterval")
            .and_then(|field| duration(field, INTERVALS))
            .map(Ok),
        max_services: rows("maxServices"),
        max_backends: rows("maxBackends"),
        max_sockets: rows("maxSockets"),
        max_sockets_per_client: rows("maxSocketsPerClient"),
        health_checks: root
            .get("healthChecks")
            .map(HealthChecks::read)
            .unwrap_or_default(),
        confinement: Confinement::read(root),
    }
}

fn bounds(root: Field<'_>) -> Bounds {
    let percent = |name| {
        root.get(name)
            .and_then(|field| number(field, 1..=100))
            .and_then(NonZeroU8::new)
            .map(Ok)
    };
    Bounds {
        service_cidr: root
            .list("serviceCidr")
            .filter_map(|field| from_file(field, text::network))
            .collect(),
        external_cidr: root
            .list("externalCidr")
            .filter_map(|field| from_file(field, text::network))
            .collect(),
        node_port_range: root
            .get("nodePortRange")
            .and_then(|field| from_file(field, text::ports)),
        quota_per_service: percent("quotaPerService"),
        quota_per_namespace: percent("quotaPerNamespace"),
    }
}

const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::KNOWN;

    #[test]
    fn every_setting_is_documented() {
        let docs = include_str!("../../../docs/configuration.md");
        let missing: Vec<&str> = KNOWN
            .into_iter()
            .filter(|name| !docs.contains(&format!("`{name}`")))
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
