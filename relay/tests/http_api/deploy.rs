//! What watches over relays asks for figures that relays have.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::common::{Person, Relay, beside};

/// The project's metrics that a text names.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("neartalk_"))
        .collect()
}

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(file)
}

#[tokio::test]
async fn every_figure_that_dashboards_and_alerts_ask_for_exists_and_is_explained() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    fox.say("hello").await;
    owl.hears().await;
    let told = relay.metrics().await.0;
    let series: BTreeSet<&str> = told
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for file in ["alerts.yml", "grafana/neartalk.json"] {
        let text = std::fs::read_to_string(deploy(file)).unwrap();
        let asked = metrics_in(&text);
        assert!(asked.len() > 5, "{file} asks for little: {asked:?}");
        for name in asked {
            assert!(series.contains(name), "{file} asks for {name}:\n{told}");
        }
    }
    // And whatever there is has a sentence that says what it is.
    for name in &series {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        let help = format!("# HELP {base} ");
        assert!(told.contains(&help), "{base} has no help text:\n{told}");
    }
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
