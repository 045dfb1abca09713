//! Reads limits of concurrent connections.

use std::num::NonZeroU32;

use crate::{
    model::Limits,
    source::{field::Field, value},
};

/// Reads `limits`.
pub fn read(field: Field<'_>) -> Option<Limits> {
    let field = field.mapping()?;
    field.only(&["maxConnections", "maxConnectionsPerEndpoint"]);
    let connections = field.or("maxConnections", None, limit);
    let connections_per_endpoint = field.or("maxConnectionsPerEndpoint", None, limit);
    Some(Limits { connections: connections?, connections_per_endpoint: connections_per_endpoint? })
}

/// Reads a limit above zero; a service that should take no connections has no endpoints.
pub fn limit(field: Field<'_>) -> Option<Option<NonZeroU32>> {
    value::number(field, NonZeroU32::MIN..=NonZeroU32::MAX).map(Some)
}
