//! Locality settings: levels, `trafficDistribution`, zones and hints.

use super::{
    joined,
    kubernetes::{SPEC, declared, slice},
    problems,
    traffic::{annotated, problem, traffic, traffic_of},
};
use crate::{
    model::{
        LocalityLevel::{self, Cloud, Node, Region, Zone},
        LocalityPolicy, SourcePreference,
    },
    source::Serve,
};

fn ordered(order: &[LocalityLevel]) -> LocalityPolicy {
    LocalityPolicy {
        order: order.to_vec(),
        ..LocalityPolicy::default()
    }
}

#[test]
fn locality_without_an_order_has_all_levels() {
    assert_eq!(
        traffic("  locality: {}\n").locality,
        ordered(&[Node, Zone, Region, Cloud])
    );
    assert_eq!(traffic("  locality: {order: []}\n").locality, ordered(&[]));
    assert_eq!(
        traffic("  locality: {order: [cloud]}\n").locality,
        ordered(&[Cloud])
    );
    assert_eq!(
        traffic("  locality: {sources: remote}\n").locality.sources,
        SourcePreference::Remote
    );
    let spill = |factor: &str| {
        traffic(&format!("  locality: {{spillFactor: {factor}}}\n"))
            .locality
            .spill
    };
    assert_eq!(
        (spill("1.01"), spill("2"), spill("650.00")),
        (Some(101), Some(200), Some(65_000))
    );
}

#[test]
fn errors_of_wrong_locality_name_the_expected_value() {
    let level = "expected node, zone, region or cloud";
    let spill = "expected a number from 1.01 to 650, with at most 2 decimals";
    let expected = [
        ("locality: true", "locality: expected a mapping, found `true`".to_owned()),
        (
            "locality: {order: zone}",
            "locality.order: expected a list, found `zone`".into(),
        ),
        ("locality: {order: [house]}", format!("locality.order[0]: {level}, found `house`")),
        ("locality: {order: [zone, 1]}", format!("locality.order[1]: {level}, found `1`")),
        ("locality: {order: [zone, node, zone]}", "locality.order[2]: zone is listed twice".into()),
        (
            "locality: {failoverPercent: 0}",
            "locality.failoverPercent: expected a whole number from 1 to 100, found `0`".into(),
        ),
        ("locality: {spillFactor: 1}", format!("locality.spillFactor: {spill}, found `1`")),
        ("locality: {spillFactor: 1.001}", format!("locality.spillFactor: {spill}, found `1.001`")),
        ("locality: {spillFactor: 650.01}", format!("locality.spillFactor: {spill}, found `650.01`")),
        ("locality: {spillFactor: '2'}", format!("locality.spillFactor: {spill}, found the text `\"2\"`")),
        ("locality: {sources: near}", "locality.sources: expected local, remote or none, found `near`".into()),
        (
            "locality: {levels: []}",
            "locality.levels: unknown field; known here: order, failoverPercent, spillFactor, sources".into(),
        ),
    ];
    for (field, right) in expected {
        assert_eq!(problem(field), [right], "{field}");
    }
}

#[test]
fn annotation_lists_levels_with_commas() {
    let order = |text: &str| {
        traffic_of(&annotated(&format!("    mesh-agent.io/locality: '{text}'"))).locality
    };
    assert_eq!(order("node, zone"), ordered(&[Node, Zone]));
    assert_eq!(order("region"), ordered(&[Region]));
    assert_eq!(order(""), ordered(&[]));
    let wrong = |text: &str| problems(&annotated(&format!("    mesh-agent.io/locality: '{text}'")));
    let place = "a.yaml:6: metadata.annotations.mesh-agent.io/locality";
    let levels = "expected node, zone, region or cloud, found";
    assert_eq!(
        wrong("node,house"),
        [format!("{place}[1]: {levels} `house`")]
    );
    assert_eq!(wrong("zone,"), [format!("{place}[1]: {levels} ``")]);
    assert_eq!(
        wrong("zone,zone"),
        [format!("{place}[1]: zone is listed twice")]
    );
    assert_eq!(wrong("1"), [format!("{place}: expected a list, found `1`")]);
    let preference = "    mesh-agent.io/source-preference: remote";
    let remote = LocalityPolicy {
        sources: SourcePreference::Remote,
        by_hints: true,
        ..LocalityPolicy::default()
    };
    assert_eq!(traffic_of(&annotated(preference)).locality, remote);
}

/// The policy of a Kubernetes service without an annotation, with hints.
fn distributed(order: &[LocalityLevel]) -> LocalityPolicy {
    LocalityPolicy {
        by_hints: true,
        ..ordered(order)
    }
}

#[test]
fn annotation_overrides_the_order_of_traffic_distribution() {
    let spec = SPEC.strip_suffix('}').unwrap();
    let text = |word: &str| declared(&format!("{spec}, trafficDistribution: {word}}}"));
    assert_eq!(
        traffic_of(&text("PreferClose")).locality,
        distributed(&[Zone])
    );
    assert_eq!(
        traffic_of(&text("PreferSameZone")).locality,
        distributed(&[Zone])
    );
    assert_eq!(
        traffic_of(&text("PreferSameNode")).locality,
        distributed(&[Node, Zone])
    );
    let own = text("PreferClose").replace(
        "{name: a}",
        "{name: a, annotations: {mesh-agent.io/locality: region}}",
    );
    assert_eq!(traffic_of(&own).locality, ordered(&[Region]));
    let preference = "{name: a, annotations: {mesh-agent.io/source-preference: local}}";
    let both = LocalityPolicy {
        sources: SourcePreference::Local,
        ..distributed(&[Zone])
    };
    assert_eq!(
        traffic_of(&text("PreferClose").replace("{name: a}", preference)).locality,
        both
    );
    let later = joined(&text("PreferMoon"), Serve::All);
    let note =
        "a.yaml:4: trafficDistribution PreferMoon is not known, so all endpoints are equally near";
    assert_eq!(
        later
            .notes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [note]
    );
    assert_eq!(
        later.services.values().next().unwrap().traffic.locality,
        distributed(&[])
    );
    assert_eq!(
        problems(&text("1")),
        ["a.yaml:4: spec.trafficDistribution: expected text, found `1`"]
    );
}

/// Formats the endpoints of these slices as `address zone [node hints; zone hints]`.
fn zones(slices: &[&str]) -> Vec<String> {
    let slices: String = slices.iter().map(|endpoints| slice(endpoints)).collect();
    let update = joined(&(declared(SPEC) + &slices), Serve::All);
    let endpoints = &update.services.values().next().unwrap().ports[0].endpoints;
    let line = |it: &crate::model::Endpoint| {
        let hints = it
            .hints
            .iter()
            .map(|hints| format!("{}; {}", hints.nodes.join(" "), hints.zones.join(" ")));
        format!(
            "{} {} [{}]",
            it.address,
            it.locality.zone.as_deref().unwrap_or("-"),
            hints.collect::<String>()
        )
    };
    endpoints.iter().map(line).collect()
}

#[test]
fn zones_and_hints_of_endpoint_slices_are_read() {
    let here = "[{addresses: [10.0.0.1], zone: z1, hints: {forZones: [{name: z1}, {name: z2}]}}]";
    let other = "[{addresses: [10.0.0.2], zone: '', hints: {forZones: [{name: z3}], forNodes: [{name: n1}]}}]";
    assert_eq!(
        zones(&[here, other]),
        ["10.0.0.1 z1 [; z1 z2]", "10.0.0.2 - [n1; z3]"]
    );
    assert_eq!(
        zones(&["[{addresses: [10.0.0.1], hints: null}]"]),
        ["10.0.0.1 - []"]
    );
    let wrong = slice(
        "[{addresses: [10.0.0.1], zone: 1, hints: {forZones: [{}, {name: []}], forNodes: n1}}]",
    );
    let expected = [
        "a.yaml:5: endpoints[0].hints.forNodes: expected a list, found `n1`",
        "a.yaml:5: endpoints[0].hints.forZones[0].name: missing",
        "a.yaml:5: endpoints[0].hints.forZones[1].name: expected text, found a list",
        "a.yaml:5: endpoints[0].zone: expected text, found `1`",
    ];
    assert_eq!(problems(&wrong), expected);
}
