//! What expressions in Prometheus's language ask for, and whether a relay has it.
//!
//! That they are well formed promtool says; here it is enough to find which metrics and labels they name.

use std::collections::BTreeMap;

/// Labels that Prometheus adds to whatever it scrapes.
const ADDED: [&str; 2] = ["instance", "job"];

/// Words between metrics that are none.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "on", "bool"];

/// Functions that make one series of many.
const AGGREGATIONS: [&str; 5] = ["sum", "min", "max", "avg", "count"];

/// One of a relay's series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// A relay's series, with their values.
pub type Told = BTreeMap<Series, f64>;

/// The series in what a relay tells.
pub fn series_in(told: &str) -> Told {
    let lines = told
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let series = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        // It is written as what asks for it.
        let [
            Selector {
                metric, matchers, ..
            },
        ] = &selectors(series)[..]
        else {
            panic!("no series: {line}");
        };
        let labels = matchers.iter().map(|m| (m.label.clone(), m.value.clone()));
        let series = Series {
            name: metric.clone(),
            labels: labels.collect(),
        };
        (series, value.parse().unwrap())
    });
    series.collect()
}

/// A label in curly brackets.
#[derive(Clone, Debug)]
struct Matcher {
    label: String,
    /// Whether the value is a regular expression.
    is_regex: bool,
    value: String,
}

/// One metric that an expression asks for.
#[derive(Clone, Debug)]
pub struct Selector {
    pub metric: String,
    matchers: Vec<Matcher>,
    /// By what each aggregation over it tells apart, inner ones last.
    groups: Vec<Vec<String>>,
}

impl Selector {
    /// What of this a relay with these series does not have.
    pub fn faults(&self, told: &Told) -> Vec<String> {
        let metric = &self.metric;
        let series: Vec<_> = told.keys().filter(|s| s.name == *metric).collect();
        if series.is_empty() {
            return vec![format!("there is no metric {metric}")];
        }
        let has = |label: &str, value: Option<&str>| {
            let mut values = series.iter().filter_map(|s| s.labels.get(label));
            values.any(|own| value.is_none_or(|value| own == value))
        };
        let mut faults = Vec::new();
        for label in self.groups.iter().flatten() {
            if !ADDED.contains(&label.as_str()) && !has(label, None) {
                faults.push(format!("{metric} has no label {label}"));
            }
        }
        for matcher in &self.matchers {
            let label = &matcher.label;
            if ADDED.contains(&label.as_str()) {
                continue;
            }
            // Whoever leaves one out means that it exists, too. What is no plain list of values is
            // found to be none of them.
            let whole = std::slice::from_ref(&matcher.value);
            let listed: Vec<_> = matcher.value.split('|').map(str::to_owned).collect();
            for value in if matcher.is_regex { &listed } else { whole } {
                if !has(label, Some(value)) {
                    faults.push(format!("no {metric} has {label}=\"{value}\""));
                }
            }
        }
        faults
    }

    /// Whether what is made of it still has this label, where these are a relay's series.
    pub fn keeps(&self, label: &str, told: &Told) -> bool {
        let mut of_metric = told.keys().filter(|series| series.name == self.metric);
        let has = ADDED.contains(&label) || of_metric.any(|s| s.labels.contains_key(label));
        has && self
            .groups
            .iter()
            .all(|group| group.iter().any(|by| by == label))
    }
}

/// Everything that an expression asks for.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let mut rest = expression;
    let mut found = Vec::new();
    // What each open bracket is for: an aggregation that tells apart by these, or anything else.
    let mut open: Vec<Option<Vec<String>>> = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(next) = rest.chars().next() else {
            assert!(open.is_empty(), "a bracket is left open in {expression}");
            return found;
        };
        if !next.is_ascii_alphabetic() && next != '_' {
            match next {
                '(' => open.push(None),
                ')' => drop(open.pop().unwrap()),
                // Nothing in there is a metric.
                '[' => rest = rest.split_once(']').unwrap().1,
                '0'..='9' => rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()),
                '<' | '>' | '=' | '!' | '+' | '-' | '*' | '/' | ',' | '.' => {}
                _ => panic!("what is {next} in {expression}?"),
            }
            if !matches!(next, '[' | '0'..='9') {
                rest = &rest[next.len_utf8()..];
            }
            continue;
        }
        let (word, after) = word(rest);
        rest = after.trim_start();
        if OPERATORS.contains(&word) {
            if word == "on" {
                rest = list(rest).1;
            }
        } else if AGGREGATIONS.contains(&word) {
            let mut by = Vec::new();
            if let Some(after) = rest.strip_prefix("by ") {
                (by, rest) = list(after);
            }
            let after = rest.trim_start().strip_prefix('(');
            rest = after.unwrap_or_else(|| panic!("say by what {expression} is told apart first"));
            open.push(Some(by));
        } else if !rest.starts_with('(') {
            let matchers;
            (matchers, rest) = labels(rest);
            found.push(Selector {
                metric: word.to_owned(),
                matchers,
                groups: open.iter().flatten().cloned().collect(),
            });
        }
    }
}

/// The first word, and the rest.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.split_at(end.unwrap_or(text.len()))
}

/// The labels in the brackets with which this begins, and the rest.
fn list(text: &str) -> (Vec<String>, &str) {
    let inner = text.trim_start().strip_prefix('(').unwrap();
    let (inner, rest) = inner.split_once(')').unwrap();
    (
        inner
            .split(',')
            .map(|label| label.trim().to_owned())
            .collect(),
        rest,
    )
}

/// What is in the curly brackets with which this may begin, and the rest.
fn labels(text: &str) -> (Vec<Matcher>, &str) {
    let mut found = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (found, text);
    };
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return (found, rest);
        }
        let (label, after) = word(rest);
        let (operator, after) = after.split_once('"').unwrap();
        assert!(["=", "!=", "=~", "!~"].contains(&operator), "{text}");
        let (value, after) = after.split_once('"').unwrap();
        found.push(Matcher {
            label: label.to_owned(),
            is_regex: operator.ends_with('~'),
            value: value.to_owned(),
        });
        rest = after;
    }
}

#[test]
fn what_a_relay_does_not_have_is_found() {
    let told = series_in(
        "# HELP bans_total People.\n\
         # TYPE bans_total counter\n\
         bans_total{by=\"reports\"} 0\n\
         bans_total{by=\"operator\"} 3\n\
         \n\
         people 7\n",
    );
    assert_eq!(told.len(), 3);
    assert_eq!(told.values().sum::<f64>(), 10.0);
    let faults = |expression: &str| -> Vec<String> {
        let selectors = selectors(expression);
        selectors.iter().flat_map(|s| s.faults(&told)).collect()
    };
    for (good, metrics) in [
        ("people > 3", 1),
        ("rate(bans_total[5m])", 1),
        (
            "sum by (instance, by) (increase(bans_total{by!=\"operator\", job=\"x\"}[1h])) > 2",
            1,
        ),
        (
            "people and on (instance) bans_total{by=~\"reports|operator\"}",
            2,
        ),
        ("quantile_over_time(0.5, people[1h]) * 2e3 + max(people)", 2),
    ] {
        assert_eq!(selectors(good).len(), metrics, "{good}");
        assert_eq!(faults(good), [""; 0], "{good}");
    }
    for (bad, fault) in [
        ("person > 3", "there is no metric person"),
        ("sum by (why) (bans_total)", "bans_total has no label why"),
        (
            "bans_total{why=\"reports\"}",
            "no bans_total has why=\"reports\"",
        ),
        (
            "people - bans_total{by!=\"us\"}",
            "no bans_total has by=\"us\"",
        ),
        (
            "bans_total{by=~\"reports|us\"}",
            "no bans_total has by=\"us\"",
        ),
        (
            "bans_total{by!~\"us|operator\"}",
            "no bans_total has by=\"us\"",
        ),
        (
            "bans_total{by=\"reports|operator\"}",
            "no bans_total has by=\"reports|operator\"",
        ),
    ] {
        assert_eq!(faults(bad), [fault], "{bad}");
    }
    let keeps = |expression: &str, label| selectors(expression)[0].keeps(label, &told);
    assert!(keeps("bans_total", "by") && keeps("bans_total", "instance"));
    assert!(keeps("sum by (by) (rate(bans_total[5m]))", "by"));
    assert!(!keeps("people", "by") && !keeps("bans_total", "why"));
    assert!(!keeps("sum by (by) (bans_total)", "instance"));
    assert!(!keeps("sum(bans_total)", "by") && !keeps("max(sum by (by) (bans_total))", "by"));
    // What comes after an aggregation is not of it.
    assert!(
        selectors("sum by (by) (bans_total) + people")[1]
            .groups
            .is_empty()
    );
}
