//! Clients of several tenants on one node: none can affect the others.

mod agreement;
mod attack_variants;
mod attacks;
mod identity;
mod latency;
mod quotas;
