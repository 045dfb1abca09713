//! Scenarios on a real kernel. Each file is one subject; each test is one sentence.

mod auto_address;
mod behaviours;
mod bpftool;
mod checked;
mod cli;
mod drift;
mod files;
mod harness;
mod kubernetes;
mod load;
mod metrics;
mod missing;
mod mistakes;
mod near;
mod odd;
mod participants;
mod pods;
mod programs;
mod restart;
mod ramps;
mod scale;
mod second_agent;
mod tracked;
mod truncation;
mod uninstall;
mod unknown;
