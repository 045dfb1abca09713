//! Fair shares of the node's probes on a paused clock: one service with twenty thousand endpoints,
//! and small services.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    desired::World,
    model::{CheckPolicy, Endpoint, Service},
};

const LARGE: u32 = 20_000;
const SMALL: u32 = 10;
/// Interval of the small services.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time that is measured, after one of the same length.
const MEASURED: Duration = Duration::from_secs(20);

/// A service with these endpoints, which are checked this often.
fn service(name: &str, number: u8, endpoints: u32, interval: Duration) -> Service {
    let (namespace, name) = name.split_once('/').unwrap();
    let mut service = fixture::fixed(name, &format!("10.96.0.{number}"));
    service.name.namespace = namespace.into();
    let address = |host: u32| std::net::Ipv4Addr::from_bits(u32::from(number) << 24 | host);
    service.ports[0].endpoints = (1..=endpoints)
        .map(|host| Endpoint::new(address(host).into(), 80))
        .collect();
    service.traffic.health = Some(Box::new(HealthCheck {
        interval,
        ..check(Probe::Tcp)
    }));
    service
}

/// Returns the probes per second of each service, when a probe of the large one takes this long.
async fn rates(large_takes: Duration) -> BTreeMap<String, u64> {
    let services = [
        service("greedy/large", 11, LARGE, Duration::from_millis(100)),
        service("greedy/small", 12, SMALL, INTERVAL),
        service("shop/cart", 13, SMALL, INTERVAL),
    ];
    let world = World {
        services: fixture::services(services),
        check_policy: Arc::new(CheckPolicy {
            min_interval: Duration::from_millis(100),
            ..CheckPolicy::default()
        }),
        ..World::default()
    };
    let starts = Arc::new(Mutex::new(vec![]));
    let noted = Arc::clone(&starts);
    let probe = move |due: Due| {
        let service = due.target.service.to_string();
        let takes = match &*service {
            "greedy/large" => large_takes,
            _ => Duration::from_millis(3),
        };
        noted.lock().unwrap().push((Instant::now(), service));
        async move {
            sleep(takes).await;
            Ok(())
        }
    };
    let (_wanted, receiver) = watch::channel(plan(&world).wanted);
    let (sender, _reports) = watch::channel(Arc::default());
    let stop = CancellationToken::new();
    let driver = Driver::new(7, Duration::ZERO, probe);
    let task = tokio::spawn(driver.run(receiver, sender, stop.clone()));
    sleep(MEASURED * 2).await;
    let since = Instant::now() - MEASURED;
    stop.cancel();
    task.await.unwrap();
    let mut rates = BTreeMap::new();
    for (_, service) in starts.lock().unwrap().iter().filter(|(at, _)| *at > since) {
        *rates.entry(service.clone()).or_default() += 1;
    }
    rates
        .into_iter()
        .map(|(service, starts): (_, u64)| (service, (starts + 10) / MEASURED.as_secs()))
        .collect()
}

/// The rates of the small services when they keep their interval.
fn kept() -> BTreeMap<String, u64> {
    ["greedy/small", "shop/cart"]
        .map(|name| (name.to_owned(), SMALL.into()))
        .into()
}

#[tokio::test(start_paused = true)]
async fn small_services_keep_their_interval_beside_twenty_thousand_endpoints() {
    let mut rates = rates(Duration::from_millis(3)).await;
    let large = rates.remove("greedy/large").unwrap();
    assert_eq!(rates, kept());
    // 1000 a second are for the whole node. Jitter delays each probe.
    assert!((900..=980).contains(&large), "{large} a second");
}

#[tokio::test(start_paused = true)]
async fn small_services_keep_their_interval_beside_twenty_thousand_endpoints_that_do_not_answer() {
    let mut rates = rates(Duration::from_secs(60)).await;
    let large = rates.remove("greedy/large");
    assert_eq!(rates, kept(), "{large:?} probes of the large one");
}
