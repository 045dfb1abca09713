//! The language of the control socket: the types of requests and answers, and the answers to names
//! that do not exist.

pub mod suggestions;
pub mod types;
