//! Texts that the agent keeps for the next agent: the addresses of `auto` services, and what
//! operators set. Both are JSON. The stored form of a file of services is in
//! [`source::last_good`](crate::source::last_good).

pub mod addresses;
pub mod overrides;
