//! What was measured, as Markdown.

use super::{Server, load::Outcome, servers::Kind};
use crate::{
    goals::{self, Kept, Verdict},
    report::{Count, Millis, table},
};

/// One server at one rate.
pub struct Row {
    pub server: Server,
    pub rate: f64,
    /// Whether it keeps that up.
    pub sustained: bool,
    pub outcome: Outcome,
}

/// One line while it goes on.
pub fn progress(kind: Kind, outcome: &Outcome) -> String {
    format!("{kind:?} | {}", figures(outcome).join(" | "))
}

const HEAD: [&str; 13] = [
    "delivered/s",
    "wasted/s",
    "signals/s",
    "other/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "CPU",
    "of it Redis",
    "deliveries/CPU s",
    "RSS MiB",
    "wrong of looked up",
    "generator busy",
];

fn figures(outcome: &Outcome) -> Vec<String> {
    let findings = &outcome.findings;
    let wrong = outcome.performance().wrong;
    let each_second = |count: u64| Count(count as f64 / outcome.seconds).to_string();
    vec![
        Count(outcome.rate()).to_string(),
        each_second(outcome.wasted),
        each_second(outcome.signals),
        each_second(outcome.presence),
        Millis(outcome.latency.value_at_quantile(0.5)).to_string(),
        Millis(outcome.p99()).to_string(),
        Millis(outcome.latency.max()).to_string(),
        format!("{:.0} %", 100.0 * outcome.cpu / outcome.seconds),
        format!("{:.0} %", 100.0 * outcome.redis_cpu / outcome.seconds),
        Count(outcome.per_cpu()).to_string(),
        format!("{:.0}", outcome.rss as f64 / f64::from(1 << 20)),
        format!(
            "{wrong} of {}",
            Count((findings.right + findings.missed) as f64)
        ),
        format!("{:.0} %", 100.0 * outcome.generator.busy),
    ]
}

fn head(first: &[&'static str]) -> Vec<&'static str> {
    [first, &HEAD].concat()
}

/// Everything that was measured side by side.
pub fn rows(measured: &[Row]) -> String {
    let rows: Vec<_> = measured
        .iter()
        .map(|row| {
            let kept_up = if row.sustained { "" } else { " (not kept up)" };
            let mut line = vec![
                row.server.to_string(),
                format!("{}{kept_up}", Count(row.rate)),
            ];
            line.extend(figures(&row.outcome));
            line
        })
        .collect();
    table(&head(&["server", "offered/s"]), &rows)
}

/// What a server does at each rate that it keeps up.
pub fn kept_up(measured: &[Row], server: Server) -> Vec<Kept> {
    let rows = measured
        .iter()
        .filter(|row| row.sustained && row.server == server);
    let kept = rows.map(|row| Kept {
        rate: row.rate,
        per_cpu: row.outcome.per_cpu(),
        p99_ns: row.outcome.p99(),
    });
    kept.collect()
}

/// What NearTalk does for what each of the others does: at the same rate, where both keep it up, and
/// at the rate at which each does most for its processor time.
pub fn compare(measured: &[Row]) -> String {
    let best = |kept: &[Kept]| {
        let best = kept.iter().max_by(|a, b| a.per_cpu.total_cmp(&b.per_cpu));
        best.copied()
    };
    let ours = kept_up(measured, Server::Neartalk);
    let mut rows = Vec::new();
    for other in [Server::Nats, Server::Mosquitto, Server::Socketio] {
        let theirs = kept_up(measured, other);
        let mut line = |at: String, ours: Kept, theirs: Kept| {
            let ratio = ours.per_cpu / theirs.per_cpu;
            rows.push(vec![
                other.to_string(),
                at,
                format!("{ratio:.2}"),
                Millis(ours.p99_ns).to_string(),
                Millis(theirs.p99_ns).to_string(),
            ]);
        };
        for &ours in &ours {
            let theirs = theirs
                .iter()
                .find(|it| it.rate.total_cmp(&ours.rate).is_eq());
            if let Some(&theirs) = theirs {
                line(Count(ours.rate).to_string(), ours, theirs);
            }
        }
        if let (Some(ours), Some(theirs)) = (best(&ours), best(&theirs)) {
            let at = format!(
                "{} and {}, each at its best",
                Count(ours.rate),
                Count(theirs.rate)
            );
            line(at, ours, theirs);
        }
    }
    table(
        &[
            "beside",
            "offered/s",
            "NearTalk's deliveries/CPU s over its",
            "p99 ms of NearTalk",
            "p99 ms of it",
        ],
        &rows,
    )
}

/// Microseconds of processor time for a delivery.
pub fn cost(outcome: &Outcome) -> f64 {
    1e6 / outcome.per_cpu()
}

/// A growing city.
pub fn growth(measured: &[(usize, f64, Outcome)]) -> String {
    let first = measured
        .first()
        .map_or(1.0, |(_, _, outcome)| cost(outcome));
    let rows: Vec<_> = measured
        .iter()
        .map(|(people, reach, outcome)| {
            let mut line = vec![
                Count(*people as f64).to_string(),
                format!("{reach:.0}"),
                format!("{:.2}", cost(outcome)),
                format!("{:.2}", cost(outcome) / first),
            ];
            line.extend(figures(outcome));
            line
        })
        .collect();
    let first = ["people", "reached", "CPU µs a delivery", "over the first"];
    table(&head(&first), &rows)
}

/// One relay and two, and whether two carry enough.
pub fn nodes(measured: &[(usize, bool, Outcome)]) -> (String, Vec<Verdict>) {
    // What one does alone, in memory and with Redis.
    let mut alone = [None; 2];
    let mut verdicts = Vec::new();
    let mut rows = Vec::new();
    for (nodes, redis, outcome) in measured {
        // Of the relays alone: Redis is not what is added.
        let relays = outcome.delivered as f64 / (outcome.cpu - outcome.redis_cpu).max(0.01);
        if *nodes == 1 {
            alone[usize::from(*redis)] = Some(relays);
        }
        let over = alone.map(|of| of.map(|of: f64| *nodes as f64 * relays / of));
        if *nodes == 2 {
            let each = ["in memory", "with Redis"].into_iter().zip(over);
            let reached = each
                .filter_map(|(one, ratio)| Some(goals::two_relays(outcome.offered, one, ratio?)));
            verdicts.extend(reached);
        }
        let [over_memory, over_redis] =
            over.map(|ratio| ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")));
        let mut line = vec![
            format!("{nodes}{}", if *redis { ", Redis" } else { ", memory" }),
            Count(outcome.offered).to_string(),
            Count(relays).to_string(),
            over_memory,
            if *redis { over_redis } else { String::new() },
        ];
        line.extend(figures(outcome));
        rows.push(line);
    }
    let first = [
        "relays",
        "offered/s",
        "deliveries/CPU s of the relays",
        "carried over one in memory",
        "carried over one with Redis",
    ];
    (table(&head(&first), &rows), verdicts)
}
