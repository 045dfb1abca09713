//! A picture of the whole-system figures: bars, relative to direct.

use std::{error::Error, path::Path};

use plotters::{
    coord::Shift,
    prelude::{DrawingArea, IntoDrawingArea as _, Rectangle, SVGBackend, Text},
    style::{Color as _, IntoFont as _, RGBColor},
};

use super::{contenders::DIRECT, cycle, figures::Figures, http, table::number};
use crate::bench::stats::spread;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 860;
const ROW: i32 = 22;
const HEAD: i32 = 46;
/// Where bars begin, and how long one of the length 1 is.
const LEFT: i32 = 210;
const LENGTH: f64 = 480.0;

const OURS: RGBColor = RGBColor(0x1f, 0x77, 0x4e);
const OTHERS: RGBColor = RGBColor(0x8a, 0x93, 0x9e);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);

/// A panel: part, measure, unit, title.
const PANELS: [(&str, &str, &str, &str); 3] = [
    (cycle::PART, cycle::RATE, "/s", "Connections per second: connect, one byte echoed, close (longer is better)"),
    (http::PART, http::KEEP, "/s", "HTTP requests per second, keep-alive (longer is better)"),
    (http::PART, http::CLOSE, "/s", "HTTP requests per second, a connection each (longer is better)"),
];

/// A bar.
struct Bar {
    name: String,
    /// To direct.
    ratio: f64,
    value: f64,
}

/// Draws what was measured of the panels.
pub fn draw(path: &Path, figures: &Figures) -> Result<(), Box<dyn Error>> {
    let panels = PANELS.map(|panel| (panel, bars(figures, panel.0, panel.1)));
    let rows: usize = panels.iter().map(|(_, bars)| bars.len()).sum();
    let height = HEAD * 3 + ROW * i32::try_from(rows)? + 20;
    let area = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    area.fill(&RGBColor(255, 255, 255))?;
    let mut top = 10;
    for ((_, _, unit, title), bars) in &panels {
        area.draw(&Text::new(*title, (16, top + 10), ("sans-serif", 15).into_font().color(&INK)))?;
        top += HEAD - 10;
        for bar in bars {
            draw_bar(&area, bar, unit, top)?;
            top += ROW;
        }
        top += 10;
    }
    area.present()?;
    Ok(())
}

fn draw_bar(area: &Area<'_>, bar: &Bar, unit: &str, top: i32) -> Result<(), Box<dyn Error>> {
    let small = ("sans-serif", 13).into_font();
    #[expect(clippy::cast_possible_truncation, reason = "a place in the picture")]
    let end = LEFT + (bar.ratio.min(1.2) * LENGTH) as i32;
    let colour = if bar.name.starts_with("mesh") { OURS } else { OTHERS };
    area.draw(&Text::new(bar.name.clone(), (24, top + 2), small.clone().color(&INK)))?;
    area.draw(&Rectangle::new([(LEFT, top), (end, top + ROW - 6)], colour.filled()))?;
    let value = format!("{:.2}  ({} {unit})", bar.ratio, number(bar.value));
    area.draw(&Text::new(value, (end + 6, top + 2), small.color(&INK)))?;
    Ok(())
}

fn bars(figures: &Figures, part: &str, measure: &str) -> Vec<Bar> {
    let all = figures.iter().filter(|it| it.part == part && it.measure == measure);
    let bar = |figure: &super::figures::Figure| {
        let (ratio, ..) = spread(&figures.ratios(part, measure, &figure.contender, DIRECT));
        Bar { name: figure.contender.clone(), ratio, value: figure.median() }
    };
    all.map(bar).filter(|bar| bar.ratio.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_contender_has_a_bar_with_its_ratio() {
        let mut figures = Figures::default();
        figures.add(cycle::PART, DIRECT, cycle::RATE, "/s", 40_000.0);
        figures.add(cycle::PART, "mesh 10,000 hot", cycle::RATE, "/s", 38_800.0);
        let directory = tempfile::tempdir().expect("room for a directory");
        let path = directory.path().join("chart.svg");
        draw(&path, &figures).expect("a file can be written");
        let text = fs::read_to_string(&path).expect("it was written");
        assert!(
            text.starts_with("<svg") && text.contains("0.97  (38,800 /s)") && text.contains("mesh 10,000 hot"),
            "{text}"
        );
    }
}
