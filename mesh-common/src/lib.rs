//! What the kernel programs and the agent agree on, and the decisions themselves.
//!
//! ```text
//! abi ── rows of the kernel maps          connect ── service → slot → backend
//! addr ── one address type for v4 and v6  balance ── which slot
//! counter ── every number we count        send ─── the same for datagrams that stay with their endpoint
//! kernel ─── what a decision may ask      reply ── which address a program is shown
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
pub mod kernel;
mod pick;
pub mod reply;
pub mod send;
