//! What is wrong, in bounded room: the first of many problems say what to mend, the others only how many there are.

use super::Problem;

/// Problems that are told of one file.
pub const MOST: usize = 100;

/// The first problems, and how many there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Problems {
    first: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        if self.first.len() < MOST {
            self.first.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Adds one that explains the others; it is told in any case.
    pub fn push_first(&mut self, problem: Problem) {
        if self.first.len() == MOST {
            self.first.pop();
            self.more += 1;
        }
        self.first.push(problem);
    }

    /// Adds those of a part.
    pub fn append(&mut self, part: Self) {
        part.first.into_iter().for_each(|problem| self.push(problem));
        self.more += part.more;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.first.len() + self.more
    }

    /// The first, in the order of lines, and how many more there are.
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
        let problem = |line| Problem { line, field: String::new(), reason: String::new() };
        let mut all = Problems::default();
        (0..70).rev().for_each(|line| all.push(problem(line)));
        all.append(all.clone());
        assert_eq!(all.len(), 140);
        let (first, more) = all.into_sorted();
        assert_eq!((first, more), ((0..70).map(problem).collect(), 40));
    }
}
