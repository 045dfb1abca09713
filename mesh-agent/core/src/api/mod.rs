//! What the control socket of the agent says: the types of requests and answers, and the answers to
//! names that do not exist.

pub mod suggestions;
pub mod types;
