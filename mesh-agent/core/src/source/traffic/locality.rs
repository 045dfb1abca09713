//! Reads the locality settings.

use crate::{
    model::{LocalityLevel, LocalityPolicy, SourcePreference},
    source::{
        document::Value,
        field::{Field, all},
        value,
    },
};

/// All levels, from the nearest to the farthest.
const LEVELS: [LocalityLevel; 4] = [
    LocalityLevel::Node,
    LocalityLevel::Zone,
    LocalityLevel::Region,
    LocalityLevel::Cloud,
];

/// Range of `spillFactor`, in 1/100.
const SPILL: std::ops::RangeInclusive<u16> = 101..=65_000;

/// Reads `locality`. Without `order` all levels apply.
pub fn read(field: Field<'_>) -> Option<LocalityPolicy> {
    let field = field.mapping()?;
    field.only(&["order", "failoverPercent", "spillFactor", "sources"]);
    let default = LocalityPolicy::default();
    let order = field.or("order", LEVELS.to_vec(), order);
    let failover = field.or("failoverPercent", default.failover_percent, |field| {
        value::number(field, 1..=100)
    });
    let spill = field.or("spillFactor", None, |field| spill(field).map(Some));
    let sources = field.or("sources", default.sources, sources);
    Some(LocalityPolicy {
        order: order?,
        failover_percent: failover?,
        spill: spill?,
        sources: sources?,
        ..default
    })
}

/// Reads which sources are preferred.
pub fn sources(field: Field<'_>) -> Option<SourcePreference> {
    match field.value().text() {
        Some("local") => Some(SourcePreference::Local),
        Some("remote") => Some(SourcePreference::Remote),
        Some("none") => Some(SourcePreference::None),
        _ => field.expected("local, remote or none"),
    }
}

/// Reads the levels of a text like `node, zone`; none if it is empty.
pub fn listed(field: Field<'_>) -> Option<Vec<LocalityLevel>> {
    let text = match field.value() {
        Value::Text(text) => text,
        Value::Null => return Some(Vec::new()),
        _ => return field.expected("levels with commas between"),
    };
    let levels = text.split(',').map(str::trim);
    distinct(all(levels.map(|word| {
        level(word)
            .map(|level| (field, level))
            .or_else(|| unknown(field))
    }))?)
}

fn order(field: Field<'_>) -> Option<Vec<LocalityLevel>> {
    if *field.value() != Value::List {
        return field.expected("a list of node, zone, region or cloud");
    }
    let level = |field: Field<'_>| field.value().text().and_then(level);
    distinct(all(field.children().map(|field| {
        level(field)
            .map(|level| (field, level))
            .or_else(|| unknown(field))
    }))?)
}

/// Returns the levels, and reports duplicates.
fn distinct(levels: Vec<(Field<'_>, LocalityLevel)>) -> Option<Vec<LocalityLevel>> {
    for (position, (field, level)) in levels.iter().enumerate() {
        if levels[..position]
            .iter()
            .any(|(_, earlier)| earlier == level)
        {
            return field.error(format!("{level} is listed twice"));
        }
    }
    Some(levels.into_iter().map(|(_, level)| level).collect())
}

fn level(word: &str) -> Option<LocalityLevel> {
    LEVELS.into_iter().find(|level| level.to_string() == word)
}

fn unknown<T>(field: Field<'_>) -> Option<T> {
    field.expected("node, zone, region or cloud")
}

fn spill(field: Field<'_>) -> Option<u16> {
    let factor = value::decimal(field, 2).and_then(|factor| u16::try_from(factor).ok());
    factor
        .filter(|factor| SPILL.contains(factor))
        .or_else(|| field.expected("a number from 1.01 to 650, with at most 2 decimals"))
}
