//! What the kernel programs and the agent agree on, and the decisions themselves.
//!
//! ```text
//! abi ── rows of the kernel maps          connect ── service → slot → backend
//! addr ── one address type for v4 and v6  balance ── which slot
//! counter ── every number we count        reply ── what getpeername shows
//! ```
//!
//! Everything here is `no_std`, allocation-free and bounded, so that the verifier accepts it; the same code runs on
//! the host under test and in `meshctl`.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod addr;
pub mod balance;
pub mod connect;
pub mod counter;
pub mod reply;
