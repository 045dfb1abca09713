//! A bounded list of problems: the first ones, and a count of the others.

/// Most problems that are reported per file.
pub const MOST: usize = 100;

/// A problem at a line of a text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// Line, from one.
    pub line: u32,
    /// Path of the field, like `services[2].ports[0].port`; empty if the problem is not in a field.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

/// The first problems, and the number of all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Problems {
    first: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        if self.first.len() < MOST {
            self.first.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Adds a problem that explains the others; it is always reported.
    pub fn push_first(&mut self, problem: Problem) {
        if self.first.len() == MOST {
            self.first.pop();
            self.more += 1;
        }
        self.first.push(problem);
    }

    /// Adds the problems of another part.
    pub fn append(&mut self, part: Self) {
        part.first
            .into_iter()
            .for_each(|problem| self.push(problem));
        self.more += part.more;
    }

    /// Returns the number of problems.
    pub fn len(&self) -> usize {
        self.first.len() + self.more
    }

    /// Returns the first problems in the order of lines, and the number of further ones.
    pub fn into_sorted(mut self) -> (Vec<Problem>, usize) {
        self.first.sort_unstable();
        self.first.dedup();
        (self.first, self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_and_the_others_counted() {
        let problem = |line| Problem {
            line,
            field: String::new(),
            reason: String::new(),
        };
        let mut all = Problems::default();
        (0..70).rev().for_each(|line| all.push(problem(line)));
        all.append(all.clone());
        assert_eq!(all.len(), 140);
        let (first, more) = all.into_sorted();
        assert_eq!((first, more), ((0..70).map(problem).collect(), 40));
    }
}
