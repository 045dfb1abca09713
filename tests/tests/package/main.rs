//! Tests of the packages, made from the binaries under test: on a clean Debian with its own systemd, and
//! in containers. Each test makes the packages that it needs.
//!
//! ```text
//! packages ──► machine    (namespaces, a clean Debian, systemd)     ──► debian, archive
//!          └─► container  (namespaces, crun, what the DaemonSet asks) ──► image
//! ```

mod archive;
mod container;
mod daemonset;
mod debian;
mod image;
mod machine;
mod namespaces;
mod packages;
mod reproducible;
mod static_binaries;
