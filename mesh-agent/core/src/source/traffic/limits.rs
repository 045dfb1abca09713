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
    let percent_per_client = of_connections(
        [connections, connections_per_endpoint],
        share,
        "maxConnections or maxConnectionsPerEndpoint",
        percent,
    );
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

/// Reads the share of one client, which needs at least one of the limits that it is a share of,
/// called `names`.
pub fn of_connections<'a>(
    limits: [Option<Option<NonZeroU32>>; 2],
    share: Option<Field<'a>>,
    names: &str,
    read: impl FnOnce(Field<'a>) -> Option<u8>,
) -> Option<Option<u8>> {
    let Some(field) = share else {
        return Some(None);
    };
    let percent = read(field)?;
    if limits == [Some(None); 2] {
        return field.error(format!("{names} is missing, which it is a percentage of"));
    }
    Some(Some(percent))
}

/// Of one client.
pub fn percent(field: Field<'_>) -> Option<u8> {
    value::number(field, 1..=100)
}
