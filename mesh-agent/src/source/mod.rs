//! Where configuration comes from.

pub mod dir;
