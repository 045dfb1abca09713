//! Finds out what is wrong from facts about agent, kernel and node. Pure: the agent and `meshctl`
//! gather the facts.
//!
//! ```text
//! AgentFacts ──► agent: self-probe, programs of others, maps, features ──┐
//! NodeFacts  ──► node: kernel, clock, permissions, cgroups ──────────────┼──► findings, each with its remedy
//!            └─► neighbours: kube-proxy, Cilium, Calico ─────────────────┘
//! ```

mod agent;
mod facts;
mod neighbours;
mod node;

pub use self::{
    agent::agent,
    facts::{
        AgentFacts, CgroupFacts, ClockFacts, HookPrograms, Neighbour, NodeFacts, Path, PathKind,
        Program,
    },
    node::node,
};
