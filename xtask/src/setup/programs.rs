//! Programs that the tests and the demo run.

use super::{Step, debian};
use crate::run;

pub const STEP: Step = Step {
    name: "programs for tests and demo",
    find,
    install,
};

/// What making packages needs.
pub const DPKG: Step = Step {
    name: "dpkg-deb",
    find: || run::which("dpkg-deb").map(|path| path.display().to_string()),
    install: || debian::install(&["dpkg"]),
};

/// What tests of packages need: an OCI runtime, a reader of images, and a tool that makes a clean Debian.
pub const PACKAGES: Step = Step {
    name: "programs for tests of packages",
    find: || {
        missing(&FOR_PACKAGES)
            .is_empty()
            .then(|| FOR_PACKAGES.map(|(program, _)| program).join(", "))
    },
    install: || debian::install(&missing(&FOR_PACKAGES)),
};

const FOR_PACKAGES: [(&str, &str); 3] = [
    ("crun", "crun"),
    ("mmdebstrap", "mmdebstrap"),
    ("skopeo", "skopeo"),
];

/// Name of the program and the Debian package that has it. None of these packages starts a daemon
/// when installed, as `apache2`, `dnsmasq` and `redis-server` would.
const PROGRAMS: [(&str, &str); 9] = [
    ("bash", "bash"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("bpftool", "bpftool"),
    ("apache2", "apache2-bin"),
    ("dnsmasq", "dnsmasq-base"),
    ("dig", "bind9-dnsutils"),
    ("redis-cli", "redis-tools"),
    ("systemd-analyze", "systemd"),
];

fn find() -> Option<String> {
    missing(&PROGRAMS)
        .is_empty()
        .then(|| PROGRAMS.map(|(program, _)| program).join(", "))
}

fn install() -> anyhow::Result<()> {
    debian::install(&missing(&PROGRAMS))
}

/// Returns the packages of the missing programs.
pub fn missing(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    programs
        .iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(_, package)| *package)
        .collect()
}

/// Also looks in `/usr/sbin`, which may not be in `PATH`.
fn find_program(program: &str) -> Option<std::path::PathBuf> {
    run::which(program).or_else(|| {
        Some(std::path::Path::new("/usr/sbin").join(program)).filter(|file| file.is_file())
    })
}
