//! The dashboard's expressions, as rules that promtool can check. It knows nothing of dashboards.

use anyhow::{Context, Result, ensure};
use yaml_rust2::{Yaml, YamlEmitter, YamlLoader, yaml::Hash};

/// What Grafana puts in by itself, or for what is chosen above the panels, and something like it.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "5m"), ("$instance", ".+")];

/// A file of recording rules, one for each expression in a dashboard.
pub fn as_rules(dashboard: &str) -> Result<String> {
    // All JSON is YAML.
    let documents = YamlLoader::load_from_str(dashboard).context("the dashboard is no JSON")?;
    let dashboard = documents.first().context("the dashboard is empty")?;
    let mut rules = Vec::new();
    for panel in panels(dashboard) {
        let title = panel["title"].as_str().unwrap_or_default();
        let targets = panel["targets"].as_vec().map_or(&[][..], Vec::as_slice);
        let is_row = panel["type"].as_str() == Some("row");
        ensure!(is_row || !targets.is_empty(), "{title:?} shows nothing");
        for target in targets {
            let expression = target["expr"].as_str();
            let expression = expression.with_context(|| format!("{title:?} asks for nothing"))?;
            let expression = VARIABLES
                .into_iter()
                .fold(expression.to_owned(), |text, (variable, like)| {
                    text.replace(variable, like)
                });
            ensure!(
                !expression.contains('$'),
                "{title:?} has a variable that is not known: {expression}"
            );
            let name = format!("panel:{}", rules.len());
            rules.push(mapping([
                ("record", Yaml::String(name)),
                ("expr", Yaml::String(expression)),
            ]));
        }
    }
    ensure!(!rules.is_empty(), "the dashboard shows nothing");
    let group = mapping([
        ("name", Yaml::String("dashboard".into())),
        ("rules", Yaml::Array(rules)),
    ]);
    let mut text = String::new();
    YamlEmitter::new(&mut text).dump(&mapping([("groups", Yaml::Array(vec![group]))]))?;
    Ok(text)
}

/// The panels, also those that a row has folded away.
fn panels(dashboard: &Yaml) -> Vec<&Yaml> {
    let own = dashboard["panels"].as_vec().map_or(&[][..], Vec::as_slice);
    let each = own.iter().flat_map(|panel| {
        let mut all = vec![panel];
        all.extend(panels(panel));
        all
    });
    each.collect()
}

fn mapping<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
    let entries = entries.map(|(key, value)| (Yaml::String(key.into()), value));
    Yaml::Hash(Hash::from_iter(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(panels: &str) -> Result<Vec<(String, String)>> {
        let rules = as_rules(&format!("{{\"panels\": [{panels}]}}"))?;
        let rules = YamlLoader::load_from_str(&rules)?.remove(0);
        let rules = rules["groups"][0]["rules"].as_vec().context("rules")?;
        let field = |rule: &Yaml, name: &str| rule[name].as_str().unwrap_or_default().to_owned();
        let pairs = rules
            .iter()
            .map(|rule| (field(rule, "record"), field(rule, "expr")));
        Ok(pairs.collect())
    }

    #[test]
    fn each_expression_is_a_rule() {
        let rules = rules_of(
            r#"{"type": "row", "title": "Open", "panels": []},
               {"title": "A", "targets": [{"expr": "a{instance=~\"$instance\"}"}, {"expr": "'b' # c"}]},
               {"type": "row", "title": "Folded", "panels": [
                   {"title": "D", "targets": [{"expr": "rate(d[$__rate_interval])"}]}]}"#,
        );
        let expected = [
            ("panel:0", "a{instance=~\".+\"}"),
            ("panel:1", "'b' # c"),
            ("panel:2", "rate(d[5m])"),
        ];
        let expected = expected.map(|(record, expr)| (record.to_owned(), expr.to_owned()));
        assert_eq!(rules.unwrap(), expected);
    }

    #[test]
    fn what_shows_nothing_or_cannot_be_read_is_refused() {
        for (panels, fault) in [
            ("", "the dashboard shows nothing"),
            (r#"{"title": "A", "targets": []}"#, "\"A\" shows nothing"),
            (
                r#"{"title": "A", "targets": [{}]}"#,
                "\"A\" asks for nothing",
            ),
            (
                r#"{"title": "A", "targets": [{"expr": "rate(a[$__interval])"}]}"#,
                "\"A\" has a variable that is not known: rate(a[$__interval])",
            ),
        ] {
            let said = rules_of(panels).unwrap_err().to_string();
            assert_eq!(said, fault);
        }
    }
}
