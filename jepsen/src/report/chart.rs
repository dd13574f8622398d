//! Charts in SVG: time to the right, faults shaded.

use std::fmt::Write as _;
use std::time::Duration;

use crate::checkers::Evidence;
use crate::cluster;
use crate::majority::spans;
use crate::samples::Sample;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 18.0;
/// Points of one chart at most: more than a screen can show help nobody.
const POINTS_MAX: usize = 4000;

/// A chart's frame: what lies where.
struct Frame {
    seconds: f64,
}

impl Frame {
    fn of(evidence: &Evidence) -> Self {
        let last = evidence.samples.last().map_or(Duration::ZERO, |sample| sample.ended);
        Self { seconds: last.max(evidence.length).as_secs_f64().max(1.0) }
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + at.as_secs_f64() / self.seconds * (WIDTH - LEFT)
    }

    /// An empty chart with faults shaded and the time below.
    fn begin(&self, title: &str, evidence: &Evidence) -> String {
        let mut svg = format!(
            "<p class=note>{title}</p><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">\
             <rect x=\"{LEFT}\" y=\"0\" width=\"{}\" height=\"{HEIGHT}\" fill=\"#fafafa\"/>",
            HEIGHT + BOTTOM,
            WIDTH - LEFT
        );
        for fault in &evidence.faults {
            let begin = self.x(fault.begun);
            let end = self.x(fault.ended.unwrap_or(evidence.length));
            let whole = self.x(fault.recovered.or(fault.ended).unwrap_or(evidence.length));
            let colour = if fault.impact.cut.is_empty() { "#e8743b" } else { "#3b6fe8" };
            for (until, opacity) in [(whole, 0.12), (end, 0.2)] {
                let _ = write!(
                    svg,
                    "<rect x=\"{begin:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"{colour}\" \
                     opacity=\"{opacity}\"><title>{}: {}</title></rect>",
                    (until - begin).max(0.5),
                    fault.nemesis,
                    fault.impact.text
                );
            }
        }
        let step =
            [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0].into_iter().find(|s| self.seconds / s < 14.0).unwrap_or(600.0);
        let mut at = 0.0;
        while at <= self.seconds {
            let x = self.x(Duration::from_secs_f64(at));
            let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{}\">{at} s</text>", HEIGHT + 13.0);
            at += step;
        }
        svg
    }
}

fn level(svg: &mut String, y: f64, label: &str) {
    let _ = write!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text x=\"0\" y=\"{:.1}\">{label}</text>",
        y + 4.0
    );
}

/// How long each request took, on a logarithmic scale; those that were not served in red.
pub(super) fn latency(evidence: &Evidence) -> String {
    let frame = Frame::of(evidence);
    let title = "How long requests took (blue: reads, green: writes, red: not served); faults shaded, lighter until all serve again";
    let mut svg = frame.begin(title, evidence);
    let y = |ms: f64| HEIGHT - (ms.clamp(0.1, 10_000.0) / 0.1).log10() / 5.0 * HEIGHT;
    for (ms, label) in [(1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s")] {
        level(&mut svg, y(ms), label);
    }
    let (bad, good): (Vec<&Sample>, Vec<&Sample>) = evidence.samples.iter().partition(|sample| !sample.served);
    let thin = |samples: Vec<&Sample>, shown: &mut String, colour: &dyn Fn(&Sample) -> &'static str| {
        let every = samples.len().div_ceil(POINTS_MAX).max(1);
        // The slowest of each few, so that no peak is lost.
        for few in samples.chunks(every) {
            let Some(slowest) = few.iter().max_by_key(|sample| sample.ended - sample.begun) else { continue };
            let ms = (slowest.ended - slowest.begun).as_secs_f64() * 1000.0;
            let (x, y, colour) = (frame.x(slowest.ended), y(ms), colour(slowest));
            let _ = write!(shown, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.3\" fill=\"{colour}\"/>");
        }
    };
    thin(good, &mut svg, &|sample| if sample.write { "#2a8f3c" } else { "#3b6fe8" });
    thin(bad, &mut svg, &|_| "#d11");
    svg.push_str("</svg>");
    svg
}

/// Requests served in each part of a second, and those that were not.
pub(super) fn throughput(evidence: &Evidence) -> String {
    let frame = Frame::of(evidence);
    let mut svg = frame.begin("Requests a second (grey: served, red: not)", evidence);
    let bucket = (frame.seconds / 200.0).max(0.25);
    let count = (frame.seconds / bucket).ceil() as usize + 1;
    let mut rates = vec![(0.0, 0.0); count];
    for sample in &evidence.samples {
        let rate = &mut rates[(sample.ended.as_secs_f64() / bucket) as usize];
        if sample.served { rate.0 += 1.0 / bucket } else { rate.1 += 1.0 / bucket }
    }
    let most = rates.iter().map(|(served, failed)| served + failed).fold(1.0, f64::max);
    level(&mut svg, 1.0, &format!("{most:.0}/s"));
    let width = (WIDTH - LEFT) * bucket / frame.seconds;
    for (number, (served, failed)) in rates.into_iter().enumerate() {
        let x = frame.x(Duration::from_secs_f64(number as f64 * bucket));
        for (rate, base, colour) in [(served, 0.0, "#889"), (failed, served, "#d11")] {
            let (height, y) = (rate / most * HEIGHT, HEIGHT - (base + rate) / most * HEIGHT);
            if rate > 0.0 {
                let _ = write!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
                );
            }
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Which masters the schedule leaves on the majority's side, who leads, and when requests there failed.
pub(super) fn masters(evidence: &Evidence) -> String {
    let frame = Frame::of(evidence);
    let mut svg = frame
        .begin("Masters: pale green where it must serve, dark where it leads, red where a request failed", evidence);
    let row = HEIGHT / evidence.masters.max(1) as f64;
    for span in spans(&evidence.faults, evidence.masters, evidence.length) {
        for master in span.core {
            let (x, width) = (frame.x(span.begin), frame.x(span.end) - frame.x(span.begin));
            let y = master as f64 * row + 2.0;
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"#cdeccd\"/>",
                row - 4.0
            );
        }
    }
    for pair in evidence.sights.windows(2) {
        let Some(leader) = pair[0].leader else { continue };
        let (x, until) = (frame.x(pair[0].at), frame.x(pair[1].at));
        let y = leader as f64 * row + row / 2.0 - 3.0;
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"6\" fill=\"#353\"/>",
            until - x + 0.3
        );
    }
    for sample in evidence.samples.iter().filter(|sample| !sample.served) {
        let (x, y) = (frame.x(sample.ended), sample.master as f64 * row + 4.0);
        let _ =
            write!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"1.5\" height=\"{:.1}\" fill=\"#d11\"/>", row - 8.0);
    }
    for master in 0..evidence.masters {
        let y = master as f64 * row + row / 2.0 + 4.0;
        let _ = write!(svg, "<text x=\"0\" y=\"{y:.1}\">{}</text>", cluster::name(master));
    }
    svg.push_str("</svg>");
    svg
}
