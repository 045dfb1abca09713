use super::*;
use crate::{
    desired::fixture,
    health::checks::tests::check,
    model::{CheckOrigin, CheckPolicy, Probe, Wrong},
};

/// A service of that many endpoints, checked this often.
fn checked(name: &str, endpoints: u16, interval: Duration) -> Service {
    let address = |number: u16| format!("10.1.{}.{}:80", number / 250, number % 250 + 1);
    let addresses: Vec<String> = (0..endpoints).map(address).collect();
    let endpoints: Vec<(&str, u32)> = addresses
        .iter()
        .map(|address| (address.as_str(), 1))
        .collect();
    let mut service = fixture::with(fixture::fixed(name, "10.96.0.1"), &endpoints);
    service.traffic.health = Some(Box::new(HealthCheck {
        interval,
        ..check(Probe::Tcp)
    }));
    service.traffic.health_origin = CheckOrigin {
        line: 7,
        field: "services[0].health".into(),
        is_annotation: false,
    };
    service
}

fn world(services: impl IntoIterator<Item = Service>) -> World {
    World {
        services: fixture::services(services),
        ..World::default()
    }
}

fn interval(plan: &Plan, service: &Service) -> Duration {
    plan.wanted[&Target::of(service, &service.ports[0].endpoints[0])].interval
}

/// Probes per second of all targets.
fn rate(plan: &Plan) -> f64 {
    plan.wanted
        .values()
        .map(|check| 1.0 / check.interval.as_secs_f64())
        .sum()
}

#[test]
fn checks_that_are_not_allowed_are_errors_and_the_rest_is_checked() {
    let mut cart = checked("cart", 1, Duration::from_secs(5));
    let mut local = cart.ports[0].endpoints[0].clone();
    local.address = [127, 0, 0, 1].into();
    cart.ports[0].endpoints.push(local.clone());
    let plan = plan(&world([cart.clone()]));
    assert_eq!(
        plan.wanted.keys().cloned().collect::<Vec<_>>(),
        [Target::of(&cart, &cart.ports[0].endpoints[0])]
    );
    let reason = "endpoint 127.0.0.1:80 of service test/cart is not checked: it is a loopback address; \
                  `healthChecks.allowedNetworks` can allow it";
    let origin = cart.origin.at(7);
    let error = ConfigError {
        origin,
        field: "services[0].health".into(),
        reason: reason.into(),
    };
    assert_eq!(plan.refused.errors, [error]);
    let wrong = Wrong::service(&cart, Effect::Part);
    assert_eq!((plan.refused.wrong, plan.notes), (vec![wrong], vec![]));
    local.address = [127, 0, 0, 2].into();
    cart.ports[0].endpoints.push(local);
    let reason = super::plan(&world([cart])).refused.errors.remove(0).reason;
    assert!(
        reason
            .starts_with("endpoint 127.0.0.1:80 and 1 more of service test/cart are not checked: "),
        "{reason}"
    );
}

#[test]
fn checks_within_the_rate_keep_their_interval() {
    let services = [
        checked("a", 300, Duration::from_secs(1)),
        checked("b", 50, Duration::from_secs(5)),
    ];
    let plan = plan(&world(services.clone()));
    assert_eq!(services.map(|it| interval(&plan, &it).as_secs()), [1, 5]);
    assert_eq!((plan.slowed, plan.notes), (BTreeMap::new(), vec![]));
}

#[test]
fn a_greedy_service_leaves_others_their_share() {
    let greedy = checked("greedy", 20_000, Duration::from_millis(100));
    let modest = checked("modest", 10, Duration::from_secs(1));
    let plan = plan(&world([greedy.clone(), modest.clone()]));
    assert_eq!(interval(&plan, &modest), Duration::from_secs(1));
    // 20,000 a second, for an interval below the shortest counts as that; 990 are left.
    assert_eq!(interval(&plan, &greedy), Duration::from_millis(20_202));
    assert!((999.0..=1000.1).contains(&rate(&plan)), "{}", rate(&plan));
    let note = "endpoints of service test/greedy are checked every 20.202s instead of every 100ms: the checks of this \
                node ask for 20010 a second, and `healthChecks.maxPerSecond` is 1000";
    assert_eq!(
        plan.notes,
        [ConfigNote {
            origin: greedy.origin.at(7),
            message: note.into()
        }]
    );
}

#[test]
fn a_namespace_has_no_more_for_many_services() {
    let mut services: Vec<Service> = (0..9)
        .map(|number| checked(&format!("many-{number}"), 1000, Duration::from_secs(1)))
        .collect();
    services
        .iter_mut()
        .for_each(|it| it.name.namespace = "greedy".into());
    let mut other = checked("other", 1000, Duration::from_secs(1));
    other.name.namespace = "other".into();
    services.push(other.clone());
    let plan = plan(&world(services.clone()));
    assert_eq!(interval(&plan, &other), Duration::from_secs(2));
    assert_eq!(interval(&plan, &services[0]), Duration::from_secs(18));
    assert!((999.0..=1000.1).contains(&rate(&plan)), "{}", rate(&plan));
}

#[test]
fn no_interval_is_shorter_than_the_shortest() {
    let fast = checked("fast", 1, Duration::from_millis(100));
    let plan = plan(&world([fast.clone()]));
    assert_eq!(interval(&plan, &fast), Duration::from_secs(1));
    let note = "endpoints of service test/fast are checked every 1s instead of every 100ms: that is \
                `healthChecks.minInterval`";
    assert_eq!(plan.notes[0].message, note);
    let allowed = CheckPolicy {
        min_interval: Duration::from_millis(100),
        ..CheckPolicy::default()
    };
    let world = World {
        check_policy: Arc::new(allowed),
        ..world([fast.clone()])
    };
    assert_eq!(
        interval(&super::plan(&world), &fast),
        Duration::from_millis(100)
    );
}

#[test]
fn endpoints_that_may_take_connections_are_checked() {
    let mut cart = checked("cart", 3, Duration::from_secs(5));
    cart.ports[0].endpoints[1].condition = Condition::Terminating;
    cart.ports[0].endpoints[2].condition = Condition::NotReady;
    let mut udp = cart.ports[0].clone();
    (udp.protocol, udp.endpoints) = (Protocol::Udp, vec![Endpoint::new([10, 0, 0, 9].into(), 80)]);
    cart.ports.push(udp);
    let unchecked = fixture::with(fixture::fixed("web", "10.96.0.2"), &[("10.0.1.1:80", 1)]);
    let world = World {
        services: fixture::services([cart, unchecked]),
        ..World::default()
    };
    let checked = plan(&world).wanted;
    let checked: Vec<String> = checked.keys().map(|it| it.address.to_string()).collect();
    assert_eq!(checked, ["10.1.0.1", "10.1.0.2"]);
}
