//! Reads limits of concurrent connections.

use std::num::NonZeroU32;

use crate::{
    model::Limits,
    source::{field::Field, value},
};

/// Reads `limits`.
pub fn read(field: Field<'_>) -> Option<Limits> {
    let field = field.mapping()?;
    field.only(&[
        "maxConnections",
        "maxConnectionsPerEndpoint",
        "maxConnectionsPerClientPercent",
    ]);
    let connections = field.or("maxConnections", None, limit);
    let connections_per_endpoint = field.or("maxConnectionsPerEndpoint", None, limit);
    let share = field.get("maxConnectionsPerClientPercent");
    let percent_per_client = of_connections(connections, share, "maxConnections", percent);
    Some(Limits {
        connections: connections?,
        connections_per_endpoint: connections_per_endpoint?,
        percent_per_client: percent_per_client?,
    })
}

/// Reads a limit above zero; a service that should take no connections has no endpoints.
pub fn limit(field: Field<'_>) -> Option<Option<NonZeroU32>> {
    value::number(field, NonZeroU32::MIN..=NonZeroU32::MAX).map(Some)
}

/// The share of one client, which says nothing without the number that it is a share of, called
/// `whole`.
pub fn of_connections<'a>(
    connections: Option<Option<NonZeroU32>>,
    share: Option<Field<'a>>,
    whole: &str,
    read: impl FnOnce(Field<'a>) -> Option<u8>,
) -> Option<Option<u8>> {
    let Some(field) = share else {
        return Some(None);
    };
    let percent = read(field)?;
    match connections {
        Some(None) => field.error(format!("{whole} is missing, which it is a percentage of")),
        _ => Some(Some(percent)),
    }
}

/// Of one client.
pub fn percent(field: Field<'_>) -> Option<u8> {
    value::number(field, 1..=100)
}
