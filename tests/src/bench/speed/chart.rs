//! Draws the whole-system figures as a bar chart, relative to no mesh.

use std::{error::Error, path::Path};

use plotters::{
    coord::Shift,
    prelude::{DrawingArea, IntoDrawingArea as _, Rectangle, SVGBackend, Text},
    style::{Color as _, IntoFont as _, RGBColor},
};

use super::{cycle, figures::Figures, http, names::DIRECT, numbers::number};
use crate::bench::stats::spread;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 860;
const ROW: i32 = 22;
const HEAD: i32 = 46;
/// Left end of bars, and the length of a bar of value 1, in pixels.
const LEFT: i32 = 210;
const LENGTH: f64 = 480.0;

const OURS: RGBColor = RGBColor(0x1f, 0x77, 0x4e);
const OTHERS: RGBColor = RGBColor(0x8a, 0x93, 0x9e);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);

/// A panel: part, measure, title. All measures are rates per second.
type Panel = (&'static str, &'static str, &'static str);

const PANELS: [Panel; 3] = [
    (
        cycle::PART,
        cycle::RATE,
        "Connections per second: connect, one byte echoed, close (longer is better)",
    ),
    (
        http::PART,
        http::KEEP,
        "HTTP requests per second, keep-alive (longer is better)",
    ),
    (
        http::PART,
        http::CLOSE,
        "HTTP requests per second, a connection each (longer is better)",
    ),
];

const SUMMARY: Panel = (
    cycle::PART,
    cycle::RATE,
    "Connections per second with 10,000 services, relative to no mesh (longer is better)",
);

/// Contenders of the summary, with their labels there.
const SUMMARY_BARS: [(&str, &str); 8] = [
    (DIRECT, "no mesh: direct"),
    ("mesh 10,000 hot", "mesh-agent, one service"),
    ("mesh 10,000 any", "mesh-agent, any service"),
    ("nftables 10,000 any", "nftables, any service"),
    ("iptables 10,000 first", "iptables, first service"),
    ("iptables 10,000 median", "iptables, median service"),
    ("iptables 10,000 last", "iptables, last service"),
    ("HAProxy TCP", "HAProxy, TCP mode"),
];

/// A bar.
struct Bar {
    name: String,
    /// Value relative to no mesh.
    ratio: f64,
    value: f64,
}

/// Draws the summary: at most eight bars.
pub fn draw_summary(path: &Path, figures: &Figures) -> Result<(), Box<dyn Error>> {
    let mut all = bars(figures, SUMMARY.0, SUMMARY.1);
    let mut named = |(contender, label): (&str, &str)| {
        let at = all.iter().position(|bar| bar.name == contender)?;
        Some(Bar {
            name: label.to_owned(),
            ..all.swap_remove(at)
        })
    };
    let summary = SUMMARY_BARS.into_iter().filter_map(&mut named).collect();
    draw_panels(path, &[(SUMMARY, summary)])
}

/// Draws a bar for every contender in every panel.
pub fn draw_all(path: &Path, figures: &Figures) -> Result<(), Box<dyn Error>> {
    draw_panels(
        path,
        &PANELS.map(|panel| (panel, bars(figures, panel.0, panel.1))),
    )
}

fn draw_panels(path: &Path, panels: &[(Panel, Vec<Bar>)]) -> Result<(), Box<dyn Error>> {
    let rows: usize = panels.iter().map(|(_, bars)| bars.len()).sum();
    let height = HEAD * i32::try_from(panels.len())? + ROW * i32::try_from(rows)? + 20;
    let area = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    area.fill(&RGBColor(255, 255, 255))?;
    let mut top = 10;
    for ((.., title), bars) in panels {
        area.draw(&Text::new(
            *title,
            (16, top + 10),
            ("sans-serif", 15).into_font().color(&INK),
        ))?;
        top += HEAD - 10;
        for bar in bars {
            draw_bar(&area, bar, top)?;
            top += ROW;
        }
        top += 10;
    }
    area.present()?;
    Ok(())
}

fn draw_bar(area: &Area<'_>, bar: &Bar, top: i32) -> Result<(), Box<dyn Error>> {
    let small = ("sans-serif", 13).into_font();
    #[expect(clippy::cast_possible_truncation, reason = "a place in the picture")]
    let end = LEFT + (bar.ratio.min(1.2) * LENGTH) as i32;
    let colour = if bar.name.starts_with("mesh") {
        OURS
    } else {
        OTHERS
    };
    area.draw(&Text::new(
        bar.name.clone(),
        (24, top + 2),
        small.clone().color(&INK),
    ))?;
    area.draw(&Rectangle::new(
        [(LEFT, top), (end, top + ROW - 6)],
        colour.filled(),
    ))?;
    let value = format!("{:.2}  ({} /s)", bar.ratio, number(bar.value));
    area.draw(&Text::new(value, (end + 6, top + 2), small.color(&INK)))?;
    Ok(())
}

fn bars(figures: &Figures, part: &str, measure: &str) -> Vec<Bar> {
    let all = figures
        .iter()
        .filter(|it| it.part == part && it.measure == measure);
    let bar = |figure: &super::figures::Figure| {
        let (ratio, ..) = spread(&figures.ratios(part, measure, &figure.contender, DIRECT));
        Bar {
            name: figure.contender.clone(),
            ratio,
            value: figure.median(),
        }
    };
    all.map(bar).filter(|bar| bar.ratio.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Draw = fn(&Path, &Figures) -> Result<(), Box<dyn Error>>;

    fn drawn(draw: Draw) -> String {
        let mut figures = Figures::default();
        let contenders = [
            (DIRECT, 40_000.0),
            ("empty program", 39_900.0),
            ("mesh 10,000 hot", 38_800.0),
        ];
        for (contender, rate) in contenders {
            figures.add(cycle::PART, contender, cycle::RATE, "/s", rate);
        }
        let directory = tempfile::tempdir().expect("room for a directory");
        let path = directory.path().join("chart.svg");
        draw(&path, &figures).expect("a file can be written");
        fs::read_to_string(&path).expect("it was written")
    }

    /// Returns the lines of text of a chart.
    fn texts(svg: &str) -> Vec<&str> {
        svg.lines().filter(|line| !line.starts_with('<')).collect()
    }

    #[test]
    fn every_contender_has_a_bar_with_its_ratio() {
        let svg = drawn(draw_all);
        let [(.., cycle), (.., keep), (.., close)] = PANELS;
        let bars = [
            "direct",
            "1.00  (40,000 /s)",
            "empty program",
            "1.00  (39,900 /s)",
            "mesh 10,000 hot",
            "0.97  (38,800 /s)",
        ];
        assert_eq!(texts(&svg), [&[cycle][..], &bars, &[keep, close]].concat());
    }

    #[test]
    fn the_summary_has_its_contenders_only() {
        let svg = drawn(draw_summary);
        let bars = [
            "no mesh: direct",
            "1.00  (40,000 /s)",
            "mesh-agent, one service",
            "0.97  (38,800 /s)",
        ];
        assert_eq!(texts(&svg), [&[SUMMARY.2][..], &bars].concat());
    }
}
