//! Golden cases: a directory of manifests in, tables and decisions out.
//!
//! Each directory below `golden/` holds manifests and `expected.txt`: every row of the compiled tables, then for every
//! frontend which endpoint the kernel's own decision code gives, over a thousand evenly spread random numbers. After a
//! wanted change run with `UPDATE_GOLDEN=1` and read the difference.

#![expect(clippy::unwrap_used, reason = "a case that cannot be read is a failed test")]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mesh_agent::{
    dataplane::{Dataplane as _, memory::Memory},
    desired::{Tables, World, compile, frontend, plan::diff, vips},
    source::dir,
};
use mesh_common::connect::{Verdict, connect};

/// Random numbers tried per frontend.
const DRAWS: u32 = 1000;

#[test]
fn manifests_lead_to_these_tables_and_decisions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut cases: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
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
    (actual != expected).then(|| format!("{}\n--- expected\n{expected}\n+++ actual\n{actual}", case.display()))
}

fn outcome(case: &Path) -> String {
    let update = dir::read(&[case.to_owned()]);
    let mut text = String::new();
    for error in &update.errors {
        writeln!(text, "error {}", relative(&error.to_string(), case)).unwrap();
    }
    for note in &update.notes {
        writeln!(text, "note {}", relative(&note.to_string(), case)).unwrap();
    }
    let pools = ["240.96.0.0/24".parse().unwrap(), "fd00:96::/112".parse().unwrap()];
    let vips = vips::allocate(&update.services, &pools, &vips::Vips::new(), true).unwrap();
    let world = World {
        services: update.services,
        vips,
        complete: true,
        node_name: "node-a".to_owned(),
        node_addresses: ["127.0.0.1", "192.0.2.1", "::1"].map(|address| address.parse().unwrap()).into(),
        ..World::default()
    };
    let tables = compile(&world, Duration::ZERO, &Tables::default(), Memory::CAPACITY).unwrap();
    let mut memory = Memory::default();
    memory.apply(&diff(&Tables::default(), &tables)).unwrap();
    write!(text, "{tables}{}", decisions(&memory, &tables)).unwrap();
    text
}

fn relative(text: &str, case: &Path) -> String {
    text.replace(&format!("{}/", case.display()), "")
}

fn decisions(memory: &Memory, tables: &Tables) -> String {
    let mut text = String::new();
    for key in tables.services.keys() {
        let mut answers: BTreeMap<String, u32> = BTreeMap::new();
        for draw in 0..DRAWS {
            memory.set_random((u32::MAX / DRAWS) * draw);
            *answers.entry(answer(connect(memory, key))).or_default() += 1;
        }
        writeln!(text, "connect {}", frontend(key)).unwrap();
        for (answer, count) in answers {
            writeln!(text, "  {:5.1} % {answer}", f64::from(count) * 100.0 / f64::from(DRAWS)).unwrap();
        }
    }
    text
}

fn answer(verdict: Verdict) -> String {
    match verdict {
        Verdict::Backend { addr, port } => SocketAddr::new(addr.into(), u16::from_be(port)).to_string(),
        Verdict::Refused => "refused".to_owned(),
        Verdict::Untouched => "untouched".to_owned(),
    }
}
