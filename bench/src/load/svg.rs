//! Draws a run: packets, CPU time and latency, second by second.

use super::options::{Options, word};
use super::plan::float;
use super::report::Second;

const WIDTH: f64 = 720.0;

/// Height of one of the three panels, and the gap below it.
const PANEL: f64 = 140.0;

const GAP: f64 = 34.0;

const LEFT: f64 = 64.0;

/// Name, colour and value of a line.
type Line = (&'static str, &'static str, fn(&Second) -> Option<f64>);

/// Three panels under each other.
pub(crate) fn plot(options: &Options, seconds: &[Second]) -> String {
    let each = |it: &Second| {
        it.cpu_us
            .filter(|_| it.packets > 0.0)
            .map(|us| us / it.packets)
    };
    let panels: [&[Line]; 3] = [
        &[("packets/s", "#2563eb", |it| Some(it.packets))],
        &[("server CPU, µs/packet", "#b45309", each)],
        &[
            ("latency p99, µs", "#be123c", |it| it.p99),
            ("p50, µs", "#0f766e", |it| it.p50),
        ],
    ];
    let height = 3.0 * (PANEL + GAP) + GAP;
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
    for lines in panels {
        panel(&mut svg, top, seconds, lines);
        top += PANEL + GAP;
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, top: f64, seconds: &[Second], lines: &[Line]) {
    let values = |line: &Line| seconds.iter().map(line.2).collect::<Vec<_>>();
    let all = lines.iter().flat_map(values).flatten();
    let highest = all.fold(0.0, f64::max);
    let (bottom, right) = (top + PANEL, WIDTH - 16.0);
    let mut put = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    put(format!(
        "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#999\"/>"
    ));
    for (value, y) in [(highest, top + 10.0), (0.0, bottom)] {
        let x = LEFT - 6.0;
        put(format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{value:.1}</text>"
        ));
    }
    let step = (right - LEFT) / float(seconds.len().max(2) - 1);
    let mut x = LEFT + 8.0;
    for line in lines {
        let (name, colour, _) = line;
        let y = top - 4.0;
        put(format!(
            "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{name}</text>"
        ));
        x += 180.0;
        let mut points = String::new();
        for (at, value) in values(line).into_iter().enumerate() {
            if let Some(value) = value {
                let (x, y) = (
                    LEFT + step * float(at),
                    bottom - value / highest.max(1e-9) * PANEL,
                );
                points.push_str(&format!("{x:.1},{y:.1} "));
            }
        }
        put(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.trim_end()
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
        let svg = plot(&options, &[second.clone(), second]);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(!plot(&options, &[]).contains("NaN"));
    }
}
