//! The socket the CLI talks to.

pub mod types;
