//! The outcome as a page with a chart, without scripts.

use std::fmt::Write as _;

use super::Outcome;

/// Colours of the rule sets: told apart by who sees no red or green, too (Okabe and Ito's palette).
const COLOURS: [&str; 3] = ["#999999", "#e69f00", "#0072b2"];

/// Height of a bar and of what one miner's bars take, pixels.
const BAR: usize = 8;
const GROUP: usize = 3 * BAR + 10;

/// Where the bars begin, and the length of the longest, pixels.
const LEFT: usize = 190;
const LENGTH: f64 = 480.0;

impl Outcome {
    /// A page of HTML with a chart of what miners earn, and the table.
    #[must_use]
    pub fn to_html(&self) -> String {
        let table = escaped(&self.to_table());
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>violet simulate</title>\n\
             <style>body{{font:14px sans-serif;margin:2rem;max-width:60rem}}pre{{font-size:12px}}text{{font-size:12px}}</style>\n\
             <h1>What miners earn, by rule set</h1>\n{}\n<pre>{table}</pre></html>\n",
            self.svg()
        )
    }

    fn svg(&self) -> String {
        let names: Vec<&str> = self
            .rule_sets
            .first()
            .map(|outcome| outcome.miners.iter().map(|miner| miner.name).collect())
            .unwrap_or_default();
        let shares = self.rule_sets.iter().flat_map(|outcome| &outcome.miners).map(|miner| miner.share);
        let longest = shares.fold(f64::MIN_POSITIVE, f64::max);
        let height = names.len() * GROUP + 30;
        let mut svg = format!("<svg role=\"img\" width=\"760\" height=\"{height}\" viewBox=\"0 0 760 {height}\">\n");
        for (at, (outcome, colour)) in self.rule_sets.iter().zip(COLOURS).enumerate() {
            let x = LEFT + 150 * at;
            let name = escaped(outcome.rules.name());
            let _ = writeln!(svg, "<rect x=\"{x}\" y=\"4\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
            let _ = writeln!(svg, "<text x=\"{}\" y=\"15\">{name}</text>", x + 18);
        }
        for (row, name) in names.iter().enumerate() {
            let top = 30 + row * GROUP;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                LEFT - 8,
                top + 2 * BAR,
                escaped(name)
            );
            for (at, (outcome, colour)) in self.rule_sets.iter().zip(COLOURS).enumerate() {
                let share = outcome.share(name);
                let (width, y) = (LENGTH * share / longest, top + at * BAR);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"><title>{}: {:.2} %</title></rect>",
                    escaped(outcome.rules.name()),
                    100.0 * share
                );
            }
        }
        svg.push_str("</svg>");
        svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
