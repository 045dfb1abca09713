//! Names of contenders, parts and measures that several parts use.

use super::numbers::grouped;

/// Part that measures changes.
pub const CHANGES: &str = "changes";

/// Measure: time until all services are served, from a start without pins.
pub const FROM_NOTHING: &str = "from nothing";

/// Name of the contender without a mesh. All others are compared with it.
pub const DIRECT: &str = "direct";

/// Name of the contender with empty programs.
pub const EMPTY: &str = "empty program";

/// One UDP socket that connects repeatedly.
pub const UDP: &str = "UDP, one socket";

/// A new UDP socket for each connect.
pub const NEW_UDP: &str = "UDP, new sockets";

/// Connect, echo, close.
pub const TCP: &str = "TCP";

/// The same with both ends on one processor.
pub const TCP_ONE: &str = "TCP on one CPU";

/// Returns the name of the agent with this number of services.
pub fn mesh_name(services: u32) -> String {
    format!("mesh {}", grouped(f64::from(services)))
}
