//! Scenarios on a real kernel. Each file is one subject; each test is one sentence.

mod auto_address;
mod behaviours;
mod bpftool;
mod cli;
mod drift;
mod files;
mod harness;
mod kubernetes;
mod load;
mod metrics;
mod missing;
mod mistakes;
mod odd;
mod participants;
mod pods;
mod programs;
mod restart;
mod scale;
mod second_agent;
mod tracked;
mod truncation;
mod uninstall;
mod unknown;
