//! What runs on GitHub is seen to fail only there, so what can be checked before is: that the
//! workflows can be read, take from others only what can't change under them, may do no more than
//! read, put nothing that a stranger has written into a shell, and call what exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;
use yaml_rust2::{Yaml, YamlLoader};

use crate::cargo::root;

const FOLDER: &str = ".github/workflows";

/// Checks every workflow.
pub fn check() -> Result<()> {
    let folder = root().join(FOLDER);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut faults = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(file)?;
        let found = faults_in(&text, &root());
        println!("{FOLDER}/{name}: {} faults", found.len());
        faults.extend(
            found
                .iter()
                .map(|fault| format!("{FOLDER}/{name}: {fault}")),
        );
    }
    ensure!(!files.is_empty(), "there are no workflows in {FOLDER}");
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// What is wrong with a workflow of the project that lies at `root`.
fn faults_in(text: &str, root: &Path) -> Vec<String> {
    let workflow = match YamlLoader::load_from_str(text).as_deref() {
        Ok([workflow]) => workflow.clone(),
        Ok(documents) => return vec![format!("{} documents, not one", documents.len())],
        Err(error) => return vec![format!("it is no YAML: {error}")],
    };
    let mut faults = Vec::new();
    let permissions = &workflow["permissions"];
    if permissions.as_hash().is_none() {
        faults.push("it does not say what it may do (permissions)".to_owned());
    }
    faults.extend(writing(permissions));
    let Some(jobs) = workflow["jobs"].as_hash() else {
        faults.push("it has no jobs".to_owned());
        return faults;
    };
    for (name, job) in jobs {
        let name = name.as_str().unwrap_or_default();
        let mut found: Vec<String> = writing(&job["permissions"]).collect();
        if job["timeout-minutes"].as_i64().is_none() {
            found.push("it may run for ever (timeout-minutes)".to_owned());
        }
        let steps = job["steps"].as_vec().map_or(&[][..], Vec::as_slice);
        if steps.is_empty() {
            found.push("it has no steps".to_owned());
        }
        for step in steps {
            if let Some(action) = step["uses"].as_str() {
                found.extend(fault_of_action(action, text));
            }
            if let Some(script) = step["run"].as_str() {
                let folder = step["working-directory"].as_str().unwrap_or_default();
                found.extend(faults_of_script(script, &root.join(folder), root));
            }
        }
        faults.extend(found.iter().map(|fault| format!("{name}: {fault}")));
    }
    faults
}

/// Permissions that are more than to read.
fn writing(permissions: &Yaml) -> impl Iterator<Item = String> {
    let each = permissions.as_hash().into_iter().flatten();
    each.filter(|(_, may)| !matches!(may.as_str(), Some("read" | "none")))
        .map(|(what, _)| format!("it may write {}", what.as_str().unwrap_or("?")))
}

/// An action is named by the hash of a commit, with its version beside it for people.
fn fault_of_action(action: &str, text: &str) -> Option<String> {
    let (name, commit) = action.split_once('@').unwrap_or((action, ""));
    let is_hash = commit.len() == 40
        && commit
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    if !is_hash {
        return Some(format!("{name} is not named by a commit's hash"));
    }
    let version = format!("{action} # v");
    (!text.contains(&version)).then(|| format!("{name} has no version beside its hash"))
}

/// What is wrong with a step's commands, which run in `folder`.
fn faults_of_script(script: &str, folder: &Path, root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    if script.contains("${{") {
        // Not all of what GitHub puts there is anybody's, but this way nobody has to think about it.
        faults.push("an expression is put into a shell; give it as `env`".to_owned());
    }
    let commands = script
        .lines()
        .flat_map(|line| line.split("&&"))
        .map(|command| command.split_whitespace().collect::<Vec<_>>());
    for words in commands {
        let fault = match words.as_slice() {
            ["cargo", "xtask", arguments @ ..] => fault_of_xtask(arguments),
            ["npm", "run", script, ..] => fault_of_npm(script, folder),
            ["npm" | "npx", ..] => Some("npm is called by `cargo xtask`, or runs a script".into()),
            [program, ..] if program.contains('/') && !root.join(program).is_file() => {
                Some(format!("there is no {program}"))
            }
            _ => None,
        };
        faults.extend(fault);
    }
    faults
}

fn fault_of_xtask(arguments: &[&str]) -> Option<String> {
    let words = ["xtask"].iter().chain(arguments);
    let parsed = crate::Cli::command().try_get_matches_from(words);
    let error = parsed.err()?.to_string();
    let line = error.lines().next().unwrap_or_default();
    Some(format!("cargo xtask {}: {line}", arguments.join(" ")))
}

fn fault_of_npm(script: &str, folder: &Path) -> Option<String> {
    let file = folder.join("package.json");
    let known = fs::read_to_string(&file).ok().and_then(|text| {
        // All JSON is YAML.
        let package = YamlLoader::load_from_str(&text).ok()?.into_iter().next()?;
        package["scripts"][script].as_str().map(drop)
    });
    known
        .is_none()
        .then(|| format!("{} has no script {script}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
permissions:
  contents: read
jobs:
  one:
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@0123456789abcdef0123456789abcdef01234567 # v1.2.3
      - run: cargo xtask test --yes && echo "$BRANCH"
        env:
          BRANCH: ${{ github.head_ref }}
      - run: .ci/run
      - run: npm run build
        working-directory: app
"#;

    /// The faults of a workflow that is good but for one thing.
    fn with(good: &str, bad: &str) -> Vec<String> {
        assert!(GOOD.contains(good), "{good}");
        faults_in(&GOOD.replace(good, bad), &root())
    }

    #[test]
    fn a_good_workflow_has_no_faults() {
        assert_eq!(faults_in(GOOD, &root()), [""; 0]);
    }

    #[test]
    fn each_fault_is_found() {
        for (good, bad, fault) in [
            ("jobs:", "jobs: [", "it is no YAML"),
            (
                "  contents: read",
                "  contents: write",
                "it may write contents",
            ),
            (
                "permissions:\n",
                "other:\n",
                "it does not say what it may do",
            ),
            ("    timeout-minutes: 5\n", "", "one: it may run for ever"),
            (
                "@0123456789abcdef0123456789abcdef01234567",
                "@v1",
                "one: actions/checkout is not named by a commit's hash",
            ),
            (
                " # v1.2.3",
                "",
                "one: actions/checkout has no version beside its hash",
            ),
            (
                "\"$BRANCH\"",
                "${{ github.head_ref }}",
                "one: an expression is put into a shell",
            ),
            ("xtask test", "xtask tset", "one: cargo xtask tset"),
            ("--yes", "--yess", "one: cargo xtask test --yess"),
            (".ci/run", ".ci/walk", "one: there is no .ci/walk"),
            ("run build", "run bulid", "has no script bulid"),
            ("npm run build", "npm ci", "one: npm is called by"),
        ] {
            let faults = with(good, bad);
            assert!(
                faults.iter().any(|it| it.contains(fault)),
                "{bad}: {faults:?}"
            );
        }
    }

    #[test]
    fn those_of_the_project_have_none() {
        check().unwrap();
    }
}
