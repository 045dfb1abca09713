//! What the kernel programs and the agent agree on, and the decisions themselves.
//!
//! ```text
//! abi ── rows of the kernel maps          connect ── service → slot → backend
//! addr ── one address type for v4 and v6  send ─── the same for datagrams that stay with their endpoint
//! atomic ── words that others write, too  pick ─── which backend: affinity, policy, limits, the next tier
//! counter ── every number we count        balance ── what a policy asks for, and which of two is less loaded
//! kernel ─── what a decision may ask      outlier ── who is left out because connects to it fail
//! reply ── which address is shown         life ── what a socket holds, from its connect to its end
//! filter ── which addresses are no service
//! ```
//!
//! Everything here is `no_std`, allocation-free and bounded, so that the verifier accepts it; the same code runs on
//! the host under test and in `meshctl`.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(target_arch = "bpf", expect(internal_features, reason = "see `atomic`"))]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod addr;
pub mod atomic;
pub mod balance;
pub mod connect;
pub mod counter;
pub mod filter;
pub mod kernel;
pub mod life;
pub mod outlier;
pub mod pick;
pub mod reply;
pub mod send;
