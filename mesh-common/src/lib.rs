//! The rows that the kernel programs and the agent share, and the decisions themselves.
//!
//! Data flows from the top to the bottom, and a module imports only modules above it:
//!
//! ```text
//! the ABI              abi           rows of the kernel maps
//!                      addr          one address type for IPv4 and IPv6
//!                      atomic, hash  words that several CPUs write, hashes of words
//!                      counter       counters of a service
//! what a decision      kernel        the maps, the clock, the calling socket
//! reads and writes     filter        addresses that can be a frontend
//!                      client        the cgroup for which a connect counts
//!                      quota         rows that one client may have in shared tables
//! the state of         occupancy     sockets that hold a backend, reservations
//! a backend            ejection      outlier ejection, for one client
//!                      agreement     the same for all clients of the node
//!                      evidence      both, as one client sees them
//!                      latency       latencies of a client's connections
//!                      status        whether the backend takes a connection now
//! the choice           balance       policies: the slot, the cost of a backend
//!                      tiers         slots of equally near backends
//!                      two_choices   the less loaded of two draws
//!                      walk          the way through all slots of all tiers
//!                      search        a backend when the first choice is not usable
//!                      affinity      the backend to which a client is bound
//!                      limits        connections of a service and of one client
//!                      pick          affinity, first choice, then search
//! the outcome          outcome       effect of a connect on its backend
//!                      socket        from the SYN to the end of a connection
//! the answer           reply         the address that a program sees for its peer
//!                      connect       service → slot → backend
//!                      flows         endpoints of a UDP socket
//!                      datagram      connect, for each datagram
//!                      settle        corrections that the agent requests
//! on the host          host          rows in memory, over which all of the above runs
//! ```
//!
//! Everything here is `no_std`, allocation-free and bounded, so that the verifier accepts it; the
//! same code runs on the host under test and in `meshctl`.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "see `atomic`")
)]

#[cfg(any(test, feature = "host"))]
extern crate std;

pub mod abi;
pub mod addr;
pub mod affinity;
pub mod agreement;
pub mod atomic;
pub mod balance;
pub mod client;
pub mod connect;
pub mod counter;
pub mod datagram;
pub mod ejection;
pub mod evidence;
pub mod filter;
pub mod flows;
pub mod hash;
#[cfg(any(test, feature = "host"))]
pub mod host;
pub mod kernel;
pub mod latency;
pub mod limits;
pub mod occupancy;
pub mod outcome;
pub mod pick;
pub mod quota;
pub mod reply;
pub mod search;
pub mod settle;
pub mod socket;
pub mod status;
pub mod sum;
mod tiers;
mod two_choices;
pub mod walk;
