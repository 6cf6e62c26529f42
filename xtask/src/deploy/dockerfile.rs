//! What can be known of the relay's image before it is built: that it holds all that the relay needs and
//! nothing else. `cargo xtask dist-relay --check` builds and runs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use yaml_rust2::YamlLoader;

/// Where the relay looks for the certificates that TLS to Redis and PostgreSQL rests on.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the command that builds the relay can't do without, and why.
const BUILD: [(&str, &str); 5] = [
    ("-p neartalk-relay", "it builds something else"),
    ("--locked", "it may take other versions than were tested"),
    (
        "target-feature=+crt-static",
        "the program needs libraries that the image has not",
    ),
    (
        "--cfg getrandom_backend=\"linux_getrandom\"",
        "random numbers are read from a file",
    ),
    ("--target", "macros and build scripts are linked statically"),
];

/// Files of the project that must not get near an image.
const SECRETS: &str = "deploy/.env";

/// Checks the image that is made of the project at `root`.
pub fn check(root: &Path) -> Result<()> {
    let read =
        |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("reading {name}"));
    let faults = faults_in(&read("deploy/Dockerfile")?, &read(".dockerignore")?);
    println!("Dockerfile: {} faults", faults.len());
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// A Dockerfile: images, each made from another, of which the last is the one that it is about.
#[derive(Debug)]
pub struct Dockerfile {
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    from: String,
    /// What later ones call it.
    name: Option<String>,
    /// Instructions with the rest of their lines.
    steps: Vec<(String, String)>,
}

impl Stage {
    /// What follows an instruction, wherever it is given.
    fn all<'a>(&'a self, instruction: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        let steps = self.steps.iter();
        steps.filter_map(move |(name, rest)| (name == instruction).then_some(rest.as_str()))
    }

    /// What follows an instruction of which the last one counts.
    fn last<'a>(&'a self, instruction: &'a str) -> Option<&'a str> {
        self.all(instruction).next_back()
    }
}

impl Dockerfile {
    /// Reads one; none if it makes no image.
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
        let text = lines.join("\n").replace("\\\n", " ");
        let mut stages: Vec<Stage> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.eq_ignore_ascii_case("FROM") {
                let mut words = rest.split(' ');
                stages.push(Stage {
                    from: words.next()?.to_owned(),
                    name: words.nth(1).map(str::to_owned),
                    steps: Vec::new(),
                });
            } else {
                let step = (name.to_ascii_uppercase(), rest);
                stages.last_mut()?.steps.push(step);
            }
        }
        (!stages.is_empty()).then_some(Self { stages })
    }

    /// The ports on which a program listens in the image, by the variable that says so; those that are
    /// also exposed.
    pub fn listening(&self) -> BTreeMap<&str, &str> {
        let Some(image) = self.stages.last() else {
            return BTreeMap::new();
        };
        let exposed = image.all("EXPOSE").flat_map(str::split_whitespace);
        let exposed: BTreeSet<&str> = exposed.collect();
        let set = image.all("ENV").flat_map(str::split_whitespace);
        set.filter_map(|word| {
            let (variable, address) = word.split_once('=')?;
            let port = address.strip_prefix("0.0.0.0:")?;
            exposed.contains(port).then_some((variable, port))
        })
        .collect()
    }
}

/// What is wrong with the image, where `ignored` is what its build does not get to see.
fn faults_in(dockerfile: &str, ignored: &str) -> Vec<String> {
    let dockerfile = Dockerfile::parse(dockerfile);
    let stages = dockerfile.as_ref().map(|it| it.stages.as_slice());
    let Some([build, image]) = stages else {
        return vec!["it is not one image to build in, and one of what was built".to_owned()];
    };
    let mut faults = Vec::new();
    if image.from != "scratch" {
        faults.push(format!("the image holds all that {} does", image.from));
    }
    // The toolchain that everything else is built and tested with.
    let compiler = format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    if !build.from.contains(&compiler) {
        faults.push(format!("{} is no {compiler}…", build.from));
    }
    let command = build.all("RUN").find(|run| run.contains("cargo build"));
    let lacks = BUILD
        .iter()
        .filter(|(word, _)| !command.unwrap_or_default().contains(word));
    faults.extend(lacks.map(|(word, why)| format!("without {word} {why}")));

    let mut held = BTreeSet::new();
    for copy in image.all("COPY") {
        match copy.split(' ').collect::<Vec<_>>()[..] {
            [from, _, to] if from.strip_prefix("--from=") == build.name.as_deref() => {
                held.insert(to.to_owned());
            }
            _ => faults.push(format!("COPY {copy} takes nothing that was built")),
        }
    }
    if !held.remove(CERTIFICATES) {
        faults.push(format!("there is no {CERTIFICATES}"));
    }
    match image.last("ENTRYPOINT").map(words_of).as_deref() {
        Some([program, ..]) if held.remove(program) => {}
        started => faults.push(format!("the image has not what it starts: {started:?}")),
    }
    let more = held
        .iter()
        .map(|file| format!("the relay does not need {file}"));
    faults.extend(more);
    for (name, rest) in &image.steps {
        let starts = ["CMD", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL"].contains(&name.as_str());
        // Of a health check only what follows its options.
        let command = rest.split_once("CMD ").map_or(rest.as_str(), |(_, it)| it);
        if starts && words_of(command).is_empty() {
            faults.push(format!("there is no shell for {name} {rest}"));
        }
    }
    match image
        .last("USER")
        .map(|user| user.split(':').map(str::parse))
    {
        Some(ids) => match ids.collect::<Result<Vec<u32>, _>>().as_deref() {
            Ok([user, group]) if *user > 0 && *group > 0 => {}
            Ok(_) => faults.push("the image runs as root".to_owned()),
            Err(_) => faults.push("there are no names of users in the image".to_owned()),
        },
        None => faults.push("the image runs as root".to_owned()),
    }
    if image
        .last("STOPSIGNAL")
        .is_some_and(|signal| signal != "SIGTERM")
    {
        faults.push("the relay says goodbye to everyone on SIGTERM only".to_owned());
    }
    if !ignored.lines().any(|line| line == SECRETS) {
        faults.push(format!(
            "the build gets to see {SECRETS}; put it into .dockerignore"
        ));
    }
    faults
}

/// The words of a list such as `["/program", "--flag"]`, which needs no shell; none if it is not one.
fn words_of(list: &str) -> Vec<String> {
    let read = YamlLoader::load_from_str(list).ok();
    let list = read.and_then(|read| read.first()?.as_vec().cloned());
    let words = list.unwrap_or_default();
    words
        .iter()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::root;

    fn real() -> [String; 2] {
        let read = |name| fs::read_to_string(root().join(name)).expect("it exists");
        [read("deploy/Dockerfile"), read(".dockerignore")]
    }

    #[test]
    fn the_image_has_all_that_the_relay_needs_and_nothing_else() {
        let [dockerfile, ignored] = real();
        assert_eq!(faults_in(&dockerfile, &ignored), Vec::<String>::new());
        let parsed = Dockerfile::parse(&dockerfile).expect("it makes an image");
        let listening = [
            ("NEARTALK_ADMIN_LISTEN", "9100"),
            ("NEARTALK_LISTEN", "8080"),
        ];
        assert_eq!(parsed.listening(), BTreeMap::from(listening));
    }

    #[test]
    fn each_planted_fault_is_found() {
        let planted = [
            (
                "FROM scratch",
                "FROM debian",
                "the image holds all that debian does",
            ),
            (
                "rust:1.",
                "rust:0.",
                "docker.io/library/rust:0.95-slim-bookworm is no rust:1.95-…",
            ),
            (
                "--locked ",
                "",
                "without --locked it may take other versions than were tested",
            ),
            (
                "+crt-static",
                "+sse3",
                "without target-feature=+crt-static the program needs libraries that the image has not",
            ),
            (
                "linux_getrandom",
                "unsupported",
                "without --cfg getrandom_backend=\"linux_getrandom\" random numbers are read from a file",
            ),
            (
                " --target \"$target\"",
                "",
                "without --target macros and build scripts are linked statically",
            ),
            (
                "-p neartalk-relay",
                "-p neartalk-client",
                "without -p neartalk-relay it builds something else",
            ),
            (
                " /etc/ssl/certs/ca-certificates.crt\n",
                " /etc/ssl/cert.pem\n",
                "there is no /etc/ssl/certs/ca-certificates.crt",
            ),
            (
                "--from=build /neartalk-relay",
                "--from=base /neartalk-relay",
                "COPY --from=base /neartalk-relay /neartalk-relay takes nothing that was built",
            ),
            (
                "USER",
                "COPY --from=build /bin/sh /bin/sh\nUSER",
                "the relay does not need /bin/sh",
            ),
            (
                "ENTRYPOINT [\"/neartalk-relay\"]",
                "ENTRYPOINT [\"/relay\"]",
                "the image has not what it starts: Some([\"/relay\"])",
            ),
            (
                "ENTRYPOINT [\"/neartalk-relay\"]",
                "ENTRYPOINT /neartalk-relay",
                "there is no shell for ENTRYPOINT /neartalk-relay",
            ),
            (
                "EXPOSE",
                "HEALTHCHECK CMD curl http://127.0.0.1:8080/api/health\nEXPOSE",
                "there is no shell for HEALTHCHECK CMD curl http://127.0.0.1:8080/api/health",
            ),
            ("USER 65532:65532\n", "", "the image runs as root"),
            ("65532:65532", "65532:0", "the image runs as root"),
            (
                "65532:65532",
                "nobody:nobody",
                "there are no names of users in the image",
            ),
            (
                "SIGTERM",
                "SIGHUP",
                "the relay says goodbye to everyone on SIGTERM only",
            ),
            (
                "deploy/.env\n",
                "",
                "the build gets to see deploy/.env; put it into .dockerignore",
            ),
        ];
        for (from, to, fault) in planted {
            let whole = real();
            assert!(whole.concat().contains(from), "{from}");
            let [dockerfile, ignored] = whole.map(|text| text.replacen(from, to, 1));
            let found = faults_in(&dockerfile, &ignored);
            assert!(found.iter().any(|it| it == fault), "{fault}: {found:?}");
        }
    }
}
