//! Connects to the API server of a cluster.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
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
        Some(file) => read(file)
            .await
            .with_context(|| format!("cannot use {}", file.display()))?,
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

/// Reads the current context of a kubeconfig file.
async fn read(file: &Path) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(file)?;
    let context = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &context).await?;
    // The filter of system calls would end the agent.
    let user = &config.auth_info;
    if user.exec.is_some() || user.auth_provider.is_some() {
        bail!(
            "its user has a plugin for credentials, and the agent starts no programs: give the user a token, a tokenFile or \
             a client certificate"
        );
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns the error of a kubeconfig file whose user has these fields.
    async fn refusal(user: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:1'}}}}]\n\
             users: [{{name: a, user: {user}}}]\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
        );
        fs::write(&path, text).unwrap();
        let cluster = Cluster::of_file(None, path);
        let result = client(&cluster, || ()).await;
        result.err().map(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn plugin_for_credentials_is_refused() {
        assert_eq!(refusal("{token: a}").await, None);
        let exec = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true}}";
        let reason = refusal(exec).await.unwrap();
        let expected = "its user has a plugin for credentials, and the agent starts no programs";
        assert!(reason.contains(expected), "{reason}");
    }
}
