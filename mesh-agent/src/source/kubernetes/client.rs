//! Connects to the API server of a cluster.

use std::time::Duration;

use anyhow::Context as _;
use http::Response;
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::util::MapResponseLayer;

use super::Cluster;

/// Longest time until a connection to the API server is open.
const CONNECT: Duration = Duration::from_secs(5);

/// Returns a client, which calls `answered` after each request that succeeds; fails if the
/// configuration cannot be read. Does not connect yet.
pub async fn client(
    cluster: &Cluster,
    answered: impl Fn() + Clone + Send + Sync + 'static,
) -> anyhow::Result<Client> {
    let mut config = match &cluster.kubeconfig {
        None => Config::incluster().context(
            "--kubernetes works in a pod with a service account; elsewhere use --kubeconfig FILE",
        )?,
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let context = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &context)
                .await
                .with_context(|| format!("cannot use {}", file.display()))?
        }
    };
    config.connect_timeout = Some(CONNECT);
    // The watch has its own pauses, and reports each failure.
    config.default_retry = false;
    let note = MapResponseLayer::new(move |response: Response<_>| {
        if response.status().is_success() {
            answered();
        }
        response
    });
    let builder = ClientBuilder::try_from(config).context("cannot set up the connection")?;
    Ok(builder.with_layer(&note).build())
}
