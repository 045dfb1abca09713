//! Reads `deploy/daemonset.yaml`: what its container needs from a node.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::packages::source;

/// The container of the DaemonSet.
pub struct DaemonSet {
    /// Reference of the image.
    pub image: String,
    /// Command line.
    pub command: Vec<String>,
    /// Variables with a value; those that refer to the node are left out.
    pub environment: BTreeMap<String, String>,
    /// Command of the readiness probe.
    pub probe: Vec<String>,
    /// Added capabilities, without `CAP_`; all others are dropped.
    pub capabilities: Vec<String>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Service files in the `ConfigMap`.
    pub services: BTreeMap<String, String>,
}

/// A mount of the container.
pub struct Mount {
    /// Path in the container.
    pub at: String,
    /// Path on the node; absent for the `ConfigMap`.
    pub of: Option<String>,
    /// Whether the container can write.
    pub read_only: bool,
}

impl DaemonSet {
    /// Reads the file. Panics where it has a field that [`crate::container`] does not support, so that
    /// the test runs the container exactly as written.
    pub fn read() -> Self {
        let text = fs::read_to_string(source("deploy/daemonset.yaml"))
            .expect("the file is in the repository");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("the file is YAML");
        let of_kind = |kind: &str| {
            let mut found = documents.iter().filter(|document| document["kind"] == kind);
            found.next().unwrap_or_else(|| panic!("no {kind}"))
        };
        let pod = &of_kind("DaemonSet")["spec"]["template"]["spec"];
        assert_eq!(pod["hostNetwork"], true);
        assert_eq!(pod["hostPID"], Value::Null);
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["runAsUser"], 0);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["seccompProfile"]["type"], "Unconfined");
        assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"]);
        Self {
            image: string(&container["image"]),
            command: strings(&container["command"]),
            environment: environment(container),
            probe: strings(&container["readinessProbe"]["exec"]["command"]),
            capabilities: strings(&security["capabilities"]["add"]),
            mounts: mounts(pod, container),
            services: serde_json::from_value(of_kind("ConfigMap")["data"].clone())
                .expect("service files are texts"),
        }
    }
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let variables = list(&container["env"]).iter();
    let with_value = variables.filter(|variable| variable.get("value").is_some());
    with_value
        .map(|variable| (string(&variable["name"]), string(&variable["value"])))
        .collect()
}

fn mounts(pod: &Value, container: &Value) -> Vec<Mount> {
    let volumes: BTreeMap<_, _> = list(&pod["volumes"])
        .iter()
        .map(|volume| (string(&volume["name"]), volume))
        .collect();
    let mounts = list(&container["volumeMounts"]).iter().map(|mount| {
        let volume = volumes[&string(&mount["name"])];
        let of = volume.get("hostPath").map(|path| string(&path["path"]));
        assert_eq!(of.is_none(), volume.get("configMap").is_some(), "{volume}");
        Mount {
            at: string(&mount["mountPath"]),
            of,
            read_only: mount["readOnly"] == true,
        }
    });
    mounts.collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("{value} is not text")).into()
}

fn strings(value: &Value) -> Vec<String> {
    list(value).iter().map(string).collect()
}
