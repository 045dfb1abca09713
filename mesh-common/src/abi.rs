//! The kernel ABI: names, sizes and rows of all maps, with explicit padding. Rows flow from the
//! agent to the kernel programs and back; each row names its writer. Any change here is a new
//! [`ABI_VERSION`].

mod backend;
pub mod capacity;
mod client;
mod flow;
pub mod maps;
mod service;
mod socket;
#[cfg(test)]
mod tests;

pub use self::{backend::*, client::*, flow::*, service::*, socket::*};

/// Version of the layout, a part of the pin path. Agents carry rows over from one version to the
/// next, and back when an agent is rolled back: a row grows at its end only, and zero in a new field
/// means what the older version did. A map whose rows change in another way gets a new name, or a
/// conversion in the agent.
pub const ABI_VERSION: u32 = 7;
