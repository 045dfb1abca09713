//! The programs need nothing of the distribution that they run on.

use std::{fs, process::Command};

use mesh_tests::{binary, command_result::CommandResult, node::PATIENCE, requirements};

const PROGRAMS: [&str; 2] = ["mesh-agent", "meshctl"];

#[test]
fn programs_run_where_there_is_nothing_else() {
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

/// Names of users and hosts are looked up by libraries that are loaded at run time, which a static
/// program cannot count on. meshctl completes paths below `~`, and looks it up where HOME is unset.
#[test]
fn the_agent_looks_up_no_names_of_users_or_hosts() {
    let program = fs::read(binary::find("mesh-agent")).expect("it was found");
    let word = b"/etc/nsswitch.conf";
    let mut places = program.windows(word.len());
    assert!(!places.any(|window| window == word));
}
