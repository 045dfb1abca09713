//! Runs nginx as the HTTP endpoint: two processes that share a port. They have no master process, so
//! they end with the bench even if it is killed.

use std::{fs, path::Path, time::Duration};

use super::{
    process::{Process, find},
    services::{ENDPOINT_PORT, endpoint},
};
use crate::place::Place;

/// Starts nginx, if it is installed.
pub fn start(place: &Place, scratch: &Path) -> Option<Vec<Process>> {
    let program = find("nginx")?;
    let start = |number: usize| {
        let directory = scratch.join(format!("nginx-{number}"));
        fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let file = directory.join("nginx.conf");
        fs::write(&file, config()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut command = place.command(&program);
        command
            .arg("-p")
            .arg(&directory)
            .arg("-c")
            .arg(&file)
            .args(["-e", "error.log"]);
        let listens = (endpoint(0, 0), ENDPOINT_PORT);
        Process::start(
            place,
            &mut command,
            &directory.join("output.log"),
            listens,
            Duration::from_secs(10),
        )
    };
    Some((0..2).map(start).collect())
}

fn config() -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {kind};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{ worker_connections 4096; }}\nhttp {{\n{temporary}  \
         access_log off;\n  keepalive_requests 1000000000;\n  server {{\n    listen {ENDPOINT_PORT} reuseport \
         backlog=4096;\n    location / {{ return 200 \"!\"; }}\n  }}\n}}\n"
    )
}
