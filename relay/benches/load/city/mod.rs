//! A city: people in crowds and alone, who walk, chat and join voice, on NearTalk and, side by side
//! in the same run, on servers that people might use instead.
//!
//! Everything happens at a time that is fixed before, whatever the server does, and latency counts
//! from that time. The generator is one thread on a core of its own; a run in which it was the
//! bottleneck fails.

mod check;
mod load;
mod map;
mod mqtt;
mod nats;
mod neartalk;
mod plan;
mod protocol;
mod report;
mod servers;
mod socketio;
mod topics;
mod verdict;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use self::{
    load::{Outcome, Work, live, populate},
    map::{Map, Reach},
    mqtt::Mqtt,
    nats::Nats,
    neartalk::NearTalk,
    plan::{Rates, plan},
    protocol::Protocol,
    report::{Row, compare, cost, growth, kept_up, nodes, rows},
    servers::{Kind, Servers},
    socketio::SocketIo,
    topics::Topics,
};
use crate::{
    Setup,
    goals::{self, Verdict},
    report::Count,
    swarm::{Framing, Swarm},
};

/// How often something is tried when something else disturbs the generator.
const ATTEMPTS: usize = 4;

/// One run of the bench.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_values_t = [Part::Cliques, Part::Map, Part::Growth, Part::Nodes])]
    part: Vec<Part>,
    /// On what, where servers are compared
    #[arg(long, value_delimiter = ',', default_values_t = [Server::Neartalk, Server::Nats, Server::Mosquitto, Server::Socketio])]
    server: Vec<Server>,
    /// Deliveries a second to offer, one run each, until a server no longer keeps up
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10000,30000,100000,300000,600000"
    )]
    rates: Vec<f64>,
    /// People in cliques of 51
    #[arg(long, default_value_t = 1_020)]
    in_cliques: usize,
    /// People on the map, where servers or nodes are compared
    #[arg(long, default_value_t = 3_000)]
    on_map: usize,
    /// People in the growing city, one run each
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000,2000,5000,10000,15000"
    )]
    growth: Vec<usize>,
    /// Messages that each says a minute in the growing city
    #[arg(long, default_value_t = 8.0)]
    a_minute: f64,
    /// Deliveries a second to offer to one relay and to two
    #[arg(long, value_delimiter = ',', default_value = "30000,100000")]
    node_rates: Vec<f64>,
    /// How long each run is measured, in seconds, after two seconds to warm up
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 120)]
    text_bytes: usize,
    /// A rate with a longer 99th percentile than this, in milliseconds, is not kept up
    #[arg(long, default_value_t = 100)]
    sustained_p99_ms: u64,
    /// What the city and its people are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Servers side by side, people in cliques that all see each other: ideal for brokers.
    Cliques,
    /// Servers side by side, people on a map.
    Map,
    /// NearTalk with more and more people.
    Growth,
    /// One relay, one on Redis, two on Redis.
    Nodes,
}

/// Where servers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Server {
    /// The relay
    Neartalk,
    /// nats-server over WebSocket
    Nats,
    /// mosquitto over TCP
    Mosquitto,
    /// socket.io over WebSocket, places in Redis
    Socketio,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        name(self, f)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        name(self, f)
    }
}

fn name(value: &impl ValueEnum, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    value
        .to_possible_value()
        .map_or(Ok(()), |value| f.write_str(value.get_name()))
}

impl Server {
    const fn kind(self) -> Kind {
        match self {
            Self::Neartalk => Kind::NearTalk {
                nodes: 1,
                redis: false,
            },
            Self::Nats => Kind::Nats,
            Self::Mosquitto => Kind::Mosquitto,
            Self::Socketio => Kind::SocketIo,
        }
    }

    /// How many times as much NearTalk is to do for a second of the processor.
    const fn goal(self) -> Option<f64> {
        match self {
            Self::Neartalk => None,
            Self::Nats => Some(1.5),
            Self::Mosquitto | Self::Socketio => Some(5.0),
        }
    }
}

impl Options {
    /// A run that takes a few seconds, and needs nothing but the relay.
    pub fn quick() -> Self {
        Self {
            part: vec![Part::Growth],
            server: vec![Server::Neartalk],
            rates: Vec::new(),
            in_cliques: 102,
            on_map: 200,
            growth: vec![200],
            a_minute: 60.0,
            node_rates: Vec::new(),
            seconds: 2,
            text_bytes: 120,
            sustained_p99_ms: 1_000,
            seed: 1,
        }
    }
}

/// A map and who reaches whom on it.
struct World {
    map: Map,
    neighbours: Vec<Vec<u32>>,
    reach: Reach,
}

impl World {
    fn new(map: Map) -> Result<Self> {
        let neighbours = map.neighbours();
        let reach = Reach::of(&neighbours);
        ensure!(
            reach.mean > 0.0,
            "nobody reaches anybody: choose more people"
        );
        Ok(Self {
            map,
            neighbours,
            reach,
        })
    }

    fn title(&self) -> String {
        let Reach {
            mean,
            median,
            most,
            alone,
        } = self.reach;
        format!(
            "{} people; a message reaches {mean:.0} of them on average (median {median}, most {most}); {alone} are alone",
            Count(self.map.people.len() as f64)
        )
    }
}

/// Runs the parts that are asked for and prints their tables; which goals are reached. An error when a
/// figure is worth nothing, or the relay was wrong.
pub fn run(setup: &Setup, options: &Options) -> Result<Vec<Verdict>> {
    let mut bad = Vec::new();
    let mut verdicts = Vec::new();
    for part in &options.part {
        match part {
            Part::Cliques => {
                let world = World::new(Map::cliques(options.in_cliques, 51))?;
                let title = "In cliques of 51";
                let measured = side_by_side(setup, options, &world, title, &mut bad)?;
                verdicts.extend(goals_beside("in cliques", options, &measured));
            }
            Part::Map => {
                let world = World::new(Map::city(options.on_map, options.seed))?;
                let measured = side_by_side(setup, options, &world, "On the map", &mut bad)?;
                verdicts.extend(goals_beside("on the map", options, &measured));
            }
            Part::Growth => {
                let mut measured = Vec::new();
                let kind = Server::Neartalk.kind();
                for &count in &options.growth {
                    let world = World::new(Map::city(count, options.seed))?;
                    eprintln!("growth: {}", world.title());
                    let says = count as f64 * options.a_minute / 60.0;
                    let outcome = one(setup, options, &world, kind, says, &mut bad)?;
                    measured.push((count, world.reach.mean, outcome));
                }
                println!(
                    "### A growing city: {} messages a minute each\n\n{}",
                    options.a_minute,
                    growth(&measured)
                );
                let costs: Vec<_> = measured
                    .iter()
                    .map(|(people, _, outcome)| (*people, cost(outcome)))
                    .collect();
                verdicts.extend(goals::flat(&costs));
            }
            Part::Nodes => {
                let world = World::new(Map::city(options.on_map, options.seed))?;
                eprintln!("nodes: {}", world.title());
                let mut measured = Vec::new();
                for &rate in &options.node_rates {
                    for (number, redis) in [(1, false), (1, true), (2, true)] {
                        let kind = Kind::NearTalk {
                            nodes: number,
                            redis,
                        };
                        let says = rate / world.reach.mean;
                        let outcome = one(setup, options, &world, kind, says, &mut bad)?;
                        measured.push((number, redis, outcome));
                    }
                }
                let (table, reached) = nodes(&measured);
                println!("### One relay and two: {}\n\n{table}", world.title());
                verdicts.extend(reached);
            }
        }
    }
    if !bad.is_empty() && !setup.quick {
        bail!("these figures are worth nothing:\n{}", bad.join("\n"));
    }
    Ok(verdicts)
}

/// Whether NearTalk does as much more than each of the others as it is to.
fn goals_beside(place: &str, options: &Options, measured: &[Row]) -> Vec<Verdict> {
    if !options.server.contains(&Server::Neartalk) {
        return Vec::new();
    }
    let others = options
        .server
        .iter()
        .filter_map(|&other| Some((other, other.goal()?)));
    let verdicts = others.flat_map(|(other, times)| {
        let [ours, theirs] = [Server::Neartalk, other].map(|server| kept_up(measured, server));
        goals::beside(place, &other.to_string(), times, &ours, &theirs)
    });
    verdicts.collect()
}

/// Measures every server at every rate that it keeps up, and the first that it does not.
fn side_by_side(
    setup: &Setup,
    options: &Options,
    world: &World,
    title: &str,
    bad: &mut Vec<String>,
) -> Result<Vec<Row>> {
    eprintln!("{title}: {}", world.title());
    let mut measured = Vec::new();
    for &server in &options.server {
        for &rate in &options.rates {
            let says = rate / world.reach.mean;
            let outcome = one(setup, options, world, server.kind(), says, bad)?;
            let sustained = outcome.performance().sustained(options.sustained_p99_ms);
            measured.push(Row {
                server,
                rate,
                sustained,
                outcome,
            });
            if !sustained {
                break;
            }
        }
    }
    println!(
        "### {title}: {}\n\n{}\n{}",
        world.title(),
        rows(&measured),
        compare(&measured)
    );
    Ok(measured)
}

/// Measures one server under one load, again if something else ran on the generator's core.
fn one(
    setup: &Setup,
    options: &Options,
    world: &World,
    kind: Kind,
    says: f64,
    bad: &mut Vec<String>,
) -> Result<Outcome> {
    let offered = Count(says * world.reach.mean);
    let mut attempt = 1;
    loop {
        let outcome = measure(setup, options, world, kind, says)?;
        let shown = report::progress(kind, &outcome);
        eprintln!("  {shown}");
        if attempt < ATTEMPTS && !setup.quick && outcome.generator.disturbed(outcome.p99()) {
            eprintln!("  again: something else ran on the generator's core");
            attempt += 1;
            continue;
        }
        if let Some(why) = outcome.generator.bottleneck(outcome.p99()) {
            eprintln!("  {why}");
            bad.push(format!("{kind:?} at {offered} deliveries/s: {why}"));
        }
        let findings = outcome.findings;
        ensure!(
            findings.messages > 0 && findings.right > 0,
            "no message of {kind:?} could be looked up: the run is too short"
        );
        // An overloaded server may lose messages, which its row tells. The relay may not be wrong
        // whatever happens.
        let wrong = findings.unwanted + findings.twice;
        ensure!(
            !matches!(kind, Kind::NearTalk { .. }) || wrong == 0,
            "the relay delivered to the wrong people: {findings:?}"
        );
        return Ok(outcome);
    }
}

/// Starts a server, lets everybody in, and measures.
fn measure(
    setup: &Setup,
    options: &Options,
    world: &World,
    kind: Kind,
    says: f64,
) -> Result<Outcome> {
    let people = world.map.people.len() as u64;
    ensure!(
        people + 100 <= setup.files,
        "{people} people need more than the {} files that a process may open here; raise `ulimit -n`",
        setup.files
    );
    let servers = Servers::start(setup, kind)?;
    let address = servers.addresses[0];
    let topics = world.map.clique.map_or(Topics::Cells, Topics::Cliques);
    let outcome = match kind {
        Kind::NearTalk { .. } => {
            let clients = NearTalk::new(&servers.addresses)?;
            measure_on(options, world, says, &servers, Framing::WebSocket, clients)
        }
        Kind::Nats => {
            let clients = Nats::new(address, topics);
            measure_on(options, world, says, &servers, Framing::WebSocket, clients)
        }
        Kind::Mosquitto => {
            let clients = Mqtt::new(address, topics);
            measure_on(options, world, says, &servers, Framing::Mqtt, clients)
        }
        Kind::SocketIo => {
            let clients = SocketIo::new(address);
            measure_on(options, world, says, &servers, Framing::WebSocket, clients)
        }
    }?;
    servers.stop()?;
    Ok(outcome)
}

fn measure_on(
    options: &Options,
    world: &World,
    says: f64,
    servers: &Servers,
    framing: Framing,
    mut clients: impl Protocol,
) -> Result<Outcome> {
    const SECOND: u64 = 1_000_000_000;
    let World {
        map, neighbours, ..
    } = world;
    let warm_up = 2 * SECOND;
    let end = warm_up + options.seconds * SECOND;
    let rates = Rates::of(map, says);
    let acts = plan(map, neighbours, rates, end, options.seed);
    let mut swarm = Swarm::new(framing)?;
    populate(&mut swarm, &mut clients, map)?;
    let work = Work {
        map,
        neighbours,
        acts: &acts,
        warm_up,
        end,
        text_bytes: options.text_bytes,
    };
    live(&mut swarm, &mut clients, &work, servers)
}
