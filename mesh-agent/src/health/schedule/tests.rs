//! Tests of the schedule on a manual clock.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{queues::UNDER_WAY, *};

const PACE: Pace = Pace {
    interval: Duration::from_secs(5),
    jitter_percent: 10,
};

/// Probes that one service may have under way when no others are.
const ALONE: usize = UNDER_WAY / 3 + 1;

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Starts within this time, each with its target; probes take as long as `takes` says.
fn run(
    schedule: &mut Schedule,
    from: Duration,
    to: Duration,
    takes: impl Fn(Id) -> Duration,
) -> Vec<(Duration, Id)> {
    let (mut starts, mut ends) = (vec![], BTreeSet::new());
    let mut now = from;
    loop {
        while let Some(id) = schedule.start(now) {
            starts.push((now, id));
            ends.insert((now + takes(id), id));
        }
        let next = schedule
            .next()
            .into_iter()
            .chain(ends.first().map(|(end, _)| *end))
            .min();
        let Some(next) = next.filter(|&next| next < to) else {
            break;
        };
        now = next.max(now);
        while ends.first().is_some_and(|(end, _)| *end <= now) {
            let (_, id) = ends.pop_first().unwrap();
            schedule.finish(id, now);
        }
    }
    ends.into_iter().for_each(|(_, id)| schedule.finish(id, to));
    starts
}

/// Most starts in any window of this length.
fn most_within(starts: &[(Duration, Id)], window: Duration) -> usize {
    let end = |first: usize| starts.partition_point(|(at, _)| *at < starts[first].0 + window);
    (0..starts.len())
        .map(|first| end(first) - first)
        .max()
        .unwrap_or_default()
}

/// Adds a target of a service, which is namespace and name.
fn add(schedule: &mut Schedule, id: Id, service: &str, pace: Pace, now: Duration) {
    let (namespace, name) = service.split_once('/').unwrap();
    let service = ServiceName {
        namespace: namespace.into(),
        name: name.into(),
    };
    schedule.add(id, &service, pace, now);
}

fn filled(targets: u64, seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed);
    (0..targets).for_each(|id| add(&mut schedule, id, "shop/cart", PACE, Duration::ZERO));
    schedule
}

#[test]
fn two_thousand_first_probes_are_spread_over_one_interval() {
    for seed in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
        let all = PACE.interval + TICK * 2;
        let starts = run(&mut filled(2000, seed), Duration::ZERO, all, |_| millis(1));
        assert_eq!(
            starts
                .iter()
                .map(|(_, id)| id)
                .collect::<BTreeSet<_>>()
                .len(),
            2000
        );
        let most = most_within(&starts, millis(100));
        assert!(
            (40..=50).contains(&most),
            "{most} starts in 100 ms, 40 would be even"
        );
    }
}

#[test]
fn two_thousand_targets_stay_spread() {
    let starts = run(
        &mut filled(2000, 7),
        Duration::ZERO,
        Duration::from_secs(300),
        |id| millis(id % 50),
    );
    assert!(
        (119_000..=121_000).contains(&starts.len()),
        "{}",
        starts.len()
    );
    let most = most_within(&starts, millis(100));
    assert!(most <= 80, "{most} starts in 100 ms, 40 would be even");
    assert!(most_within(&starts, millis(1)) <= 33);
}

#[test]
fn overdue_probes_are_paced() {
    let mut schedule = filled(2000, 7);
    let starts = run(
        &mut schedule,
        Duration::from_secs(60),
        Duration::from_secs(90),
        |_| millis(1),
    );
    let most = most_within(&starts, millis(100));
    assert!(most <= 112, "{most} starts in 100 ms, 40 would be even");
    let first: BTreeSet<_> = starts
        .iter()
        .filter(|(at, _)| *at < Duration::from_secs(66))
        .map(|(_, id)| id)
        .collect();
    assert_eq!(first.len(), 2000, "all are asked within about one interval");
}

#[test]
fn a_slow_pace_does_not_delay_targets_added_later() {
    let mut schedule = Schedule::new(0);
    let slow = Pace {
        interval: Duration::from_secs(3600),
        jitter_percent: 0,
    };
    (0..8).for_each(|id| add(&mut schedule, id, "shop/cart", slow, Duration::ZERO));
    run(
        &mut schedule,
        Duration::from_secs(3600),
        Duration::from_secs(3601),
        |_| millis(1),
    );
    (10..2010).for_each(|id| {
        add(
            &mut schedule,
            id,
            "shop/cart",
            PACE,
            Duration::from_secs(3601),
        );
    });
    let starts = run(
        &mut schedule,
        Duration::from_secs(3601),
        Duration::from_secs(3606) + TICK,
        |_| millis(1),
    );
    assert!(starts.len() >= 1990, "{}", starts.len());
}

#[test]
fn concurrent_probes_are_bounded() {
    let mut schedule = filled(2000, 7);
    let mut now = Duration::ZERO;
    let mut under_way = vec![];
    while let Some(next) = schedule.next() {
        now = now.max(next);
        under_way.extend(schedule.start(now));
    }
    assert_eq!(
        under_way.len(),
        ALONE,
        "the others are for other services and namespaces"
    );
    schedule.remove(under_way[0]);
    assert_eq!(schedule.next(), None, "its probe still holds a socket");
    schedule.finish(under_way[0], now);
    assert!(schedule.next().is_some());
}

#[test]
fn a_service_whose_probes_hang_delays_no_other_one() {
    for other in ["bank/pay", "shop/pay"] {
        let mut schedule = filled(2000, 7);
        (3000..3100).for_each(|id| add(&mut schedule, id, other, PACE, Duration::ZERO));
        let hang = |id| {
            if id < 3000 {
                Duration::from_secs(3600)
            } else {
                millis(1)
            }
        };
        let starts = run(&mut schedule, Duration::ZERO, Duration::from_secs(60), hang);
        let (hung, others): (Vec<_>, Vec<_>) = starts.into_iter().partition(|(_, id)| *id < 3000);
        assert_eq!(hung.len(), ALONE);
        assert!(
            (1150..=1250).contains(&others.len()),
            "{other}: {} probes of 100 targets in 60 s",
            others.len()
        );
    }
}

#[test]
fn another_pace_is_kept_from_the_next_round_on() {
    let mut schedule = filled(100, 7);
    let slow = Pace {
        interval: Duration::from_secs(20),
        jitter_percent: 0,
    };
    run(
        &mut schedule,
        Duration::ZERO,
        Duration::from_secs(20),
        |_| millis(1),
    );
    // Again and again, as when another service changes all the time: no target's turn is put off
    // for that.
    let mut starts = Vec::new();
    for second in 20..80 {
        let pace = if second % 2 == 0 {
            slow
        } else {
            Pace {
                interval: Duration::from_secs(19),
                ..slow
            }
        };
        (0..100).for_each(|id| schedule.repace(id, pace, Duration::from_secs(second)));
        let (from, to) = (Duration::from_secs(second), Duration::from_secs(second + 1));
        starts.extend(run(&mut schedule, from, to, |_| millis(1)));
    }
    let of = |id| starts.iter().filter(|(_, of)| *of == id).count();
    assert!(
        (0..100).all(|id| (2..=4).contains(&of(id))),
        "three in a minute are right: {starts:?}"
    );
    (0..100).for_each(|id| schedule.repace(id, PACE, Duration::from_secs(80)));
    let starts = run(
        &mut schedule,
        Duration::from_secs(80),
        Duration::from_secs(100),
        |_| millis(1),
    );
    assert!(
        (390..=420).contains(&starts.len()),
        "{} probes of 100 targets in 20 s",
        starts.len()
    );
    (0..100).for_each(|id| schedule.remove(id));
    assert_eq!(
        (schedule.next(), schedule.rate, schedule.queues),
        (None, 0, Queues::default())
    );
}

#[test]
fn a_target_that_left_is_not_probed() {
    let mut schedule = filled(2, 0);
    schedule.remove(0);
    schedule.remove(0);
    let starts = run(
        &mut schedule,
        Duration::ZERO,
        Duration::from_secs(60),
        |_| millis(1),
    );
    assert!(
        starts.iter().all(|(_, id)| *id == 1) && (11..=13).contains(&starts.len()),
        "{starts:?}"
    );
    schedule.remove(1);
    assert_eq!((schedule.next(), schedule.rate), (None, 0));
}

#[test]
fn a_probe_that_takes_the_whole_interval_is_followed_by_the_next() {
    let starts = run(
        &mut filled(1, 3),
        Duration::ZERO,
        Duration::from_secs(100),
        |_| PACE.interval,
    );
    assert!((18..=20).contains(&starts.len()), "{}", starts.len());
}

proptest! {
    /// Never twice at the same time, and never outside the jitter while no probe is overdue.
    #[test]
    fn a_target_is_probed_at_its_pace(seed in any::<u64>(), interval in 100..100_000_u64, jitter_percent in 0..=100_u8) {
        let pace = Pace { interval: millis(interval), jitter_percent };
        let mut schedule = Schedule::new(seed);
        add(&mut schedule, 1, "shop/cart", pace, Duration::ZERO);
        let starts = run(&mut schedule, Duration::ZERO, pace.interval * 50, |_| Duration::ZERO);
        prop_assert!(starts[0].0 <= pace.interval + TICK);
        // A probe that was due while paced.
        let slack = TICK + pace.interval / 50;
        let allowance = pace.interval * jitter_percent.into() / 100 + slack;
        for pair in starts.windows(2) {
            let apart = pair[1].0 - pair[0].0;
            prop_assert!(apart + allowance >= pace.interval && apart <= pace.interval + allowance, "{apart:?}");
        }
        prop_assert!((48..=51).contains(&starts.len()), "{}", starts.len());
    }
}
