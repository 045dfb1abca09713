//! The addresses of `auto` services as text: `{"namespace/name": ["240.96.0.7"]}`.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{desired::vips::Vips, model::ServiceName};

/// Returns the text of these addresses.
pub fn print(vips: &Vips) -> Vec<u8> {
    let entries: BTreeMap<String, &Vec<IpAddr>> = vips
        .iter()
        .map(|(name, ips)| (name.to_string(), ips))
        .collect();
    serde_json::to_vec_pretty(&entries).expect("a map with string keys")
}

/// Parses the text. Entries that name no service are left out.
pub fn parse(text: &[u8]) -> serde_json::Result<Vips> {
    let entries: BTreeMap<String, Vec<IpAddr>> = serde_json::from_slice(text)?;
    let parsed = entries.into_iter().filter_map(|(name, addresses)| {
        let (namespace, name) = name.split_once('/')?;
        Some((
            ServiceName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            addresses,
        ))
    });
    Ok(parsed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_without_a_namespace_is_left_out() {
        let text = br#"{"cart": ["240.96.0.1"], "shop/cart": ["240.96.0.7", "fd00::7"]}"#;
        let name = ServiceName {
            namespace: "shop".into(),
            name: "cart".into(),
        };
        let vips = ["240.96.0.7", "fd00::7"].map(|it| it.parse().unwrap());
        assert_eq!(parse(text).unwrap(), Vips::from([(name, vips.into())]));
    }
}
