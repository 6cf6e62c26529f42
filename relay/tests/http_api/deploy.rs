//! What watches over relays asks for figures that relays have, and tells of what it is to tell of.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use yaml_rust2::{Yaml, YamlLoader};

use crate::{
    common::{Person, Relay, beside},
    queries::{Selector, selectors, series_in},
};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(file)
}

/// A file below `deploy/`: YAML, or JSON, which is YAML as well.
fn read(file: &str) -> Yaml {
    let text = fs::read_to_string(deploy(file)).unwrap();
    let mut documents = YamlLoader::load_from_str(&text).unwrap();
    assert_eq!(documents.len(), 1, "{file}");
    documents.remove(0)
}

/// All that stands under this name, however deep.
fn all<'a>(yaml: &'a Yaml, name: &str) -> Vec<&'a Yaml> {
    let mut found = Vec::new();
    if let Yaml::Hash(entries) = yaml {
        found.extend(entries.get(&Yaml::String(name.into())));
        found.extend(entries.values().flat_map(|value| all(value, name)));
    } else if let Yaml::Array(values) = yaml {
        found.extend(values.iter().flat_map(|value| all(value, name)));
    }
    found
}

fn text<'a>(yaml: &'a Yaml, field: &str) -> &'a str {
    let value = yaml[field].as_str();
    value.unwrap_or_else(|| panic!("no {field} in {yaml:?}"))
}

/// Something that shows what an expression comes to.
struct Shown {
    what: String,
    expression: String,
    asked: Vec<Selector>,
    /// The words that go with each of its series.
    legend: String,
}

impl Shown {
    fn new(what: String, expression: &str, legend: String) -> Self {
        // What Grafana puts in by itself, or for what is chosen above the panels.
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*");
        let asked = selectors(&expression);
        Self {
            what,
            expression,
            asked,
            legend,
        }
    }

    fn asks_for(&self, metric: &str) -> bool {
        self.asked.iter().any(|selector| selector.metric == metric)
    }
}

fn alerts() -> Vec<Shown> {
    let rules = read("alerts.yml");
    let shown = all(&rules, "rules")
        .into_iter()
        .flat_map(|rules| rules.clone());
    let shown = shown.map(|rule| {
        let words = [&rule["annotations"], &rule["labels"]];
        let words = words.map(|words| format!("{words:?}")).concat();
        Shown::new(text(&rule, "alert").to_owned(), text(&rule, "expr"), words)
    });
    shown.collect()
}

fn panels() -> Vec<Shown> {
    let dashboard = read("grafana/neartalk.json");
    let mut shown = Vec::new();
    for panel in all(&dashboard, "panels")
        .into_iter()
        .flat_map(|panels| panels.clone())
    {
        let targets = all(&panel, "targets")
            .into_iter()
            .flat_map(|targets| targets.clone());
        shown.extend(targets.map(|target| {
            let legend = text(&target, "legendFormat").to_owned();
            Shown::new(
                text(&panel, "title").to_owned(),
                text(&target, "expr"),
                legend,
            )
        }));
    }
    shown
}

/// The labels that a text has in curly brackets: `{{by}}`, or `{{ $labels.by }}`.
fn labels_in(text: &str) -> impl Iterator<Item = &str> {
    let labels = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"));
    let labels = labels.map(|(label, _)| label.trim());
    labels.map(|label| label.strip_prefix("$labels.").unwrap_or(label))
}

/// The project's metrics that a text names.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("neartalk_"))
        .collect()
}

#[tokio::test]
async fn every_figure_that_dashboards_and_alerts_ask_for_exists_and_is_explained() {
    let relay = Relay::start(&[]);
    let at_first = series_in(&relay.metrics().await.0);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    fox.say("hello").await;
    owl.hears().await;
    let told = relay.metrics().await.0;
    let series = series_in(&told);
    // Whatever can be counted is told of before it happens, so that nobody takes "never yet" for "no
    // such thing", and the first time makes a difference.
    for (one, count) in &at_first {
        let counted = one.name.ends_with("_total");
        assert!(!counted || *count == 0.0, "{one:?} begins with {count}");
    }
    let later = series.keys().filter(|one| !at_first.contains_key(one));
    for one in later {
        let base = "neartalk_delivery_latency_seconds_";
        assert!(
            one.name.starts_with(base),
            "{one:?} is not told of at first"
        );
    }

    let (alerts, panels) = (alerts(), panels());
    assert!(alerts.len() >= 12 && panels.len() >= 30, "there is little");
    // Prometheus's own, of each relay that it looks at.
    let up = |selector: &&Selector| selector.metric != "up";
    for Shown {
        what,
        expression,
        asked,
        legend,
    } in alerts.iter().chain(&panels)
    {
        assert!(!asked.is_empty(), "{what} asks for nothing: {expression}");
        for selector in asked.iter().filter(up) {
            let faults = selector.faults(&series);
            assert!(faults.is_empty(), "{what}: {faults:?} in {expression}");
            for label in labels_in(legend) {
                let keeps = selector.keeps(label, &series);
                assert!(keeps, "{what}: {expression} has no label {label}");
            }
        }
    }
    // All that is told is shown.
    for one in series.keys() {
        let shown = match one
            .name
            .strip_suffix("_sum")
            .or(one.name.strip_suffix("_count"))
        {
            Some(base) => format!("{base}_bucket"),
            None => one.name.clone(),
        };
        let asked = panels.iter().any(|panel| panel.asks_for(&shown));
        assert!(asked, "no panel asks for {shown}");
    }
    // When something is not there, somebody is told.
    let ups: BTreeSet<&str> = series.keys().map(|one| &*one.name).collect();
    let ups: Vec<_> = ups
        .into_iter()
        .filter(|name| name.ends_with("_up"))
        .collect();
    assert!(ups.contains(&"neartalk_store_up"), "{ups:?}");
    for name in ups {
        let asked = alerts.iter().any(|alert| alert.asks_for(name));
        assert!(asked, "no alert asks for {name}");
    }

    // The same for what is named otherwise: in a list to choose from, or in a sentence.
    let guide = fs::read_to_string(deploy("../docs/self-hosting.md")).unwrap();
    let (_, guide) = guide.split_once("\n## Metrics\n").unwrap();
    let (guide, _) = guide.split_once("\n## ").unwrap();
    let dashboard = fs::read_to_string(deploy("grafana/neartalk.json")).unwrap();
    for text in [guide, &dashboard] {
        let named: Vec<_> = metrics_in(text)
            .into_iter()
            .filter(|name| *name != "neartalk_")
            .collect();
        assert!(named.len() > 5, "there is little: {named:?}");
        for name in named {
            let base = |one: &str| one.trim_end_matches("_count") == name;
            let exists = series.keys().any(|one| one.name == name || base(&one.name));
            assert!(exists, "{name} is named, and there is no such metric");
        }
    }
    // And whatever there is has a sentence that says what it is.
    for one in series.keys() {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| one.name.strip_suffix(end))
            .unwrap_or(&one.name);
        let help = format!("# HELP {base} ");
        assert!(told.contains(&help), "{base} has no help text:\n{told}");
    }
}

#[test]
fn every_alert_is_seen_to_fire() {
    let tests = read("alerts.test.yml");
    let mut fired = BTreeSet::new();
    for test in all(&tests, "alert_rule_test")
        .into_iter()
        .flat_map(|tests| tests.clone())
    {
        let expected = test["exp_alerts"].as_vec().unwrap();
        if !expected.is_empty() {
            fired.insert(text(&test, "alertname").to_owned());
        }
    }
    // Whether they do fire `cargo xtask test` has promtool see.
    let all: BTreeSet<_> = alerts().into_iter().map(|alert| alert.what).collect();
    assert_eq!(
        all, fired,
        "alerts, and those of them that alerts.test.yml sees"
    );
}

#[test]
fn the_people_of_the_k6_script_talk_walk_and_call_each_other() {
    let relay = Relay::start(&[
        "--sessions-per-minute=100000",
        "--session-burst=1000",
        "--messages-per-minute=1000",
        "--repeats-per-address=0",
        "--repeats-per-cell=0",
        "--proof-of-work=never",
    ]);
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http_api/k6_in_node.mjs");
    let mut node = std::process::Command::new("node");
    node.args(["--experimental-websocket", "--no-warnings"])
        .arg(runner)
        .arg(deploy("k6.js"))
        .env("RELAY", relay.url())
        .envs([("PEOPLE", "80"), ("SECONDS", "4"), ("A_MINUTE", "60")]);
    let done = node.output().expect("this test needs node");
    let printed = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{printed}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let counted: serde_json::Value = serde_json::from_str(printed.trim()).unwrap();
    let count = |name: &str| counted[name]["count"].as_u64().unwrap();
    assert!(count("neartalk_said") > 100, "{counted}");
    assert!(
        count("neartalk_deliveries") > count("neartalk_said"),
        "{counted}"
    );
    assert_eq!(
        count("neartalk_deliveries"),
        count("neartalk_delivery"),
        "{counted}"
    );
    assert!(count("neartalk_signals") > 0, "{counted}");
    for wrong in ["neartalk_refused", "neartalk_closed_early"] {
        assert_eq!(count(wrong), 0, "{counted}");
    }
}
