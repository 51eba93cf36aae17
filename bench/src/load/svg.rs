//! Draws a run: packets, CPU time and latency second by second, and how busy the server was.

use core::time::Duration;

use super::options::{Options, word};
use super::plan::float;
use super::report::Second;
use super::timeline::{STEP, Timeline};

const WIDTH: f64 = 720.0;

/// Height of one of the four panels, and the gap below it.
const PANEL: f64 = 140.0;

const GAP: f64 = 34.0;

const LEFT: f64 = 64.0;

const RIGHT: f64 = 16.0;

/// A line, with a point for each second or step.
struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<Option<f64>>,
}

/// Four panels under each other.
pub(crate) fn plot(
    options: &Options,
    seconds: &[Second],
    timeline: &Timeline,
    event: Option<Duration>,
) -> String {
    let line = |name, colour, of: fn(&Second) -> Option<f64>| Line {
        name,
        colour,
        points: seconds.iter().map(of).collect(),
    };
    let each = |it: &Second| {
        it.cpu_us
            .filter(|_| it.packets > 0.0)
            .map(|us| us / it.packets)
    };
    let cores = Line {
        name: "server CPU, cores",
        colour: "#7c3aed",
        points: timeline.0.iter().copied().map(Some).collect(),
    };
    let panels = [
        vec![line("packets/s", "#2563eb", |it| Some(it.packets))],
        vec![line("server CPU, µs/packet", "#b45309", each)],
        vec![
            line("latency p99, µs", "#be123c", |it| it.p99),
            line("p50, µs", "#0f766e", |it| it.p50),
        ],
        vec![cores],
    ];
    let height = 4.0 * (PANEL + GAP) + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">load: {} via {}, {} packets/s, \
         frames of {}</text>\n",
        word(options.scenario),
        word(options.via),
        options.rate,
        options.burst,
    );
    let mut top = GAP;
    for lines in &panels {
        panel(&mut svg, top, lines);
        top += PANEL + GAP;
    }
    if let Some(event) = event {
        let steps = event.as_secs_f64() / STEP.as_secs_f64();
        let last = float(timeline.0.len().max(2) - 1);
        let x = LEFT + (WIDTH - RIGHT - LEFT) * (steps / last).min(1.0);
        let (from, to) = (top - PANEL - GAP, top - GAP);
        svg.push_str(&format!(
            "<path d=\"M{x:.1} {from}V{to}\" stroke=\"#999\" stroke-dasharray=\"4\"/>\n"
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, top: f64, lines: &[Line]) {
    let all = lines.iter().flat_map(|line| &line.points).flatten();
    let highest = all.copied().fold(0.0, f64::max);
    let (bottom, right) = (top + PANEL, WIDTH - RIGHT);
    let mut put = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    put(format!(
        "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#999\"/>"
    ));
    let digits = if highest < 10.0 { 2 } else { 0 };
    for (value, y) in [(highest, top + 10.0), (0.0, bottom)] {
        let x = LEFT - 6.0;
        put(format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{value:.digits$}</text>"
        ));
    }
    let mut x = LEFT + 8.0;
    for Line {
        name,
        colour,
        points,
    } in lines
    {
        let y = top - 4.0;
        put(format!(
            "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{name}</text>"
        ));
        x += 180.0;
        let step = (right - LEFT) / float(points.len().max(2) - 1);
        let mut drawn = String::new();
        for (at, value) in points.iter().enumerate() {
            if let Some(value) = value {
                let (x, y) = (
                    LEFT + step * float(at),
                    bottom - value / highest.max(1e-9) * PANEL,
                );
                drawn.push_str(&format!("{x:.1},{y:.1} "));
            }
        }
        put(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            drawn.trim_end()
        ));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_plot_has_a_line_for_each_figure() {
        let options = Options::parse_from(["load"]);
        let second = Second {
            packets: 10.0,
            cpu_us: Some(40.0),
            p50: Some(1.0),
            p99: Some(2.0),
            ..Second::default()
        };
        let seconds = [second.clone(), second];
        let timeline = Timeline(vec![0.1; 20]);
        let event = Some(Duration::from_secs(1));
        let svg = plot(&options, &seconds, &timeline, event);
        assert_eq!(svg.matches("<polyline").count(), 5);
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
        let empty = plot(&options, &[], &Timeline::default(), event);
        assert!(!empty.contains("NaN") && !empty.contains("inf"));
    }
}
