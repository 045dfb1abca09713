//! The programs need no file of the distribution that they run on.

use std::process::Command;

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
