//! Explanations for a given client: hashing and session affinity.

use super::*;

#[test]
fn known_client_always_hashes_to_the_same_backend() {
    let mut service = two();
    service.traffic.balance = Balance::ConsistentHash(HashKey::NetworkNamespace);
    let scene = Scene::of(service);
    let unknown_client = scene.ask(VIP);
    assert_eq!(
        (
            destinations(&unknown_client).len(),
            unknown_client.notes.len()
        ),
        (2, 1)
    );
    assert!(
        unknown_client.notes[0].contains("--from netns:PATH names it"),
        "{unknown_client:?}"
    );
    let known = scene.ask_as(
        VIP,
        &Client {
            netns: Some(42),
            ..Client::default()
        },
    );
    assert_eq!((destinations(&known).len(), known.notes.len()), (1, 0));
}

#[test]
fn hash_of_the_source_address_needs_an_address() {
    let mut service = two();
    service.traffic.balance = Balance::ConsistentHash(HashKey::SourceAddress);
    let scene = Scene::of(service);
    let note = "the endpoint of a client depends on the address that its socket is bound to: --from ADDRESS names it. Without \
                it, each connect counts as another client";
    assert_eq!(scene.ask(VIP).notes, [note]);
    let by_cgroup = Client {
        cgroup: Some(7),
        ..Client::default()
    };
    assert_eq!(
        scene.ask_as(VIP, &by_cgroup).notes,
        [note],
        "a cgroup is not an address"
    );
    let known = scene.ask_as(
        VIP,
        &Client {
            source: Some([10, 0, 3, 7].into()),
            ..Client::default()
        },
    );
    assert_eq!((destinations(&known).len(), known.notes.len()), (1, 0));
}

#[test]
fn bound_client_goes_to_its_backend() {
    let mut service = two();
    let timeout = Duration::from_secs(60);
    service.affinity = Some(Affinity {
        client: AffinityClient::NetworkNamespace,
        timeout,
    });
    let mut scene = Scene::of(service);
    let key = AffinityKey {
        client: 42,
        service: 0,
        variant: 1,
    };
    let (index, now) = (scene.index(1), NOW - Duration::from_secs(7));
    let generation = scene.tables.backends[&index].generation;
    let backend = u64::from(index) | u64::from(generation) << 32;
    let used_at = u64::try_from(now.as_nanos()).unwrap();
    let row = scene.tables.services[&fixture::key(VIP)];
    let ask = |scene: &Scene, client: Client| {
        let bound = affinity_binding::bound(
            &AffinityRows(vec![(
                key,
                AffinityRow {
                    backend,
                    used_at,
                    owner: 0,
                    pad: 0,
                },
            )]),
            &row,
            &client,
            NOW,
        )
        .unwrap();
        let explanation = scene.ask_as(VIP, &Client { bound, ..client });
        (destinations(&explanation), explanation.notes.concat())
    };
    let other = ask(
        &scene,
        Client {
            netns: Some(7),
            ..Client::default()
        },
    );
    assert_eq!(other.0.len(), 2);
    assert!(other.1.contains("this client is not bound"), "{other:?}");
    let unknown_client = ask(&scene, Client::default());
    assert!(
        unknown_client
            .1
            .contains("a network namespace that is bound")
            && unknown_client.1.contains("--from netns:PATH")
    );
    let known = || Client {
        netns: Some(42),
        ..Client::default()
    };
    let note = "session affinity binds this client to 10.0.0.1:80, last used 7 s ago".to_owned();
    assert_eq!(
        ask(&scene, known()),
        (vec!["10.0.0.1:80 100".to_owned()], note)
    );
    scene.tables.backends.get_mut(&index).unwrap().state = backend_state::DOWN;
    assert_eq!(
        ask(&scene, known()).0,
        ["10.0.0.2:80 100"],
        "a backend that is down loses its clients"
    );
}

/// A meter with given rows of AFFINITY.
struct AffinityRows(Vec<(AffinityKey, AffinityRow)>);

impl Meter for AffinityRows {
    fn read(&self, _: &Tables) -> Result<Counters, crate::dataplane::Error> {
        Ok(Counters::default())
    }

    fn evidence(&self, _: &Tables) -> Result<BTreeMap<u32, Evidence>, crate::dataplane::Error> {
        Ok(BTreeMap::new())
    }

    fn affinity(&self) -> Result<Vec<(AffinityKey, AffinityRow)>, crate::dataplane::Error> {
        Ok(self.0.clone())
    }
}
