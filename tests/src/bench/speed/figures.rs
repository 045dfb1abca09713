//! The measured values, by contender and measure, one for each round.

use serde::Serialize;

use crate::bench::stats::spread;

/// One cell of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Part of the bench, like `programs`.
    pub part: &'static str,
    /// Contender.
    pub contender: String,
    /// What was measured.
    pub measure: String,
    /// Unit of the values.
    pub unit: &'static str,
    /// One for each round.
    pub values: Vec<f64>,
}

impl Figure {
    /// Returns the median over the rounds.
    pub fn median(&self) -> f64 {
        spread(&self.values).0
    }

    /// Returns the lowest and the highest value.
    pub fn range(&self) -> [f64; 2] {
        let (_, low, high) = spread(&self.values);
        [low, high]
    }
}

/// All figures, in the order in which they were first measured.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Adds the value of a round.
    pub fn add(
        &mut self,
        part: &'static str,
        contender: &str,
        measure: &str,
        unit: &'static str,
        value: f64,
    ) {
        let same = |it: &&mut Figure| {
            it.part == part && it.contender == contender && it.measure == measure
        };
        match self.0.iter_mut().find(same) {
            Some(figure) => figure.values.push(value),
            None => {
                let (contender, measure) = (contender.to_owned(), measure.to_owned());
                self.0.push(Figure {
                    part,
                    contender,
                    measure,
                    unit,
                    values: vec![value],
                });
            }
        }
    }

    /// Iterates over all figures.
    pub fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }

    /// Returns a figure, if it was measured.
    pub fn find(&self, part: &str, contender: &str, measure: &str) -> Option<&Figure> {
        self.0
            .iter()
            .find(|it| it.part == part && it.contender == contender && it.measure == measure)
    }

    /// Returns the ratio of two contenders in each round, in which disturbances of both cancel out.
    pub fn ratios(&self, part: &str, measure: &str, contender: &str, to: &str) -> Vec<f64> {
        let values = |contender_name| {
            self.find(part, contender_name, measure)
                .map_or(&[][..], |it| &it.values)
        };
        values(contender)
            .iter()
            .zip(values(to))
            .map(|(one, other)| one / other)
            .collect()
    }

    /// Returns the different parts, contenders or measures, in the order of their first figure.
    pub fn distinct<'a, K: PartialEq>(&'a self, of: impl Fn(&'a Figure) -> Option<K>) -> Vec<K> {
        let mut found = Vec::new();
        for key in self.0.iter().filter_map(of) {
            if !found.contains(&key) {
                found.push(key);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut figures = Figures::default();
        for (direct, mesh) in [(10.0, 9.0), (20.0, 18.0), (5.0, 6.0)] {
            figures.add("cycle", "direct", "rate", "1/s", direct);
            figures.add("cycle", "mesh", "rate", "1/s", mesh);
        }
        let ratios = figures.ratios("cycle", "rate", "mesh", "direct");
        assert_eq!(spread(&ratios), (0.9, 0.9, 1.2));
        assert_eq!(
            figures.find("cycle", "mesh", "rate").map(Figure::median),
            Some(9.0)
        );
        assert!(figures.ratios("cycle", "rate", "mesh", "none").is_empty());
    }
}
