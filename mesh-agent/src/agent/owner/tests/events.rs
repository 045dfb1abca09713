//! Each event has its effects.

use super::*;
use crate::{
    agent::event::{Command, Effects, Event, NodeState, Trim},
    api::{types::Change, view::Refusal},
    desired::Target,
    source::SourceUpdate,
};

impl Scene {
    fn handle(&mut self, event: Event) -> Effects {
        self.owner.handle(event, self.now)
    }

    /// Sends a whole snapshot of the source `files`.
    fn source(&mut self, services: impl IntoIterator<Item = Service>) -> Effects {
        self.handle(from("files", services))
    }

    fn command(&mut self, last: u8, change: Change) -> Effects {
        let target = Target {
            service: fixture::name("cart"),
            address: [10, 0, 0, last].into(),
            port: 80,
        };
        self.handle(Event::Command(Command {
            target,
            change,
            force: false,
        }))
    }
}

/// A whole snapshot of a source.
fn from(source: &'static str, services: impl IntoIterator<Item = Service>) -> Event {
    Event::Source(SourceUpdate {
        source: source.into(),
        ..SourceUpdate::of(fixture::services(services))
    })
}

const TWO: [(&str, u32); 2] = [("10.0.0.1:80", 1), ("10.0.0.2:80", 1)];

fn published() -> Effects {
    Effects {
        publish: true,
        ..Effects::default()
    }
}

#[test]
fn first_update_attaches_the_programs_once() {
    let mut scene = Scene::new();
    assert_eq!(scene.handle(Event::Tick), published(), "the maps are empty");
    let read = Effects {
        trim: Trim::WhenIdle,
        ..published()
    };
    let first = Effects {
        attach: true,
        ..read.clone()
    };
    assert_eq!(scene.source([cart(&TWO)]), first);
    assert_eq!(scene.source([cart(&TWO)]), read);
}

#[test]
fn incomplete_update_does_not_replace_the_programs_of_an_earlier_agent() {
    let mut scene = Scene::new();
    scene.owner.set_replaces(Replaces {
        other: true,
        larger: false,
    });
    let part = SourceUpdate {
        source: "files".into(),
        complete: false,
        ..SourceUpdate::of(fixture::services([cart(&TWO)]))
    };
    assert!(!scene.handle(Event::Source(part)).attach);
    assert!(scene.source([cart(&TWO)]).attach);
}

#[test]
fn source_that_ends_leaves_the_agent_serving_and_is_named() {
    let mut scene = Scene::new();
    scene.source([cart(&TWO[..1])]);
    let ended = Event::SourceEnded {
        source: "files".into(),
        reason: "the disk is gone".into(),
    };
    assert_eq!(scene.handle(ended), published());
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    let problem = "source files ended, so its services stay as they are; it is started again: the disk is gone";
    assert_eq!(scene.owner.snapshot().problems, [problem]);
    scene.source([cart(&TWO[1..])]);
    assert_eq!(scene.owner.snapshot().problems, [""; 0]);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
}

#[test]
fn command_is_answered_when_it_is_in_effect() {
    let mut scene = Scene::new();
    let refused = |refusal| Effects {
        answer: Some(Err(refusal)),
        ..Effects::default()
    };
    assert_eq!(scene.command(1, Change::Drain), refused(Refusal::NotLoaded));
    scene.source([cart(&TWO)]);
    let done = Effects {
        answer: Some(Ok(None)),
        ..published()
    };
    assert_eq!(scene.command(1, Change::Drain), done);
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.2:80");
    scene.owner.dataplane.operations_left = Some(0);
    let failed = scene.command(1, Change::Undrain);
    assert!(
        matches!(&failed.answer, Some(Err(Refusal::Failed(why))) if why.contains("meshctl status")),
        "{failed:?}"
    );
    assert_eq!(failed.wake, Some(scene.now + RETRY));
}

#[test]
fn freed_rows_wake_the_owner_after_the_grace_period() {
    let mut scene = Scene::new();
    scene.source([cart(&TWO)]);
    let due = scene.now + GRACE;
    assert_eq!(scene.source([cart(&TWO[..1])]).wake, Some(due));
    scene.now += GRACE / 2;
    let silent = scene.handle(Event::Node(NodeState::default()));
    let unchanged = Effects {
        wake: Some(due),
        ..Effects::default()
    };
    assert_eq!(silent, unchanged, "an event without news changes nothing");
    scene.now = due;
    assert_eq!(scene.handle(Event::Tick).wake, None);
    assert_eq!(scene.owner.backends().len(), 1);
}

#[test]
fn resync_checks_the_sockets_of_all_backends() {
    let mut scene = Scene::new();
    scene.source([cart(&TWO)]);
    let expected = Effects {
        close_all: true,
        trim: Trim::Now,
        ..published()
    };
    assert_eq!(scene.handle(Event::Resync), expected);
}

#[test]
fn last_update_of_each_source_counts() {
    let mut scene = Scene::new();
    scene
        .owner
        .set_sources(vec!["files".into(), "other".into()]);
    let pay = fixture::with(fixture::fixed("pay", "10.96.0.2"), &[("10.0.0.9:80", 1)]);
    scene.source([cart(&TWO[..1])]);
    assert!(
        !scene.owner.is_complete(),
        "the other source has sent nothing"
    );
    scene.handle(from("other", [cart(&TWO[1..]), pay]));
    assert!(scene.owner.is_complete());
    let slots = scene.owner.current.services[&fixture::key("10.96.0.1:80")].slot_count;
    assert_eq!(slots, 2, "both sources add endpoints");
    assert_eq!(scene.connect("10.96.0.2:80").unwrap(), "10.0.0.9:80");
    scene.handle(from("other", [cart(&TWO[1..])]));
    assert_eq!(
        scene.connect("10.96.0.2:80"),
        None,
        "a snapshot replaces the one before"
    );
}

#[test]
fn address_of_one_source_is_not_given_to_a_service_of_another() {
    let mut scene = Scene::new();
    scene.source([cart(&TWO[..1])]);
    let thief = fixture::with(fixture::fixed("thief", "10.96.0.1"), &[("10.0.0.9:80", 1)]);
    scene.handle(from("other", [thief]));
    assert_eq!(scene.connect("10.96.0.1:80").unwrap(), "10.0.0.1:80");
    let error = "test.yaml:1: service test/thief asks for 10.96.0.1 port 80/TCP, which belongs to service test/cart (in \
                 test.yaml:1): give one of them another address or port";
    assert_eq!(scene.errors(), [error]);
}
