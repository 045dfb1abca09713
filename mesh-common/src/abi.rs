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

/// Part of the pin path: an agent never opens the maps of another layout.
pub const ABI_VERSION: u32 = 8;
