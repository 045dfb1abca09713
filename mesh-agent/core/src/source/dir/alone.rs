//! Directories as the only source: reads and merges them, for `meshctl config validate` and tests.

use std::time::Instant;

use super::ScanReader;
use crate::{
    model::Update,
    source::{merge::merge, scan::Scan},
};

impl ScanReader {
    /// Reads what a scan found at `now`, and merges it as the only source.
    pub fn read(&mut self, scan: Scan, now: Instant) -> Update {
        let update = self.update(scan, now);
        let (merged, holdings) = merge(&[&update], &self.admission, &self.holdings);
        self.holdings = holdings;
        merged
    }
}
