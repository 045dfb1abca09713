//! HAProxy as a sidecar: clients connect to it, and it connects to an endpoint with the fewest
//! connections.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use super::super::{
    process::{Process, find},
    services::{ENDPOINT_PORT, ENDPOINTS, SERVICE_PORT, endpoint, vip},
};
use crate::place::Place;

/// Port of the same services in its HTTP mode.
pub const HTTP_MODE_PORT: u16 = 81;

/// Name of its control socket.
pub const CONTROL: &str = "haproxy.sock";

/// Starts HAProxy for this number of services, and waits until it listens for the last one. Returns
/// nothing if it is not installed.
pub fn start(place: &Place, scratch: &Path, services: u32) -> Option<Process> {
    let file = scratch.join("haproxy.cfg");
    fs::write(&file, config(scratch, services))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut command = place.command(find("haproxy")?);
    command.arg("-db").arg("-f").arg(&file);
    let listens = (vip(services - 1), SERVICE_PORT);
    Some(Process::start(
        place,
        &mut command,
        &scratch.join("haproxy.log"),
        listens,
        Duration::from_secs(120),
    ))
}

/// Returns the configuration: every service in TCP mode, and the first also in HTTP mode.
pub fn config(scratch: &Path, services: u32) -> String {
    let control = scratch.join(CONTROL);
    let mut config = format!(
        "global\n  maxconn 4000\n  stats socket {} level admin\ndefaults\n  timeout connect 5s\n  timeout client 30s\n  \
         timeout server 30s\n",
        control.display()
    );
    listen(&mut config, "http", 0, HTTP_MODE_PORT);
    (0..services).for_each(|service| listen(&mut config, "tcp", service, SERVICE_PORT));
    config
}

fn listen(config: &mut String, mode: &str, service: u32, port: u16) {
    _ = writeln!(
        config,
        "listen {mode}{service}\n  mode {mode}\n  bind {}:{port}\n  balance leastconn",
        vip(service)
    );
    for number in 0..ENDPOINTS {
        _ = writeln!(
            config,
            "  server e{number} {}:{ENDPOINT_PORT}",
            endpoint(service, number)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_listens_and_the_first_speaks_http() {
        let config = config(Path::new("/x"), 2);
        assert_eq!(config.matches("mode http").count(), 1);
        assert!(config.contains("listen tcp1\n  mode tcp\n  bind 10.96.0.2:80\n"));
        assert!(config.contains("  server e9 10.128.0.20:8080\n"));
        assert!(config.contains("stats socket /x/haproxy.sock level admin\n"));
    }
}
