//! Names of contenders, parts and measures that several parts use.

use super::numbers::grouped;

/// Part that measures changes.
pub const CHANGES: &str = "changes";

/// From nothing to all services.
pub const FROM_NOTHING: &str = "from nothing";

/// Name of the contender that all are compared with.
pub const DIRECT: &str = "direct";

/// Name of the contender that does nothing.
pub const EMPTY: &str = "empty program";

/// The same UDP socket again and again.
pub const UDP: &str = "UDP, one socket";

/// A UDP socket for each connect.
pub const NEW_UDP: &str = "UDP, new sockets";

/// Connect, echo, close.
pub const TCP: &str = "TCP";

/// The same, both ends on one processor.
pub const TCP_ONE: &str = "TCP on one CPU";

/// Name of the agent with this number of services.
pub fn mesh_name(services: u32) -> String {
    format!("mesh {}", grouped(f64::from(services)))
}
