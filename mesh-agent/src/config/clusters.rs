//! Settings about the clusters whose services are watched.

use std::collections::BTreeSet;

use clap::Args;

use super::{
    error::{named, reason, reasons},
    text::{self, Parsed, all_valid, from_file, parsed, valid},
};
use crate::source::{ServiceDir, ServiceDirError, kubernetes::Cluster, settings::Field};

/// Clusters whose services are watched.
#[derive(Args, Clone, Debug, Default)]
pub struct Clusters {
    /// Watch the services of the cluster that this pod runs in. Its service account must be allowed
    /// to get, list and watch services and endpointslices; --services has no default then
    /// [default: false]
    #[arg(long, env = "MESH_KUBERNETES", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    kubernetes: Option<Parsed<bool>>,
    /// Watch the services of the cluster in the current context of this kubeconfig file; repeat for
    /// several, with a name for each cluster except the local one. --services has no default then
    #[arg(long, env = "MESH_KUBECONFIG", value_name = "[NAME=]FILE", value_delimiter = ',', value_parser = parsed(kubeconfig))]
    kubeconfig: Vec<Parsed<ServiceDir>>,
}

impl Clusters {
    /// Reads the settings file.
    pub fn read(root: Field<'_>) -> Self {
        let files = root.list("kubeconfig");
        Self {
            kubernetes: root.get("kubernetes").and_then(Field::boolean).map(Ok),
            kubeconfig: files
                .filter_map(|field| from_file(field, kubeconfig))
                .collect(),
        }
    }

    /// Reports invalid values.
    pub fn wrong(&self, note: &mut impl FnMut(&str, Vec<&String>)) {
        note("kubernetes", reason(self.kubernetes.as_ref()));
        note("kubeconfig", reasons(&self.kubeconfig));
    }

    /// Fills in what is absent from another origin.
    pub fn or(self, other: Self) -> Self {
        Self {
            kubernetes: self.kubernetes.or(other.kubernetes),
            kubeconfig: if self.kubeconfig.is_empty() {
                other.kubeconfig
            } else {
                self.kubeconfig
            },
        }
    }

    /// Returns the clusters, whose names must differ.
    pub fn complete(self, wrong: &mut Vec<String>) -> Vec<Cluster> {
        let own = valid(self.kubernetes).unwrap_or(false);
        let mut clusters: Vec<Cluster> = own.then_some(Cluster::own()).into_iter().collect();
        let files = all_valid(self.kubeconfig).into_iter();
        clusters.extend(files.map(|it| Cluster::of_file(it.name, it.path)));
        let mut names = BTreeSet::new();
        for cluster in &clusters {
            if !names.insert(&cluster.name) {
                let name = cluster.name.as_deref().unwrap_or("local");
                let reason = format!("two clusters are called {name}: give one a name, NAME=FILE");
                wrong.push(named("kubeconfig", &reason));
            }
        }
        clusters
    }
}

/// Parses `[NAME=]FILE`.
fn kubeconfig(text: &str) -> Parsed<ServiceDir> {
    let reason = |error| match error {
        ServiceDirError::NoPath(name) => {
            format!("cluster {name} has no file: write {name}=FILE")
        }
        _ => "an empty text names no file: write FILE or NAME=FILE, or leave it out".to_owned(),
    };
    text.parse().map_err(reason)
}
