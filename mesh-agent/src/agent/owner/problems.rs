//! What stands between the configuration and the kernel, and is found outside of the owner.

use super::Owner;

impl<D> Owner<D> {
    /// What was to be left out and cannot be; whether that is something else than before.
    pub(in crate::agent) fn set_excluded(&mut self, problems: Vec<String>) -> bool {
        let changed = problems != self.problems.excluded;
        self.problems.excluded = problems;
        changed
    }

    /// What is wrong with the links of the programs; whether that is something else than before.
    pub(in crate::agent) fn set_links(&mut self, problems: Vec<String>) -> bool {
        let changed = problems != self.problems.links;
        self.problems.links = problems;
        changed
    }
}
