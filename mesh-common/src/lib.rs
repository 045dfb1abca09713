//! What the kernel programs and the agent agree on, and the decisions themselves.
//!
//! ```text
//! abi ── rows of the kernel maps           connect ── service → slot → backend
//! addr ── one address type for v4 and v6   datagram ── the same for UDP, per flow
//! atomic ── words that several CPUs write  pick ── the first choice: affinity, policy, the next tier
//! occupancy ── sockets of a backend        search ── the walk over all tiers when that cannot be taken
//! counter ── the counters of a service     tiers ── slots of backends that are equally near
//! filter ── addresses that are no service  status ── whether a backend takes a connection now
//! flows ── services a UDP socket sends to  quota ── how much of the tables one client may have
//! settle ── what the agent has the kernel do
//! kernel ── what a decision may ask        affinity ── the backend that a client is bound to
//! reply ── which address is shown          balance ── what a policy asks for, which of two is less loaded
//! socket ── what a socket holds            ejection ── states of a backend whose connects fail
//! client ── the cgroup a connect counts for outcome ── how the outcome of a connect moves them
//! latency ── how long a client's connections take
//! limits ── places of a service, and a client's share of them
//! ```
//!
//! Everything here is `no_std`, allocation-free and bounded, so that the verifier accepts it; the
//! same code runs on the host under test and in `meshctl`.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "see `atomic`")
)]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod addr;
pub mod affinity;
pub mod agreement;
pub mod atomic;
pub mod balance;
pub mod client;
pub mod connect;
pub mod counter;
pub mod datagram;
pub mod ejection;
pub mod evidence;
pub mod filter;
pub mod flows;
mod hash;
pub mod kernel;
pub mod latency;
pub mod limits;
pub mod occupancy;
pub mod outcome;
pub mod pick;
pub mod quota;
pub mod reply;
pub mod search;
pub mod settle;
pub mod socket;
pub mod status;
mod tiers;
mod two_choices;
pub mod walk;
