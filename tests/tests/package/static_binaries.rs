//! The programs need no file of the distribution that they run on.

use std::{env, fs, path::Path, process::Command};

use mesh_tests::{binary, command_result::CommandResult, node::PATIENCE, requirements};

const PROGRAMS: [&str; 2] = ["mesh-agent", "meshctl"];

#[test]
fn programs_run_in_an_otherwise_empty_root() {
    requirements::privilege();
    for name in PROGRAMS {
        let ldd = CommandResult::of(Command::new("ldd").arg(binary::find(name)), PATIENCE);
        assert_eq!(ldd.stdout.trim(), "statically linked");
        let root = tempfile::tempdir().expect("room for a temporary directory");
        let copy = root.path().join(name);
        CommandResult::of(
            Command::new("cp").arg(binary::find(name)).arg(&copy),
            PATIENCE,
        )
        .expect_success();
        let mut command = Command::new("chroot");
        command
            .arg(root.path())
            .arg(format!("/{name}"))
            .arg("--help");
        let help = CommandResult::of(&mut command, PATIENCE).expect_success();
        assert!(help.stdout.contains(&format!("Usage: {name}")), "{help:#?}");
    }
}

#[test]
fn programs_name_no_directory_of_the_machine_that_built_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let source = source.expect("the tests lie in the repository");
    let home = env::var_os("HOME").expect("a home");
    for name in PROGRAMS {
        let program = fs::read(binary::find(name)).expect("it can be read");
        for directory in [source.as_os_str(), &home] {
            let text = [directory.as_encoded_bytes(), b"/"].concat();
            let at = program.windows(text.len()).position(|part| part == text);
            let around = at.map(|at| program[at..].escape_ascii().take(200).collect::<Vec<_>>());
            let around = around.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert_eq!(around, None, "{name}");
        }
    }
}
