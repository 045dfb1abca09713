//! The bill of materials: the crates that the programs are made of, with licence and checksum, in
//! the format of CycloneDX.
//!
//! Written without the crate `cyclonedx-bom`: cargo has the list, and the format is one object for
//! each crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::release::Release;
use crate::{cargo::cargo, run, workspace};

/// One crate.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Crate {
    name: String,
    version: String,
    /// SPDX expression.
    license: String,
}

/// Returns the document, in bytes that depend on the sources only.
pub fn list(release: &Release) -> anyhow::Result<String> {
    let crates: BTreeSet<_> = run::read(&mut tree())?
        .lines()
        // Between the trees of two packages.
        .filter(|line| !line.is_empty())
        .map(|line| read(line).with_context(|| format!("cargo tree says {line:?}")))
        .collect::<anyhow::Result<_>>()?;
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock"))?;
    let checksums = checksums(&lock);
    let mut components = vec![c_library()?, standard_library()?];
    components.extend(crates.iter().map(|it| component(it, &checksums)));
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.created()?,
            "component": {
                "type": "application",
                "name": "mesh-agent",
                "version": release.version,
                "licenses": [{ "expression": "Apache-2.0 OR MIT" }],
            },
        },
        "components": components,
    });
    document.sort_all_objects();
    Ok(format!("{document:#}\n"))
}

/// Lists the crates of both programs and of the kernel programs.
fn tree() -> Command {
    let mut tree = cargo(&["tree", "--locked", "--edges", "normal,no-proc-macro"]);
    tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]);
    tree.args(["mesh-agent", "meshctl", "mesh-ebpf"].map(|name| format!("--package={name}")));
    tree
}

/// `aya v0.14.0\tMIT OR Apache-2.0`, with a path behind the version for our own.
fn read(line: &str) -> Option<Crate> {
    let (package, license) = line.split_once('\t')?;
    let mut words = package.split(' ');
    Some(Crate {
        name: words.next()?.to_owned(),
        version: words.next()?.strip_prefix('v')?.to_owned(),
        // The old form of a choice.
        license: license.replace('/', " OR "),
    })
}

/// Returns the checksums in a lock file by name and version.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let field = |name: &str| {
                let mut lines = package.lines().filter_map(|line| line.split_once(" = "));
                lines.find_map(|(key, value)| (key == name).then(|| value.trim_matches('"')))
            };
            Some(((field("name")?, field("version")?), field("checksum")?))
        })
        .collect()
}

fn component(it: &Crate, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let Crate {
        name,
        version,
        license,
    } = it;
    let checksum = checksums.get(&(name.as_str(), version.as_str()));
    let hashes: Vec<_> = checksum
        .map(|checksum| json!({ "alg": "SHA-256", "content": checksum }))
        .into_iter()
        .collect();
    json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
        "licenses": [{ "expression": license }],
        "hashes": hashes,
    })
}

/// The GNU C library that the programs are linked with.
fn c_library() -> anyhow::Result<Value> {
    // `ldd (Debian GLIBC 2.36-9+deb12u14) 2.36`
    let said = run::read(Command::new("ldd").arg("--version"))?;
    let line = said.lines().next().context("ldd says its version")?;
    let version = line
        .split_once("GLIBC ")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or_else(
            || line.rsplit(' ').next().unwrap_or(line),
            |(version, _)| version,
        );
    Ok(json!({
        "type": "library",
        "name": "glibc",
        "version": version,
        "purl": format!("pkg:generic/glibc@{version}"),
        "licenses": [{ "expression": "LGPL-2.1-or-later" }],
    }))
}

/// Rust's standard library, which comes with the compiler.
fn standard_library() -> anyhow::Result<Value> {
    let said = run::read(
        Command::new("rustc")
            .arg("--version")
            .current_dir(workspace::root()),
    )?;
    let version = said
        .split(' ')
        .nth(1)
        .with_context(|| format!("rustc --version says {said:?}"))?;
    Ok(json!({
        "type": "library",
        "name": "rust-std",
        "version": version,
        "purl": format!("pkg:generic/rust-std@{version}"),
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_read_from_a_line_of_cargo_tree() {
        let read = |line| read(line).map(|it| (it.name, it.version, it.license));
        let expected = |name: &str, version: &str, license: &str| {
            Some((name.to_owned(), version.to_owned(), license.to_owned()))
        };
        assert_eq!(
            read("ipnet v2.1.0\tMIT/Apache-2.0"),
            expected("ipnet", "2.1.0", "MIT OR Apache-2.0")
        );
        assert_eq!(
            read("meshctl v0.1.0 (/src/mesh-agent/ctl)\tMIT"),
            expected("meshctl", "0.1.0", "MIT")
        );
        assert_eq!(read("warning: unused"), None);
    }

    #[test]
    fn checksums_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"aya\"\nversion = \"0.14.0\"\nchecksum = \"c0ffee\"\n";
        assert_eq!(
            checksums(lock),
            BTreeMap::from([(("aya", "0.14.0"), "c0ffee")])
        );
    }
}
