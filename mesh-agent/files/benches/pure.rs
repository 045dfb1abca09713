//! The pure parts by themselves: text to services, services to tables, tables to operations.
//! `cargo bench -p mesh-files`

use std::{fmt::Write as _, fs, net::Ipv4Addr, ops::Range, sync::Arc, time::Duration};

use divan::Bencher;
use mesh_core::{
    desired::{Base, Capacity, Earlier, Tables, World, compile, plan::diff},
    model::{Balance, HashKey, Update},
};
use mesh_files::dir::{self, DirectoryReader};
use tempfile::TempDir;

const CAPACITY: Capacity = Capacity {
    services: 1 << 17,
    slots: 1 << 21,
    backends: 1 << 20,
    sockets: 1,
    sockets_per_client: 1,
};

/// Services with ten endpoints each.
const SERVICES: [u32; 3] = [100, 1_000, 10_000];

/// Endpoints of one service.
const ENDPOINTS: [u32; 3] = [10, 100, 1_000];

fn main() {
    // The largest take a second; a hundred of them would take minutes.
    divan::Divan::default()
        .max_time(Duration::from_secs(3))
        .config_with_args()
        .main();
}

/// A directory with one file of `services` services; dropped with it.
fn directory(services: u32, endpoints: u32) -> TempDir {
    let directory = tempfile::tempdir().expect("room for a directory");
    write(&directory, 0, text(0..services, endpoints));
    directory
}

fn write(directory: &TempDir, number: u32, text: String) {
    let path = directory.path().join(format!("{number}.yaml"));
    let new = path.with_extension("new");
    fs::write(&new, text).expect("room for a file");
    fs::rename(&new, &path).expect("the directory is writable");
}

/// Returns a file with these services.
fn text(services: Range<u32>, endpoints: u32) -> String {
    let address = |first, number: u32| Ipv4Addr::from(u32::from(first) + number);
    let mut text = String::from("services:\n");
    for service in services {
        let vip = address(Ipv4Addr::new(10, 96, 0, 1), service);
        _ = writeln!(
            text,
            "- name: s{service}\n  namespace: bench\n  address: {vip}\n  ports: [{{port: 80}}]\n  endpoints:"
        );
        for number in 0..endpoints {
            let address = address(Ipv4Addr::new(10, 128, 0, 1), service * endpoints + number);
            _ = writeln!(
                text,
                "  - {{address: {address}, port: 8080, weight: {}}}",
                number % 7 + 1
            );
        }
    }
    text
}

fn read(directory: &TempDir) -> Update {
    let update = dir::read(&[directory.path().to_path_buf()]);
    assert!(update.errors.is_empty(), "{:?}", update.errors);
    update
}

fn world(services: u32, endpoints: u32) -> World {
    World {
        services: read(&directory(services, endpoints)).services,
        complete: true,
        ..World::default()
    }
}

fn tables(world: &World, current: &Tables) -> Tables {
    compile(world, Duration::ZERO, current, CAPACITY).expect("there is room")
}

/// The last endpoint of one service is gone.
fn changed(world: &World) -> World {
    let mut changed = world.clone();
    let (name, service) = world
        .services
        .iter()
        .nth(world.services.len() / 2)
        .expect("there are services");
    let mut service = Arc::clone(service);
    Arc::make_mut(&mut service).ports[0].endpoints.pop();
    changed.services.insert(name.clone(), service);
    changed
}

/// YAML of a directory to checked services, file system included.
#[divan::bench(args = SERVICES)]
fn read_yaml(bencher: Bencher<'_, '_>, services: u32) {
    let directory = directory(services, 10);
    bencher.bench(|| read(&directory));
}

/// 10,000 services in this number of files, after an endpoint at the end of the first file changed.
#[divan::bench(args = [1, 100])]
fn read_one_change(bencher: Bencher<'_, '_>, files: u32) {
    let (directory, services) = (tempfile::tempdir().expect("room for a directory"), 10_000);
    let a_file = services / files;
    for number in 0..files {
        write(
            &directory,
            number,
            text(number * a_file..(number + 1) * a_file, 10),
        );
    }
    let mut reader = DirectoryReader::new([directory.path().to_path_buf()], false);
    reader.read();
    let mut weight = 0;
    bencher
        .with_inputs(|| {
            weight += 1;
            let last = format!("  - {{address: 10.127.0.1, port: 8080, weight: {weight}}}\n");
            write(&directory, 0, text(0..a_file, 10) + &last);
        })
        .bench_local_values(|()| reader.read());
}

/// Tables where there were none.
#[divan::bench(args = SERVICES)]
fn compile_all(bencher: Bencher<'_, '_>, services: u32) {
    let world = world(services, 10);
    bencher.bench(|| tables(&world, &Tables::default()));
}

/// Tables after one endpoint of all has left.
#[divan::bench(args = SERVICES)]
fn compile_one_change(bencher: Bencher<'_, '_>, services: u32) {
    let world = world(services, 10);
    let (current, next) = (tables(&world, &Tables::default()), changed(&world));
    let earlier = Earlier {
        world: &world,
        at: Duration::ZERO,
        tables: &current,
    };
    let base = Base {
        current: &current,
        earlier: Some(earlier),
    };
    bencher.bench(|| compile(&next, Duration::ZERO, base, CAPACITY));
}

/// Operations for everything.
#[divan::bench(args = SERVICES)]
fn plan_all(bencher: Bencher<'_, '_>, services: u32) {
    let desired = tables(&world(services, 10), &Tables::default());
    bencher.bench(|| diff(&Tables::default(), &desired));
}

/// Operations for one endpoint that has left.
#[divan::bench(args = SERVICES)]
fn plan_one_change(bencher: Bencher<'_, '_>, services: u32) {
    let world = world(services, 10);
    let current = tables(&world, &Tables::default());
    let desired = tables(&changed(&world), &current);
    bencher.bench(|| diff(&current, &desired));
}

/// Slots of one service with weights.
#[divan::bench(args = ENDPOINTS)]
fn slots_by_weight(bencher: Bencher<'_, '_>, endpoints: u32) {
    let world = world(1, endpoints);
    bencher.bench(|| tables(&world, &Tables::default()));
}

/// Slots of one service by Maglev's table.
#[divan::bench(args = ENDPOINTS)]
fn slots_by_maglev(bencher: Bencher<'_, '_>, endpoints: u32) {
    let mut world = world(1, endpoints);
    for (name, service) in world.services.clone().iter() {
        let mut service = Arc::clone(service);
        Arc::make_mut(&mut service).traffic.balance = Balance::ConsistentHash(HashKey::default());
        world.services.insert(name.clone(), service);
    }
    bencher.bench(|| tables(&world, &Tables::default()));
}
