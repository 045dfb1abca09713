//! Clients of several tenants on one node: what one of them does to itself is not done to the others.

mod attacks;
mod identity;
mod latency;
mod quotas;
mod votes;
mod ways;
