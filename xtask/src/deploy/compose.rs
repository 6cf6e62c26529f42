//! What can be known of the compose file without a container engine: that it hangs together, with
//! the files that it mounts, the settings of what runs in it, and the relay's image.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Result, ensure};
use yaml_rust2::{Yaml, YamlLoader, yaml::Hash};

use super::dockerfile::Dockerfile;

/// What has to be there.
const SERVICES: [&str; 7] = [
    "relay-1",
    "relay-2",
    "redis",
    "caddy",
    "postgres",
    "prometheus",
    "grafana",
];

/// Checks the files below `deploy`.
pub fn check(deploy: &Path) -> Result<()> {
    let read = |name| fs::read_to_string(deploy.join(name));
    let files = Files {
        compose: read("compose.yaml")?,
        caddyfile: read("Caddyfile")?,
        prometheus: read("prometheus.yml")?,
        example: read("example.env")?,
        dockerfile: read("Dockerfile")?,
    };
    let faults = faults_in(&files, |mounted| deploy.join(mounted).exists());
    println!("compose.yaml: {} faults", faults.len());
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[derive(Clone)]
struct Files {
    compose: String,
    caddyfile: String,
    prometheus: String,
    example: String,
    dockerfile: String,
}

/// What is wrong with these files, where `exists` tells of those that are mounted.
fn faults_in(files: &Files, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let compose = match YamlLoader::load_from_str(&files.compose).as_deref() {
        Ok([compose]) => merged(compose),
        Ok(documents) => return vec![format!("{} documents, not one", documents.len())],
        Err(error) => return vec![format!("it is no YAML: {error}")],
    };
    let mut faults = Vec::new();
    let services: BTreeMap<&str, &Yaml> = entries(&compose["services"]).collect();
    for name in SERVICES {
        if !services.contains_key(name) {
            faults.push(format!("there is no service {name}"));
        }
    }
    let networks: BTreeSet<&str> = entries(&compose["networks"])
        .map(|(name, _)| name)
        .collect();
    let volumes: BTreeSet<&str> = entries(&compose["volumes"]).map(|(name, _)| name).collect();
    for (name, service) in &services {
        faults.extend(loose(service).map(|what| format!("{name} {what}")));
        for network in strings(&service["networks"]) {
            if !networks.contains(network) {
                faults.push(format!(
                    "{name} is on a network {network}, which there is not"
                ));
            }
        }
        for volume in strings(&service["volumes"]) {
            let from = volume.split(':').next().unwrap_or_default();
            let known = match from.strip_prefix("./") {
                Some(file) => exists(file),
                None => volumes.contains(from),
            };
            if !known {
                faults.push(format!("{name} mounts {from}, which there is not"));
            }
        }
    }
    let together = |one: &str, other: &str| {
        let on = |name| {
            let service = services.get(name).copied().unwrap_or(&Yaml::BadValue);
            strings(&service["networks"]).collect::<BTreeSet<_>>()
        };
        !on(one).is_disjoint(&on(other))
    };

    // Whoever calls somebody by name is on a network with them, and calls where they listen.
    let image = Dockerfile::parse(&files.dockerfile);
    let ports = image.as_ref().map(Dockerfile::listening);
    let ports = ports.unwrap_or_default();
    let mut calls = Vec::new();
    for (caller, text, kind) in [
        ("caddy", &files.caddyfile, "NEARTALK_LISTEN"),
        ("prometheus", &files.prometheus, "NEARTALK_ADMIN_LISTEN"),
    ] {
        let called: BTreeSet<_> = relays_in(text).collect();
        for relay in ["relay-1", "relay-2"] {
            match (
                called.iter().find(|(name, _)| *name == relay),
                ports.get(kind),
            ) {
                (Some((_, port)), Some(at)) if port == at => {}
                (Some((_, port)), at) => {
                    faults.push(format!(
                        "{caller} calls {relay} at {port}, which listens at {at:?}"
                    ));
                }
                (None, _) => faults.push(format!("{caller} does not know {relay}")),
            }
        }
        calls.extend(called.iter().map(|(name, _)| (caller, (*name).to_owned())));
    }
    for (name, service) in relays(&services) {
        for (variable, value) in entries(&service["environment"]) {
            let url = value.as_str().and_then(|value| value.split_once("://"));
            if let (Some((_, rest)), true) = (url, variable.ends_with("_URL")) {
                let host = rest.rsplit('@').next().unwrap_or(rest);
                let host = host.split([':', '/']).next().unwrap_or(host);
                calls.push((name, host.to_owned()));
            }
        }
    }
    for (caller, called) in &calls {
        if !services.contains_key(called.as_str()) {
            faults.push(format!("{caller} calls {called}, which there is not"));
        } else if !together(caller, called) {
            faults.push(format!("{caller} and {called} are on no network together"));
        }
    }
    for needed in ["redis", "postgres"] {
        for (relay, _) in relays(&services) {
            if !calls
                .iter()
                .any(|(caller, called)| *caller == relay && called == needed)
            {
                faults.push(format!("{relay} does not use {needed}"));
            }
        }
    }

    faults.extend(unlike_relays(&services));
    faults.extend(builds(&services));
    faults.extend(proxies(&compose, &services));
    faults.extend(variables(&files.compose, &files.example));
    faults
}

fn relays<'a>(services: &'a BTreeMap<&str, &Yaml>) -> impl Iterator<Item = (&'a str, &'a Yaml)> {
    services
        .iter()
        .filter(|(name, _)| name.starts_with("relay-"))
        .map(|(name, service)| (*name, *service))
}

/// What a service may do that none has to.
fn loose(service: &Yaml) -> impl Iterator<Item = &'static str> {
    let has = |what: &str, value: &str| strings(&service[what]).any(|it| it == value);
    let faults = [
        (
            service["read_only"] != Yaml::Boolean(true),
            "can write to its image",
        ),
        (!has("cap_drop", "ALL"), "keeps capabilities"),
        (
            !has("security_opt", "no-new-privileges:true"),
            "can gain privileges",
        ),
        (
            service["privileged"] == Yaml::Boolean(true),
            "is privileged",
        ),
        (
            service["restart"].as_str() != Some("unless-stopped"),
            "is not started again",
        ),
    ];
    faults
        .into_iter()
        .filter_map(|(wrong, what)| wrong.then_some(what))
}

/// Relays that are one differ in where their TURN servers listen, and in nothing else; and that is
/// published as it is, as clients are told the port that it has inside.
fn unlike_relays(services: &BTreeMap<&str, &Yaml>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut settings = BTreeSet::new();
    let mut published = BTreeSet::new();
    for (name, service) in relays(services) {
        let environment: BTreeMap<_, _> = entries(&service["environment"]).collect();
        let turn = environment
            .get("NEARTALK_TURN_LISTEN")
            .and_then(|v| v.as_str());
        let Some((_, port)) = turn.and_then(|turn| turn.rsplit_once(':')) else {
            faults.push(format!("{name} has no TURN server"));
            continue;
        };
        let mapping = format!("{port}:{port}/udp");
        if !strings(&service["ports"]).any(|port| port == mapping) {
            faults.push(format!("{name} does not publish {mapping}"));
        }
        if !published.insert(mapping) {
            faults.push(format!("{name} has another relay's TURN port"));
        }
        let same = environment
            .iter()
            .filter(|(variable, _)| **variable != "NEARTALK_TURN_LISTEN");
        settings.insert(format!("{:?}", same.collect::<Vec<_>>()));
    }
    if settings.len() > 1 {
        faults.push("the relays have different settings".to_owned());
    }
    faults
}

/// One relay's image is built, and the others have it from there: Compose builds all at once, and two
/// images of one name fail on each other; and what it does not build it would fetch.
fn builds(services: &BTreeMap<&str, &Yaml>) -> Vec<String> {
    let mut faults = Vec::new();
    let images: BTreeSet<_> = relays(services)
        .map(|(_, it)| it["image"].as_str())
        .collect();
    if images.len() != 1 || images.contains(&None) {
        faults.push(format!("the relays are not of one image: {images:?}"));
    }
    let (built, others): (Vec<_>, Vec<_>) =
        relays(services).partition(|(_, service)| !service["build"].is_badvalue());
    if built.len() != 1 {
        faults.push(format!("the relays' image is built {} times", built.len()));
    }
    let fetched = others
        .iter()
        .filter(|(_, service)| service["pull_policy"].as_str() != Some("never"));
    faults.extend(fetched.map(|(name, _)| format!("{name} looks elsewhere for its image")));
    // Nothing in that image could ask after it.
    let asked = relays(services).filter(|(_, service)| !service["healthcheck"].is_badvalue());
    faults.extend(asked.map(|(name, _)| format!("{name} has nothing to check its health with")));
    faults
}

/// Relays believe those on the network on which the reverse proxy reaches them, and no others.
fn proxies(compose: &Yaml, services: &BTreeMap<&str, &Yaml>) -> Vec<String> {
    let caddy = services.get("caddy").copied().unwrap_or(&Yaml::BadValue);
    let subnets: Vec<&str> = strings(&caddy["networks"])
        .filter_map(|network| compose["networks"][network]["ipam"]["config"][0]["subnet"].as_str())
        .collect();
    let wrong = relays(services).filter(|(_, service)| {
        let trusted = service["environment"]["NEARTALK_TRUSTED_PROXY"].as_str();
        trusted.is_none_or(|trusted| subnets != [trusted])
    });
    wrong
        .map(|(name, _)| format!("{name} does not trust Caddy's network alone, {subnets:?}"))
        .collect()
}

/// Every variable that has to be filled in is in the example, and says what it is; and no other is.
fn variables(compose: &str, example: &str) -> Vec<String> {
    let asked: BTreeSet<&str> = compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split([':', '}']).next())
        .collect();
    let explained: BTreeSet<&str> = compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next()?.split_once(":?"))
        .map(|(name, _)| name)
        .collect();
    let given: BTreeSet<&str> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let missing = asked.difference(&given);
    let missing = missing.map(|name| format!("example.env does not have {name}"));
    let unused = given.difference(&asked);
    let unused = unused.map(|name| format!("nothing uses {name} of example.env"));
    let silent = asked.difference(&explained);
    let silent = silent.map(|name| format!("{name} does not say what it is when it is missing"));
    missing.chain(unused).chain(silent).collect()
}

/// The relays that a file calls, and at which port.
fn relays_in(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split([' ', '\t', '\n', '"', ',', '[', ']'])
        .filter(|word| word.starts_with("relay"))
        .filter_map(|word| word.split_once(':'))
}

fn entries(yaml: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    let hash = yaml.as_hash().into_iter().flatten();
    hash.filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// The words of a list, or the keys of a mapping, which compose files take for one.
fn strings(yaml: &Yaml) -> impl Iterator<Item = &str> {
    let list = yaml.as_vec().into_iter().flatten().filter_map(Yaml::as_str);
    list.chain(entries(yaml).map(|(key, _)| key))
}

/// With `<<` carried out, which the parser leaves as it is.
fn merged(yaml: &Yaml) -> Yaml {
    match yaml {
        Yaml::Array(all) => Yaml::Array(all.iter().map(merged).collect()),
        Yaml::Hash(hash) => {
            let mut whole = Hash::new();
            for (key, value) in hash {
                if key.as_str() == Some("<<")
                    && let Yaml::Hash(from) = merged(value)
                {
                    for (key, value) in from {
                        whole.entry(key).or_insert(value);
                    }
                }
            }
            for (key, value) in hash {
                if key.as_str() != Some("<<") {
                    whole.insert(key.clone(), merged(value));
                }
            }
            Yaml::Hash(whole)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::root;

    fn real() -> Files {
        let read = |name| fs::read_to_string(root().join("deploy").join(name)).expect("it exists");
        Files {
            compose: read("compose.yaml"),
            caddyfile: read("Caddyfile"),
            prometheus: read("prometheus.yml"),
            example: read("example.env"),
            dockerfile: read("Dockerfile"),
        }
    }

    fn exists(file: &str) -> bool {
        root().join("deploy").join(file).exists()
    }

    #[test]
    fn the_files_hang_together() {
        assert_eq!(faults_in(&real(), exists), Vec::<String>::new());
    }

    #[test]
    fn each_planted_fault_is_found() {
        type Part = fn(&mut Files) -> &mut String;
        let compose: Part = |files| &mut files.compose;
        let planted: &[(Part, &str, &str, &str)] = &[
            (
                compose,
                "\n  redis:",
                "\n  valkey:",
                "there is no service redis",
            ),
            (
                compose,
                "@postgres/",
                "@database/",
                "relay-1 calls database, which there is not",
            ),
            (
                compose,
                "redis://redis:6379",
                "redis://caddy:6379",
                "relay-2 does not use redis",
            ),
            (
                compose,
                "  read_only: true",
                "  read_only: false",
                "grafana can write to its image",
            ),
            (
                compose,
                "  cap_drop: [ALL]\n",
                "",
                "caddy keeps capabilities",
            ),
            (
                compose,
                "3479:3479/udp",
                "3479:3479",
                "relay-2 does not publish 3479:3479/udp",
            ),
            (
                compose,
                "0.0.0.0:3479",
                "0.0.0.0:3478",
                "relay-2 has another relay's TURN port",
            ),
            (
                compose,
                "      NEARTALK_TURN_LISTEN: 0.0.0.0:3479",
                "      NEARTALK_TURN_LISTEN: 0.0.0.0:3479\n      NEARTALK_REDIS_PREFIX: other",
                "the relays have different settings",
            ),
            (
                compose,
                "    pull_policy: never\n",
                "    build: ..\n",
                "the relays' image is built 2 times",
            ),
            (
                compose,
                "    pull_policy: never\n",
                "",
                "relay-2 looks elsewhere for its image",
            ),
            (
                compose,
                "    pull_policy: never\n",
                "    pull_policy: never\n    image: relay\n",
                "the relays are not of one image: {Some(\"neartalk-relay\"), Some(\"relay\")}",
            ),
            (
                compose,
                "  stop_grace_period: 20s\n",
                "  healthcheck:\n    test: curl http://127.0.0.1:8080/api/health\n",
                "relay-1 has nothing to check its health with",
            ),
            (
                compose,
                "NEARTALK_TRUSTED_PROXY: 172.30.7.0/24",
                "NEARTALK_TRUSTED_PROXY: 172.30.0.0/16",
                "relay-1 does not trust Caddy's network alone, [\"172.30.7.0/24\"]",
            ),
            (
                compose,
                "./alerts.yml:",
                "./rules.yml:",
                "prometheus mounts ./rules.yml, which there is not",
            ),
            (
                compose,
                "networks: [front]",
                "networks: [outside]",
                "caddy and relay-1 are on no network together",
            ),
            (
                |f| &mut f.caddyfile,
                " relay-2:8080",
                "",
                "caddy does not know relay-2",
            ),
            (
                |f| &mut f.prometheus,
                "relay-2:9100",
                "relay-2:9000",
                "prometheus calls relay-2 at 9000, which listens at Some(\"9100\")",
            ),
            (
                |f| &mut f.example,
                "GRAFANA_PASSWORD=",
                "",
                "example.env does not have GRAFANA_PASSWORD",
            ),
            (
                |f| &mut f.example,
                "GRAFANA_PASSWORD=",
                "GRAFANA_PASSWORD=\nOTHER=",
                "nothing uses OTHER of example.env",
            ),
            (
                |f| &mut f.dockerfile,
                "EXPOSE 8080",
                "EXPOSE",
                "caddy calls relay-1 at 8080, which listens at None",
            ),
        ];
        for (part, from, to, fault) in planted {
            let mut files = real();
            let text = part(&mut files);
            assert!(text.contains(from), "{from}");
            *text = text.replacen(from, to, 1);
            let found = faults_in(&files, exists);
            assert!(
                found.iter().any(|found| found == fault),
                "{fault}: {found:?}"
            );
        }
    }
}
