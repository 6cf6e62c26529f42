//! What was measured, as people and documents can read it.

use std::fmt::Write;

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// One line.
#[derive(Debug)]
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub goal: Goal,
    /// With NearTalk and with Chromium.
    pub values: [Option<Value>; 2],
}

/// What was measured, with a remark such as the range.
#[derive(Clone, Debug)]
pub struct Value {
    pub value: f64,
    pub remark: String,
}

impl Value {
    pub fn new(value: f64, remark: impl Into<String>) -> Self {
        let remark = remark.into();
        Self { value, remark }
    }
}

/// Markdown.
pub fn print(rows: &[Row]) -> String {
    let mut text = String::from("\n| | goal | NearTalk | | Chromium |\n|---|--:|--:|---|--:|\n");
    for row in rows {
        let [ours, theirs] = row.values.each_ref().map(|value| match value {
            Some(Value { value, remark }) if remark.is_empty() => number(*value, row.unit),
            Some(Value { value, remark }) => format!("{} ({remark})", number(*value, row.unit)),
            None => String::new(),
        });
        let goal = match row.goal {
            Goal::AtMost(most) => format!("≤ {}", number(most, row.unit)),
            Goal::AtLeast(least) => format!("≥ {}", number(least, row.unit)),
            Goal::None => String::new(),
        };
        let verdict = row.values[0]
            .as_ref()
            .map_or(String::new(), |ours| verdict(row, ours.value));
        let _ = writeln!(
            text,
            "| {} | {goal} | {ours} | {verdict} | {theirs} |",
            row.what
        );
    }
    text
}

fn verdict(row: &Row, value: f64) -> String {
    let missed = match row.goal {
        Goal::AtMost(most) => value - most,
        Goal::AtLeast(least) => least - value,
        Goal::None => return String::new(),
    };
    if missed <= 0.0 {
        "reached".to_owned()
    } else {
        format!("missed by {}", number(missed, row.unit))
    }
}

fn number(value: f64, unit: &str) -> String {
    match unit {
        "" => format!("{value:.2}"),
        _ => format!("{value:.1} {unit}"),
    }
}
