//! The demo: a small shop on this machine, served by the agent that was just built.
//!
//! ```text
//! curl, bash, traffic ──► service address ──► kernel programs on the demo's cgroup ──► endpoint servers on loopback
//!  (in the cgroup)                                         ▲
//!                        site: copy of deploy/example ──► agent
//! ```
//!
//! Only processes in the demo's own cgroup are served. Everything is removed at the end, on Ctrl-C and
//! on error. What a killed demo leaves is removed by the next one.

mod acts;
mod agent;
mod client;
mod interrupt;
mod server;
mod shop;
mod site;
mod stage;
mod tally;
mod tell;
pub mod traffic;

use std::time::Instant;

use anyhow::bail;
use nix::unistd::geteuid;

use self::{interrupt::Interrupt, site::Site, tell::Tell};
use crate::{cargo, setup};

/// Builds the agent, runs the demo and cleans up. Fails when a result is not as expected.
pub fn run(keep: bool) -> anyhow::Result<()> {
    if !geteuid().is_root() {
        bail!("attaching programs to the kernel needs root: run `cargo xtask demo` as root");
    }
    setup::ensure(setup::DEMO)?;
    cargo::build_agent()?;

    let interrupt = Interrupt::watch()?;
    if Site::sweep()? > 0 {
        println!("removed what an earlier demo left behind");
    }
    let (site, start, mut tell) = (Site::of_this_process()?, Instant::now(), Tell::new());
    let played = site
        .create()
        .and_then(|()| acts::play(&site, &interrupt, &mut tell, keep));
    let cleaned = site.clean();
    played?;
    cleaned?;
    println!(
        "\nEverything is removed again. The demo took {:.1} s.",
        start.elapsed().as_secs_f64()
    );
    if !tell.broken().is_empty() {
        bail!("not as promised:\n  {}", tell.broken().join("\n  "));
    }
    Ok(())
}
