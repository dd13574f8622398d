//! Histograms side by side, for terminals.

use std::fmt;

use crate::Histogram;

/// Columns of the longest bar.
const WIDTH: u64 = 40;

/// A chart of several histograms, one below the other.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> AsciiChart<T> {
    /// An empty one.
    pub fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// The same and one more.
    #[must_use]
    pub fn add(mut self, name: impl ToString, histogram: Histogram<T>) -> Self {
        self.series.push((name.to_string(), histogram));
        self
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.series {
            writeln!(f, "{name}")?;
            let most = histogram.filled().map(|(_, count)| count).max().unwrap_or(1);
            for (least, count) in histogram.filled() {
                let bar = usize::try_from(count.saturating_mul(WIDTH).div_ceil(most)).unwrap_or(0);
                writeln!(f, "{least:>20} {count:>10} {}", "#".repeat(bar))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_has_the_longest_bar() {
        let mut histogram = Histogram::new();
        histogram.record_n(1, 4);
        histogram.record(2);
        let chart = AsciiChart::<()>::new().add("batches", histogram).to_string();
        let bars: Vec<usize> = chart.lines().skip(1).map(|line| line.matches('#').count()).collect();
        assert_eq!((chart.lines().next(), bars), (Some("batches"), vec![40, 10]));
    }
}
