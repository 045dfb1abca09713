//! Which crates may depend on what: the pure crate on no runtime and no system calls, and only the
//! daemon on the kernel programs.

use std::path::Path;

use serde_json::Value;

use super::{Sources, files, modules, packages, paths::Paths, report};

/// The pure crate, and its root file.
const PURE: &str = "mesh-core";
const PURE_ROOT: &str = "mesh-agent/core/src/lib.rs";

/// Runtimes and system calls: packages, and paths in code.
const IMPURE: &[&str] = &["aya", "libc", "nix", "tokio"];
const IMPURE_PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
];

/// The kernel programs, and the daemon that contains them.
const PROGRAMS: &str = "mesh-ebpf";
const DAEMON: &str = "mesh-agent";

/// Returns the dependencies that a package must not have, those of its tests and of its build script
/// included.
fn wrong_dependencies(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().expect("a package has a name");
    let list = package["dependencies"].as_array();
    let dependencies = list.expect("a package has a list of dependencies");
    let names = dependencies.iter().filter_map(|it| it["name"].as_str());
    let is_wrong = |dependency: &&str| {
        (name == PURE && IMPURE.contains(dependency))
            || *dependency == DAEMON
            || (*dependency == PROGRAMS && name != DAEMON)
    };
    names
        .filter(is_wrong)
        .map(|dependency| format!("{name} depends on {dependency}"))
        .collect()
}

/// Returns the paths in a crate that lead to the outside, those of tests excepted.
fn impure_paths(sources: &Sources, root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for module in modules::read(sources, root).modules.values() {
        for (path, line) in Paths::of(&module.items).all {
            let path = path.join("::");
            if is_impure(&path) {
                found.push(format!("{}:{line}: {path}", module.file.display()));
            }
        }
    }
    found
}

fn is_impure(path: &str) -> bool {
    let mut impure = IMPURE.iter().chain(IMPURE_PATHS);
    impure.any(|to| path.strip_prefix(to).is_some_and(is_end))
}

/// Whether the name before this rest of a path is over.
fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with("::")
}

#[test]
fn only_the_daemon_depends_on_the_kernel_programs_and_the_pure_crate_on_no_system() {
    let wrong: Vec<String> = packages().iter().flat_map(wrong_dependencies).collect();
    let title = "dependencies that make a crate need more than it should: see ARCHITECTURE.md";
    assert!(wrong.is_empty(), "{}", report(title, &wrong));
}

#[test]
fn pure_crate_names_no_runtime_and_no_system_call() {
    let wrong = impure_paths(&files("rs"), Path::new(PURE_ROOT));
    let title = "system calls in the pure crate: make what they return an argument";
    assert!(wrong.is_empty(), "{}", report(title, &wrong));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::made_up, *};

    #[test]
    fn system_calls_are_found_in_imports_and_expressions_except_in_tests() {
        let code = "use std::{collections::BTreeMap, fs::File, net::{SocketAddr, TcpStream}};\n\
                    fn f() { std::process::id(); nix::unistd::getpid(); std::osmium::f(); }\n\
                    #[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let sources = made_up([("c/src/lib.rs", code)]);
        let expected = [
            "c/src/lib.rs:1: std::fs::File",
            "c/src/lib.rs:1: std::net::TcpStream",
            "c/src/lib.rs:2: std::process::id",
            "c/src/lib.rs:2: nix::unistd::getpid",
        ];
        assert_eq!(impure_paths(&sources, Path::new("c/src/lib.rs")), expected);
    }

    #[test]
    fn dependencies_against_the_flow_are_found() {
        let package = |name: &str, dependencies: &[&str]| {
            let dependencies: Vec<Value> =
                dependencies.iter().map(|it| json!({"name": it})).collect();
            wrong_dependencies(&json!({"name": name, "dependencies": dependencies}))
        };
        assert_eq!(
            package("mesh-core", &["serde", "tokio"]),
            ["mesh-core depends on tokio"]
        );
        assert_eq!(
            package("meshctl", &["tokio", "mesh-agent", "mesh-ebpf"]),
            [
                "meshctl depends on mesh-agent",
                "meshctl depends on mesh-ebpf"
            ]
        );
        assert_eq!(
            package("mesh-agent", &["aya", "mesh-ebpf", "mesh-core"]),
            Vec::<String>::new()
        );
    }
}
