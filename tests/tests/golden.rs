//! Golden cases: manifests in, tables and decisions out.
//!
//! Each directory below `golden/` holds manifests and `expected.txt`: every row of the compiled
//! tables, then for every frontend the endpoints that the kernel's decision code chooses for a
//! thousand sockets. A case with directories has several sources. After an intended change, run
//! with `UPDATE_GOLDEN=1` and review the difference.

#![expect(
    clippy::unwrap_used,
    reason = "a case that cannot be read is a failed test"
)]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mesh_common::{
    abi::policy,
    connect::{Verdict, connect},
    socket,
};
use mesh_core::{
    dataplane::{Dataplane as _, memory::Memory},
    desired::{Tables, World, compile, contiguous_backends, frontend, plan::diff, vips},
    model::{Admission, Locality},
    source::{ServiceDir, frontend_owners::FrontendOwners},
};
use mesh_files::dir;

/// Number of sockets that connect to each frontend. Each has another client, and all stay open.
const SOCKETS: u32 = 1000;

#[test]
fn manifests_lead_to_these_tables_and_decisions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut cases: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(case: &Path) -> Option<String> {
    let actual = outcome(case);
    let file = case.join("expected.txt");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &actual).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    (actual != expected).then(|| {
        format!(
            "{}\n--- expected\n{expected}\n+++ actual\n{actual}",
            case.display()
        )
    })
}

fn outcome(case: &Path) -> String {
    let update = dir::read_paths(&directories(case), FrontendOwners::default(), admission());
    let mut text = String::new();
    for error in &update.errors {
        writeln!(text, "error {}", relative(&error.to_string(), case)).unwrap();
    }
    for note in &update.notes {
        writeln!(text, "note {}", relative(&note.to_string(), case)).unwrap();
    }
    let pools = [
        "240.96.0.0/24".parse().unwrap(),
        "fd00:96::/112".parse().unwrap(),
    ];
    let vips = vips::allocate(&update.services, &pools, &vips::Vips::new(), true).0;
    let world = World {
        services: update.services,
        vips,
        complete: true,
        node_name: "node-a".to_owned(),
        admission: admission().into(),
        node_addresses: ["127.0.0.1", "192.0.2.1", "::1"]
            .map(|address| address.parse().unwrap())
            .into(),
        locality: Locality {
            cloud: Some("cloud-a".into()),
            region: Some("region-a".into()),
            zone: Some("zone-a".into()),
        },
        ..World::default()
    };
    let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
    let mut memory = Memory::default();
    memory.apply(&diff(&Tables::default(), &tables)).unwrap();
    write!(
        text,
        "{}{}",
        summed_up(&tables),
        decisions(&mut memory, &tables)
    )
    .unwrap();
    text
}

/// Settings that allow an external address of the node for one service, and localhost for another.
fn admission() -> Admission {
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Admission {
        service_cidrs: networks(&["10.96.0.0/12", "240.0.0.0/24", "127.0.0.1/32"]),
        external_cidrs: networks(&[
            "192.0.2.0/24",
            "192.0.2.1/32",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "2001:db8::/32",
        ]),
        ..Admission::default()
    }
}

/// Returns the sources of a case: its directories, or the case itself if it has none. The directory
/// `local` is the local source, others are named sources.
fn directories(case: &Path) -> Vec<ServiceDir> {
    let entries = fs::read_dir(case)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut sources: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    sources.sort();
    if sources.is_empty() {
        return vec![case.to_owned().into()];
    }
    sources.into_iter().map(source).collect()
}

fn source(path: PathBuf) -> ServiceDir {
    match path.file_name().unwrap().to_str().unwrap() {
        "local" => path.into(),
        name => ServiceDir {
            name: Some(name.into()),
            path,
        },
    }
}

/// Returns the tables as text. A lookup table has one line for each backend instead of one for each
/// slot.
fn summed_up(tables: &Tables) -> String {
    let mut short = tables.clone();
    let mut text = String::new();
    let hashed = tables
        .services
        .values()
        .filter(|row| row.policy == policy::CONSISTENT_HASH);
    for row in hashed.filter(|row| row.slot_count > 0 && contiguous_backends(row).is_none()) {
        let range = row.slot_base..row.slot_base + row.slot_count;
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for slot in range.clone().filter_map(|index| short.slots.remove(&index)) {
            *counts.entry(slot.backend).or_default() += 1;
        }
        for (backend, count) in counts {
            writeln!(
                text,
                "slots {}..{} backend {backend} in {count}",
                range.start, range.end
            )
            .unwrap();
        }
    }
    format!("{short}{text}")
}

fn relative(text: &str, case: &Path) -> String {
    text.replace(&format!("{}/", case.display()), "")
}

fn decisions(memory: &mut Memory, tables: &Tables) -> String {
    let mut text = String::new();
    for key in tables.services.keys() {
        let mut answers: BTreeMap<String, u32> = BTreeMap::new();
        memory.set_seed(1);
        for socket in 0..SOCKETS {
            memory.set_socket(socket.into());
            memory.set_client(socket.into());
            *answers.entry(answer(connect(memory, key))).or_default() += 1;
            socket::syn_sent(memory, socket.into());
        }
        for socket in 0..SOCKETS {
            memory.set_socket(socket.into());
            socket::released(memory, socket.into(), || false);
            memory.close(socket.into());
        }
        writeln!(text, "connect {}", frontend(key)).unwrap();
        for (answer, count) in answers {
            writeln!(
                text,
                "  {:5.1} % {answer}",
                f64::from(count) * 100.0 / f64::from(SOCKETS)
            )
            .unwrap();
        }
    }
    text
}

fn answer(verdict: Verdict) -> String {
    match verdict {
        Verdict::Backend { addr, port } => {
            SocketAddr::new(addr.into(), u16::from_be(port)).to_string()
        }
        Verdict::Refused => "refused".to_owned(),
        Verdict::Untouched => "untouched".to_owned(),
    }
}
