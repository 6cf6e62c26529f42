//! What `docs/privacy.md` says that the relay withstands, it has been seen to.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The rows of the table of threats: what, and the tests.
fn threats(text: &str) -> Vec<(&str, Vec<&str>)> {
    let (_, table) = text
        .split_once("| what somebody may try | test |")
        .expect("the table of threats");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let threat = cells.next().unwrap_or_default().trim();
        let tests = cells.next().unwrap_or_default().split('`');
        (threat, tests.skip(1).step_by(2).collect())
    })
    .collect()
}

/// Every test below these folders that runs without being asked for by name.
fn tests_below(folders: &[PathBuf]) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut waiting = folders.to_vec();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            waiting.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let plain = text.match_indices("#[test]");
            for (at, _) in plain.chain(text.match_indices("#[tokio::test")) {
                let Some((attributes, rest)) = text[at..].split_once("fn ") else {
                    continue;
                };
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                if !attributes.contains("ignore") {
                    tests.insert(name.to_owned());
                }
            }
        }
    }
    tests
}

#[test]
fn each_threat_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/privacy.md")).unwrap();
    let threats = threats(&text);
    assert!(threats.len() >= 40, "only {} threats", threats.len());
    let folders = ["relay/src", "relay/tests", "shared/src", "shared/tests"];
    let exist = tests_below(&folders.map(|folder| root.join(folder)));
    assert!(exist.len() > 300, "only {} tests", exist.len());
    for (threat, tests) in threats {
        assert!(!tests.is_empty(), "nothing tests “{threat}”");
        for test in tests {
            assert!(exist.contains(test), "{threat}: there is no test {test}");
        }
    }
}
