//! Converts rows of other layouts: takes key and row as bytes, returns them as this agent needs them.
//!
//! A row may only grow at its end, and zero in a new field means what the older agent did; so the
//! beginning of a longer row is what an agent that was rolled back needs. Any other change has a
//! conversion here.

use bytemuck::{bytes_of, pod_read_unaligned};
use mesh_common::abi::{OutcomeKey, OutcomeRow, maps};

/// Key and row of one map, as bytes.
pub(super) type Bytes = (Vec<u8>, Vec<u8>);

/// Converts a row of the layout `version` to a row of `size` bytes.
pub(super) fn convert(map: &str, version: u32, key: &[u8], row: &[u8], size: usize) -> Bytes {
    match (map, version) {
        (name, 6) if name == maps::OUTCOMES.name => outcome_6(key, row),
        _ => (key.to_vec(), resized(row, size)),
    }
}

/// Returns the beginning of a row, filled up with zeros.
fn resized(row: &[u8], size: usize) -> Vec<u8> {
    let mut resized = row.to_vec();
    resized.resize(size, 0);
    resized
}

/// Up to version 6 the key had the index of the backend, and the row did not.
fn outcome_6(key: &[u8], row: &[u8]) -> Bytes {
    let [client, backend]: [u32; 2] = pod_read_unaligned(key);
    let (health, [generation, _]): (u64, [u32; 2]) =
        (pod_read_unaligned(&row[..8]), pod_read_unaligned(&row[8..]));
    let row = OutcomeRow {
        health,
        generation,
        client,
        backend,
        pad: 0,
    };
    (
        bytes_of(&OutcomeKey::new(client, backend)).to_vec(),
        bytes_of(&row).to_vec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_fields_are_zero_and_later_fields_are_left_out() {
        let (key, row) = ([1, 2], [3, 4, 5]);
        let of = |size| convert("SOCKETS", 8, &key, &row, size);
        assert_eq!(of(5), (vec![1, 2], vec![3, 4, 5, 0, 0]));
        assert_eq!(of(2), (vec![1, 2], vec![3, 4]));
    }

    #[test]
    fn outcome_of_version_6_gets_its_backend_from_the_key() {
        let (key, row) = ([7_u32, 4097], [1_u32, 2, 9, 7]);
        let (key, row) = convert("OUTCOMES", 6, bytes_of(&key), bytes_of(&row), 24);
        assert_eq!(pod_read_unaligned::<[u32; 2]>(&key), [7, 1]);
        let expected = OutcomeRow {
            health: 2 << 32 | 1,
            generation: 9,
            client: 7,
            backend: 4097,
            pad: 0,
        };
        assert_eq!(pod_read_unaligned::<OutcomeRow>(&row), expected);
    }
}
