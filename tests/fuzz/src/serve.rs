//! Serves what was accepted: compiles it, checks the rows, writes them to maps in memory, and decides
//! connects over them with the code of the kernel programs.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use mesh_common::{
    abi::{FrontendKey, ServiceRow, capacity::Capacity},
    connect::{Verdict, connect},
};
use mesh_core::{
    dataplane::{Dataplane as _, memory::Memory},
    desired::{
        Tables, World, compile, contiguous_backends, filter, fixture, frontend,
        plan::diff,
        slot_tiers, socket_address,
        vips::{self, Vips},
    },
    model::{Addresses, Admission, Locality, ServiceName, Services, Update},
    state::overrides::Overrides,
};

/// The time of the compile.
pub const NOW: Duration = Duration::from_secs(100_000);
/// Random numbers of connects.
const DRAWS: [u32; 3] = [0, 1 << 31, u32::MAX];
/// Most frontends that are connected to.
const FRONTENDS: usize = 64;

/// The pools of addresses for `auto` services.
pub fn pools() -> [ipnet::IpNet; 2] {
    ["240.96.0.0/24", "fd00:96::/112"].map(|pool| pool.parse().expect("a network"))
}

/// Checks the services of an update.
pub fn check(update: &Update) {
    let (vips, exhausted) = vips::allocate(&update.services, &pools(), &Vips::new(), true);
    assert_eq!(exhausted, []);
    let world = World {
        vips,
        uncertain: update.uncertain.clone(),
        ..world(update.services.clone())
    };
    check_world(&world, &Tables::default());
}

/// Checks the services of [`services`] with these drains and weights.
pub fn check_overridden(overrides: Overrides) {
    let (vips, _) = vips::allocate(&services(), &pools(), &Vips::new(), true);
    let world = World {
        overrides,
        vips,
        ..world(services())
    };
    check_world(&world, &Tables::default());
}

/// Returns some services: two with addresses, one over UDP, and two that ask for an address.
pub fn services() -> Services {
    let cart = fixture::with(
        fixture::fixed("cart", "10.96.0.1"),
        &[("10.0.0.1:8080", 1), ("10.0.0.2:8080", 3)],
    );
    let dns = fixture::with(
        fixture::udp(fixture::fixed("dns", "10.96.0.2")),
        &[("10.0.0.3:5353", 1), ("10.0.0.4:5353", 1)],
    );
    let empty = fixture::fixed("empty", "fd00::1");
    let autos = ["auto-a", "auto-b"].map(fixture::auto);
    fixture::services([cart, dns, empty].into_iter().chain(autos))
}

/// Returns the names of the services that ask for an address.
pub fn autos(services: &Services) -> Vec<&ServiceName> {
    let asks = services
        .values()
        .filter(|it| it.addresses == Addresses::Auto);
    asks.map(|it| &it.name).collect()
}

/// Returns the settings of the agent that reads.
pub fn admission() -> Admission {
    let networks = |texts: &[&str]| {
        let networks = texts.iter().map(|text| text.parse());
        networks.collect::<Result<_, _>>().expect("networks")
    };
    Admission {
        service_cidrs: networks(&["10.96.0.0/12", "240.0.0.0/24"]),
        external_cidrs: networks(&["192.0.2.0/24", "2001:db8::/32"]),
        ..Admission::default()
    }
}

/// Returns a node with these services.
pub fn world(services: Services) -> World {
    let addresses = ["127.0.0.1", "192.0.2.1", "::1"];
    World {
        services,
        complete: true,
        node_name: "node-a".to_owned(),
        admission: admission().into(),
        node_addresses: addresses.map(|it| it.parse().expect("an address")).into(),
        locality: Locality {
            cloud: Some("cloud-a".into()),
            region: Some("region-a".into()),
            zone: Some("a".into()),
        },
        ..World::default()
    }
}

/// Compiles over the rows that the maps hold, and checks what the maps hold then.
pub fn check_world(world: &World, current: &Tables) -> Tables {
    let tables = compiled(world, current);
    if world.uncertain.is_empty() {
        check_rows(&tables);
    }
    assert_eq!(compiled(world, &tables), tables, "compiled twice");
    let mut memory = Memory::default();
    memory.rows = current.clone();
    write(&mut memory, current, &tables);
    assert_eq!(memory.rows, tables, "applied");
    // A fresh copy: a connect counts, and limits refuse.
    let mut memory = Memory::default();
    write(&mut memory, &Tables::default(), &tables);
    if world.uncertain.is_empty() {
        for (key, row) in tables.services.iter().take(FRONTENDS) {
            for draw in DRAWS {
                check_connect(&memory, &tables, (key, row), draw);
            }
        }
    }
    tables
}

fn compiled(world: &World, current: &Tables) -> Tables {
    match compile(world, NOW, current, Memory::CAPACITY) {
        Ok(tables) => tables,
        Err(partial) => {
            assert!(
                !partial.over_limit.is_empty(),
                "a partial compile although all services fit"
            );
            partial.tables
        }
    }
}

fn write(memory: &mut Memory, current: &Tables, tables: &Tables) {
    memory
        .apply(&diff(current, tables))
        .expect("memory takes every write");
}

/// Checks that every row leads to rows that exist and fit.
fn check_rows(tables: &Tables) {
    let printed = tables.to_string();
    let rows = [
        tables.services.len(),
        tables.slots.len(),
        tables.backends.len(),
        tables.names.len(),
    ];
    assert_eq!(printed.lines().count(), rows.iter().sum::<usize>());
    assert_eq!(tables.filter, filter(&tables.services));
    let Capacity {
        slots, backends, ..
    } = Memory::CAPACITY;
    assert!(tables.slots.keys().all(|index| *index < slots));
    assert!(tables.backends.keys().all(|index| *index < backends));
    for (key, row) in tables.services.iter() {
        let name = frontend(key);
        assert_eq!(row.key, *key, "{name}");
        assert!(tables.names.contains_key(&row.id), "{name} has no name");
        for index in reached(tables, row) {
            let backend = tables.backends.get(&index);
            let backend = backend.unwrap_or_else(|| panic!("{name} leads to a free row {index}"));
            assert_eq!(
                (backend.service, backend.addr.is_v4()),
                (row.id, key.addr.is_v4()),
                "{name} leads to {index}"
            );
            assert!(
                backend.port != 0 && backend.weight != 0,
                "{name}: {backend:?}"
            );
        }
    }
}

/// Returns the backends that a service row leads to.
fn reached(tables: &Tables, row: &ServiceRow) -> BTreeSet<u32> {
    if let Some(range) = contiguous_backends(row) {
        return range.collect();
    }
    let columns = slot_tiers(&tables.slots, row).flat_map(|tier| tier.columns());
    let slot = |index: u32| {
        let slot = tables.slots.get(&index);
        slot.unwrap_or_else(|| panic!("slot {index} is missing"))
    };
    let slots = columns.map(slot);
    slots.flat_map(|slot| [slot.backend, slot.alias]).collect()
}

/// Checks that a connect gets a backend of its service if one takes connects.
fn check_connect(
    memory: &Memory,
    tables: &Tables,
    (key, row): (&FrontendKey, &ServiceRow),
    draw: u32,
) {
    memory.set_random(draw);
    let name = frontend(key);
    match connect(memory, key) {
        Verdict::Backend { addr, port } => {
            let reached = reached(tables, row).into_iter();
            let mut rows = reached.filter_map(|index| tables.backends.get(&index));
            let is_there = rows.any(|row| (row.addr, row.port) == (addr, port));
            let at = SocketAddr::new(addr.into(), u16::from_be(port));
            assert!(is_there, "{name} leads to {at}");
        }
        Verdict::Refused => assert!(
            row.has_limits() || !tables.leads_to_active(row),
            "{name} is refused"
        ),
        Verdict::Untouched => panic!("{} is untouched", socket_address(key.addr, key.port)),
    }
}
