use std::sync::Arc;

use super::*;
use crate::{
    desired::fixture,
    health::checks::tests::check,
    model::{CheckPolicy, HttpProbe},
};

fn world(policy: CheckPolicy) -> World {
    World {
        node_addresses: ["127.0.0.1", "192.0.2.7", "2001:db8::7"]
            .map(|it| it.parse().unwrap())
            .into(),
        check_policy: Arc::new(policy),
        ..World::default()
    }
}

/// Why an endpoint at this address may not be checked.
fn refusal(policy: CheckPolicy, address: &str) -> Option<String> {
    let cart = fixture::fixed("cart", "10.96.0.1");
    let world = world(policy);
    Rules::new(&world, &cart, &check(Probe::Tcp))
        .refusal(&Endpoint::new(address.parse().unwrap(), 80))
}

#[test]
fn loopback_link_local_and_node_addresses_are_not_checked() {
    let kinds = [
        ("127.0.0.1", "a loopback address"),
        ("127.8.9.10", "a loopback address"),
        ("::1", "a loopback address"),
        ("169.254.169.254", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("192.0.2.7", "an address of this node"),
        ("2001:db8::7", "an address of this node"),
    ];
    for (address, kind) in kinds {
        let expected = format!("it is {kind}; `healthChecks.allowedNetworks` can allow it");
        assert_eq!(
            refusal(CheckPolicy::default(), address),
            Some(expected),
            "{address}"
        );
        let network = address.parse::<IpAddr>().unwrap().into();
        let allowed = CheckPolicy {
            allowed_networks: vec![network],
            ..CheckPolicy::default()
        };
        assert_eq!(refusal(allowed, address), None, "{address}");
    }
    for address in ["10.0.0.1", "192.0.2.8", "fd00::1"] {
        assert_eq!(refusal(CheckPolicy::default(), address), None, "{address}");
    }
}

/// Why the check of a service whose endpoints serve port 8080 may not be made as it is written.
fn whole(policy: CheckPolicy, is_annotation: bool, check: &HealthCheck) -> Option<String> {
    let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &[("10.0.0.1:8080", 1)]);
    cart.traffic.health_origin.is_annotation = is_annotation;
    Rules::new(&world(policy), &cart, check)
        .whole()
        .map(str::to_owned)
}

fn with_header(name: &str) -> HealthCheck {
    let headers = vec![(name.to_owned(), "secret".to_owned())];
    check(Probe::Http(HttpProbe {
        tls: false,
        path: "/".into(),
        headers,
        status: (200, 299),
        expect_header: None,
    }))
}

#[test]
fn annotations_send_no_credentials() {
    for name in [
        "Authorization",
        "cookie",
        "Proxy-Authorization",
        "X-Vault-Token",
        "x-api-key",
        "X-Remote-User",
        "Metadata-Flavor",
        "X-Goog-IAP-JWT-Assertion",
    ] {
        let expected = format!(
            "an annotation sends the header {name}, which may carry credentials; without `healthChecks.allowCredentials` \
             only these are sent: accept, accept-encoding, accept-language, cache-control, connection, host, user-agent, \
             x-check, x-health-check, x-request-id"
        );
        assert_eq!(
            whole(CheckPolicy::default(), true, &with_header(name)),
            Some(expected)
        );
        assert_eq!(
            whole(CheckPolicy::default(), false, &with_header(name)),
            None,
            "service files are the administrator's"
        );
        let allowed = CheckPolicy {
            allow_credentials: true,
            ..CheckPolicy::default()
        };
        assert_eq!(whole(allowed, true, &with_header(name)), None);
    }
    assert_eq!(
        whole(CheckPolicy::default(), true, &with_header("X-Check")),
        None
    );
}

#[test]
fn annotations_name_only_ports_of_their_endpoints() {
    let on = |port| HealthCheck {
        port: Some(port),
        ..check(Probe::Tcp)
    };
    let expected = "an annotation names port 6443, which none of its endpoints serves; `healthChecks.allowOtherPorts` can \
                    allow it";
    assert_eq!(
        whole(CheckPolicy::default(), true, &on(6443)).as_deref(),
        Some(expected)
    );
    assert_eq!(whole(CheckPolicy::default(), true, &on(8080)), None);
    assert_eq!(whole(CheckPolicy::default(), false, &on(6443)), None);
    let allowed = CheckPolicy {
        allow_other_ports: true,
        ..CheckPolicy::default()
    };
    assert_eq!(whole(allowed, true, &on(6443)), None);
}
