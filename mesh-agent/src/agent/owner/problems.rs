//! Records problems that are found outside of the owner.

use super::Owner;

impl<D> Owner<D> {
    /// Sets the problems of exclusions; returns whether they changed.
    pub(in crate::agent) fn set_excluded(&mut self, problems: Vec<String>) -> bool {
        let changed = problems != self.problems.excluded;
        self.problems.excluded = problems;
        changed
    }

    /// Sets the problems of the program links; returns whether they changed.
    pub(in crate::agent) fn set_links(&mut self, problems: Vec<String>) -> bool {
        let changed = problems != self.problems.links;
        self.problems.links = problems;
        changed
    }
}
