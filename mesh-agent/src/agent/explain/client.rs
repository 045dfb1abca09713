//! Reads the client of an explanation from `--from`.

use std::{fs, net::IpAddr, path::Path};

use mesh_common::abi::{AffinityKey, AffinityRow, ExcludedKey};

use crate::{
    api::view::Refusal,
    config::Settings,
    dataplane::{clients, exclude},
    namespaces::Namespaces,
};

/// A row of AFFINITY.
pub(super) type Bound = (AffinityKey, AffinityRow);

/// What is known of the client.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Client {
    /// Cookie of its network namespace.
    pub(super) netns: Option<u64>,
    /// Id of its cgroup.
    pub(super) cgroup: Option<u64>,
    /// Short id of the client that its cgroup belongs to.
    pub(super) id: Option<u32>,
    /// Address its socket is bound to.
    pub(super) source: Option<IpAddr>,
    /// The affinity row that binds it to a backend of the service in question.
    pub(super) bound: Option<Bound>,
    /// Why it is not served; nothing when it is.
    pub(super) excluded: Option<String>,
}

/// Parses `netns:PATH`, `cgroup:PATH` or an address.
pub(super) fn client(
    from: &str,
    settings: &Settings,
    namespaces: &Namespaces,
) -> Result<Client, Refusal> {
    match from.split_once(':') {
        Some(("netns", path)) => in_netns(Path::new(path), settings, namespaces),
        Some(("cgroup", path)) => in_cgroup(Path::new(path), settings),
        _ => match from.parse() {
            Ok(address) => Ok(Client {
                source: Some(address),
                ..Client::default()
            }),
            Err(_) => Err(Refusal::Malformed(format!(
                "`{from}` is not netns:PATH (like netns:/run/netns/web or netns:/proc/PID/ns/net), cgroup:PATH or an address"
            ))),
        },
    }
}

fn in_netns(path: &Path, settings: &Settings, namespaces: &Namespaces) -> Result<Client, Refusal> {
    let cookie_of = |path: &Path| namespaces.cookie(path);
    let keys = exclude::keys(&[], &settings.excluded_netns, cookie_of).0;
    let cookie = id(
        exclude::keys(&[], &[path.to_owned()], cookie_of),
        "network namespace",
        path,
    )?;
    let is_excluded = keys.iter().any(|key| key.id == cookie);
    let excluded = is_excluded.then(|| {
        format!(
            "network namespace {} is excluded by --exclude-netns",
            path.display()
        )
    });
    Ok(Client {
        netns: Some(cookie),
        excluded,
        ..Client::default()
    })
}

fn in_cgroup(path: &Path, settings: &Settings) -> Result<Client, Refusal> {
    let cgroup = id(cgroup_id(path), "cgroup", path)?;
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // An excluded cgroup excludes all cgroups below it.
    let exclusion = settings
        .excluded_cgroups
        .iter()
        .find(|above| real(path).starts_with(real(above)));
    let excluded = exclusion.map(|above| {
        format!(
            "cgroup {} is excluded by --exclude-cgroup {}",
            path.display(),
            above.display()
        )
    });
    let id = clients::client(&settings.cgroup, path);
    Ok(Client {
        cgroup: Some(cgroup),
        id,
        excluded,
        ..Client::default()
    })
}

type Keys = (Vec<ExcludedKey>, Vec<exclude::Error>);

fn cgroup_id(path: &Path) -> Keys {
    let no_namespace = |_: &Path| unreachable!("no namespace is asked for");
    exclude::keys(&[path.to_owned()], &[], no_namespace)
}

/// Returns the id of the object at `path`, or why there is none.
fn id((found, missing): Keys, kind: &str, path: &Path) -> Result<u64, Refusal> {
    let path = path.display();
    match (found.as_slice(), missing.as_slice()) {
        ([key], _) => Ok(key.id),
        (_, [error, ..]) => Err(Refusal::Malformed(format!(
            "{kind} {path}, as the agent sees files: {}",
            error.reason()
        ))),
        _ => Err(Refusal::Malformed(format!("{path} is not a {kind}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_that_cannot_be_opened_is_refused_with_the_reason() {
        let refusal = |found: Keys, kind: &str, path: &str| {
            id(found, kind, Path::new(path)).unwrap_err().to_string()
        };
        let netns = |path: &str| {
            let found = exclude::keys(&[], &[path.into()], exclude::netns_cookie_at);
            refusal(found, "network namespace", path)
        };
        let none = "network namespace /no/such, as the agent sees files: No such file or directory (os error 2)";
        assert_eq!(netns("/no/such"), none);
        let other = "network namespace /dev/null, as the agent sees files: not a network namespace";
        assert_eq!(netns("/dev/null"), other);
        assert_eq!(
            refusal(cgroup_id(Path::new("/tmp")), "cgroup", "/tmp"),
            "cgroup /tmp, as the agent sees files: not a cgroup2 directory"
        );
    }
}
