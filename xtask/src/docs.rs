//! Documents go stale in silence, so what they say about commands and files is checked.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;

use crate::{
    cargo::{build, find, root},
    process::{Guard, run_reading},
};

/// Flags of other people's programs that the documents name.
const FOREIGN_FLAGS: [&str; 14] = [
    "--app-version",
    "--bin",
    "--build",
    "--cap-drop",
    "--locked",
    "--no-deps",
    "--now",
    "--owner",
    "--pull",
    "--pwprompt",
    "--read-only",
    "--release",
    "--security-opt",
    "--system",
];

/// The document that must name every setting of the relay.
const SELF_HOSTING: &str = "docs/self-hosting.md";

/// Checks that every flag, environment variable and file that a document names exists, and that
/// the self-hosting page names every setting of the relay.
pub fn check(guard: &Guard) -> Result<()> {
    // With the tests as well, so that what they were built from serves here, too.
    let all = ["--workspace", "--all-features", "--bins", "--tests"];
    let programs = build(&all, guard)?;
    let relay = help_of(find(&programs, "neartalk-relay")?, guard)?;
    let headless = help_of(find(&programs, "neartalk-headless")?, guard)?;
    let known = [relay.as_str(), &headless, &help_of_xtask()].join("\n");
    let (known_flags, known_variables) = (flags_in(&known), variables_in(&known));

    let mut faults = Vec::new();
    for path in documents()? {
        let text = fs::read_to_string(root().join(&path))?;
        let shown = path.display();
        // The benches take flags of their own, which no `--help` lists together.
        if path != Path::new("docs/benchmarks.md") {
            for flag in flags_in(&text).difference(&known_flags) {
                if !FOREIGN_FLAGS.contains(&flag.as_str()) {
                    faults.push(format!("{shown}: no program here takes {flag}"));
                }
            }
            for variable in variables_in(&text).difference(&known_variables) {
                faults.push(format!("{shown}: nothing reads {variable}"));
            }
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for link in local_links_in(&text) {
            if !root().join(folder).join(&link).exists() {
                faults.push(format!("{shown}: there is no {link} to link to"));
            }
        }
    }

    let page = fs::read_to_string(root().join(SELF_HOSTING))?;
    for flag in flags_in(&relay).difference(&flags_in(&page)) {
        if !["--help", "--version"].contains(&flag.as_str()) {
            faults.push(format!("{SELF_HOSTING} does not explain {flag}"));
        }
    }
    for variable in variables_in(&relay).difference(&variables_in(&page)) {
        faults.push(format!("{SELF_HOSTING} does not explain {variable}"));
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut documents = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(root().join("docs")).context("reading docs/")? {
        let name = entry?.file_name();
        if Path::new(&name).extension().is_some_and(|e| e == "md") {
            documents.push(Path::new("docs").join(name));
        }
    }
    documents.sort();
    Ok(documents)
}

fn help_of(program: &Path, guard: &Guard) -> Result<String> {
    let mut text = String::new();
    run_reading(Command::new(program).arg("--help"), guard, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    ensure!(
        text.contains("--help"),
        "{} --help prints no help",
        program.display()
    );
    Ok(text)
}

fn help_of_xtask() -> String {
    let mut command = crate::Cli::command();
    command.build();
    let subcommands = command.get_subcommands().cloned();
    subcommands
        .map(|mut sub| sub.render_long_help().to_string())
        .collect()
}

/// The long flags that a text names, such as `--listen`.
fn flags_in(text: &str) -> BTreeSet<String> {
    words(text, |c| c.is_ascii_alphanumeric() || c == '-')
        .filter(|word| {
            word.strip_prefix("--")
                .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        })
        .map(str::to_owned)
        .collect()
}

/// The project's environment variables that a text names.
pub fn variables_in(text: &str) -> BTreeSet<String> {
    words(text, |c| c.is_ascii_alphanumeric() || c == '_')
        .filter(|word| word.starts_with("NEARTALK_"))
        .map(str::to_owned)
        .collect()
}

fn words(text: &str, belongs: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !belongs(c))
}

/// Targets of Markdown links that are files, without the `#part`.
fn local_links_in(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .filter_map(|(target, _)| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn flags_are_found() {
        let text = "Give `--listen 0.0.0.0:80` or --log-format=json; a -- alone, ---, an A-->B and a--b are none.\n      --yes  [env: X=]";
        assert_eq!(flags_in(text), set(&["--listen", "--log-format", "--yes"]));
    }

    #[test]
    fn variables_are_found() {
        let text = "NEARTALK_LISTEN=127.0.0.1:80 [env: NEARTALK_LOG_FORMAT=] OTHER_VARIABLE";
        assert_eq!(
            variables_in(text),
            set(&["NEARTALK_LISTEN", "NEARTALK_LOG_FORMAT"])
        );
    }

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](docs/a.md) [b](https://example.org) [c](#part) ![d](d.png) [e](e.md#part)";
        assert_eq!(local_links_in(text), ["docs/a.md", "d.png", "e.md"]);
    }

    #[test]
    fn help_of_every_subcommand_is_seen() {
        let flags = flags_in(&help_of_xtask());
        for flag in ["--yes", "--long", "--listen", "--at"] {
            assert!(flags.contains(flag), "{flag} is not in {flags:?}");
        }
    }
}
