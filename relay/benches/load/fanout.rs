//! How fast one message becomes fifty, and how long that takes.

use std::time::Duration;

use anyhow::{Result, ensure};
use neartalk_shared::Radius;

use crate::{
    Setup,
    chat::Chat,
    report::{Count, Millis, table},
    swarm::{Framing, Swarm},
};

/// A generator that is later than this at p99, in nanoseconds, measures itself.
const LATE_NS: u64 = 1_000_000;
/// How often a rate is tried when something else disturbs the generator.
const ATTEMPTS: usize = 4;

/// One run of the bench.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// Sockets, in cliques of one more than the recipients; rounded up to whole cliques
    #[arg(long, default_value_t = 1_000)]
    pub sockets: usize,
    /// How many people each message reaches
    #[arg(long, default_value_t = 50)]
    pub recipients: usize,
    /// Deliveries a second to offer, one run each
    #[arg(long, value_delimiter = ',', default_value = "30000,100000,300000")]
    pub rates: Vec<f64>,
    /// After these, steps by which to look for the highest rate that the relay sustains
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "450000,600000,750000,900000,1050000,1200000"
    )]
    pub search: Vec<f64>,
    /// Stop after the fixed rates
    #[arg(long)]
    pub no_search: bool,
    /// A rate with a longer p99 than this, in milliseconds, is not sustained
    #[arg(long, default_value_t = 100)]
    pub sustained_p99_ms: u64,
    /// How long each run is measured, in seconds, after one second to warm up
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 120)]
    pub text_bytes: usize,
}

impl Options {
    /// A run that takes two seconds and stresses nothing.
    pub fn quick() -> Self {
        Self {
            sockets: 102,
            recipients: 50,
            rates: vec![5_000.0],
            search: Vec::new(),
            no_search: true,
            sustained_p99_ms: 100,
            seconds: 1,
            text_bytes: 120,
        }
    }
}

/// What came of one rate.
struct Outcome {
    offered: f64,
    achieved: f64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    cpu_seconds: f64,
    seconds: f64,
    rss: u64,
    lost: u64,
    closed: usize,
    late_p99_ns: u64,
    generator_busy: f64,
}

impl Outcome {
    fn sustained(&self, p99_ms: u64) -> bool {
        self.lost == 0
            && self.closed == 0
            && self.achieved >= 0.98 * self.offered
            && self.p99_ns <= p99_ms * 1_000_000
    }

    /// The generator was late though it had time enough.
    fn disturbed(&self) -> bool {
        self.generator_busy <= 0.9 && self.late_p99_ns > LATE_NS
    }

    /// Why the figures say nothing of the relay, if they do not.
    fn invalid(&self) -> Option<String> {
        let late = Millis(self.late_p99_ns);
        let busy = 100.0 * self.generator_busy;
        if self.generator_busy > 0.9 {
            Some(format!(
                "the generator was the bottleneck ({busy:.0} % busy, p99 {late} ms late)"
            ))
        } else if self.disturbed() {
            Some(format!(
                "the generator was {late} ms late at p99, though only {busy:.0} % busy: something else ran on its core"
            ))
        } else {
            None
        }
    }
}

/// Runs every rate against a relay of its own and returns a Markdown table.
pub fn run(setup: &Setup, options: &Options) -> Result<String> {
    ensure!(options.recipients > 0, "a message needs recipients");
    let clique = options.recipients + 1;
    let cliques = options.sockets.div_ceil(clique);
    let mut rows = Vec::new();
    let mut best: Option<f64> = None;
    let mut verdicts = Vec::new();
    let searched = options.rates.len();
    let search = options.search.iter().filter(|_| !options.no_search);
    for (step, &rate) in options.rates.iter().chain(search).enumerate() {
        let mut outcome = one_rate(setup, options, clique, cliques, rate)?;
        for _ in 1..ATTEMPTS {
            if setup.quick || !outcome.disturbed() {
                break;
            }
            eprintln!(
                "  {} again: something else ran on the generator's core",
                Count(rate)
            );
            outcome = one_rate(setup, options, clique, cliques, rate)?;
        }
        rows.push(row(&outcome, step >= searched));
        eprintln!("  {}", rows[rows.len() - 1].join(" | "));
        let sustained = outcome.sustained(options.sustained_p99_ms);
        if let Some(why) = outcome.invalid().filter(|_| !setup.quick) {
            // Of a relay that cannot keep up nothing is proved by a generator that cannot either.
            ensure!(step >= searched, "at {} deliveries/s {why}", Count(rate));
            verdicts.push(format!(
                "At {} deliveries/s {why}; the search ends there.",
                Count(rate)
            ));
            break;
        }
        if sustained {
            best = Some(best.map_or(rate, |best| best.max(rate)));
        } else if step >= searched {
            break;
        } else if setup.quick {
            ensure!(
                outcome.lost == 0 && outcome.closed == 0,
                "messages were lost or sockets closed"
            );
        }
    }
    let best = best.map_or("none".into(), |rate| {
        format!("{} deliveries/s", Count(rate))
    });
    verdicts.insert(
        0,
        format!(
            "Highest rate tried and sustained (nothing lost, nobody closed, p99 at most {} ms): {best}.",
            options.sustained_p99_ms
        ),
    );
    let sockets = cliques * clique;
    Ok(format!(
        "### Fan-out: {sockets} sockets, {} recipients a message, {} B of text, {} s a rate\n\n{}\n{}\n",
        options.recipients,
        options.text_bytes,
        options.seconds,
        table(
            &[
                "offered/s",
                "delivered/s",
                "p50 ms",
                "p99 ms",
                "max ms",
                "relay CPU",
                "deliveries/CPU s",
                "RSS MiB",
                "lost",
                "closed",
                "generator late p99 ms",
                "generator busy",
            ],
            &rows
        ),
        verdicts.join("\n"),
    ))
}

fn row(outcome: &Outcome, search: bool) -> Vec<String> {
    vec![
        format!(
            "{}{}",
            Count(outcome.offered),
            if search { " (search)" } else { "" }
        ),
        Count(outcome.achieved).to_string(),
        Millis(outcome.p50_ns).to_string(),
        Millis(outcome.p99_ns).to_string(),
        Millis(outcome.max_ns).to_string(),
        format!("{:.0} %", 100.0 * outcome.cpu_seconds / outcome.seconds),
        Count(outcome.achieved * outcome.seconds / outcome.cpu_seconds.max(0.001)).to_string(),
        format!("{:.1}", outcome.rss as f64 / f64::from(1 << 20)),
        outcome.lost.to_string(),
        outcome.closed.to_string(),
        Millis(outcome.late_p99_ns).to_string(),
        format!("{:.0} %", 100.0 * outcome.generator_busy),
    ]
}

fn one_rate(
    setup: &Setup,
    options: &Options,
    clique: usize,
    cliques: usize,
    rate: f64,
) -> Result<Outcome> {
    let relay = setup.start_relay()?;
    let mut swarm = Swarm::new(Framing::WebSocket)?;
    swarm.grow(relay.address, clique * cliques)?;
    for spot in 0..cliques {
        swarm.locate(spot * clique..(spot + 1) * clique, spot, Radius::MAX)?;
    }
    swarm.settle(Duration::from_millis(1_500), Duration::from_secs(30))?;

    // One of each clique after the other, so that the load is even at every instant.
    let senders = (0..clique)
        .flat_map(|member| (0..cliques).map(move |spot| spot * clique + member))
        .collect();
    let mut chat = Chat::new(
        senders,
        rate / options.recipients as f64,
        options.text_bytes,
    )?;
    chat.run(&mut swarm, Duration::from_secs(1))?;
    chat.take(&swarm)?;
    let cpu_before = relay.cpu_seconds()?;
    chat.run(&mut swarm, Duration::from_secs(options.seconds))?;
    let cpu_seconds = relay.cpu_seconds()? - cpu_before;
    let rss = relay.rss()?;
    chat.drain(&mut swarm, Duration::from_secs(5))?;
    let measured = chat.take(&swarm)?;
    let totals = chat.totals();
    if let Some(error) = &measured.first_error {
        eprintln!("  {} error frames, the first: {error}", measured.errors);
    }
    let expected = totals.said * options.recipients as u64;
    let closed = swarm.closed();
    if !closed.is_empty() {
        eprintln!("  closed (code: how many): {closed:?}");
    }
    let outcome = Outcome {
        offered: rate,
        achieved: measured.rate(),
        p50_ns: measured.latency.value_at_quantile(0.5),
        p99_ns: measured.latency.value_at_quantile(0.99),
        max_ns: measured.latency.max(),
        cpu_seconds,
        seconds: measured.elapsed_ns as f64 / 1e9,
        rss,
        // Too many would be as wrong as too few.
        lost: expected.abs_diff(totals.received),
        closed: closed.values().sum(),
        late_p99_ns: measured.lateness.value_at_quantile(0.99),
        generator_busy: measured.busy(),
    };
    drop(swarm);
    relay.stop()?;
    Ok(outcome)
}
