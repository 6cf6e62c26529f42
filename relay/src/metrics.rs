//! What a relay counts, under names that begin with `neartalk_`. Nothing here tells one person,
//! place or address from another.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::turn::relay::Refusal;

/// Upper bounds of the latency histogram's buckets, in seconds.
const LATENCY_BUCKETS: [f64; 12] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

const LATENCY: &str = "neartalk_delivery_latency_seconds";

/// What the room counts. The default counts nothing, for tests.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the help text of each stands where it is made")]
pub struct RoomMetrics {
    pub sessions: Gauge,
    pub people: Gauge,
    pub people_elsewhere: Gauge,
    /// Cells by how many people they hold: 1, 2–9, 10–99, 100 and more.
    pub cells: [Gauge; 4],
    pub history: Gauge,
    pub messages: Counter,
    pub deliveries: Counter,
    pub signals: Counter,
    pub reports: Counter,
    pub bans_reports: Counter,
    pub bans_operator: Counter,
    pub banned: Gauge,
    pub refused_banned: Counter,
    pub refused_proof: Counter,
    pub refused_word: Counter,
    pub refused_repeat_one: Counter,
    pub refused_repeat_many: Counter,
    pub limited_flood: Counter,
    pub limited_message: Counter,
    pub limited_location: Counter,
    pub limited_movement: Counter,
    pub limited_signal: Counter,
    pub limited_voice: Counter,
    pub limited_report: Counter,
    pub store_create: Counter,
    pub store_read: Counter,
    pub store_write: Counter,
    pub store_expire: Counter,
}

impl Default for RoomMetrics {
    fn default() -> Self {
        Self::registered(&metrics::NoopRecorder)
    }
}

impl RoomMetrics {
    fn registered(recorder: &impl Recorder) -> Self {
        let limited = |limit| counter(recorder, "neartalk_rate_limited_total", &[("limit", limit)]);
        let store = |op| counter(recorder, "neartalk_store_operations_total", &[("op", op)]);
        let bans = |by| counter(recorder, "neartalk_bans_total", &[("by", by)]);
        let session = |why| counter(recorder, "neartalk_sessions_refused_total", &[("why", why)]);
        let message = |why| counter(recorder, "neartalk_messages_refused_total", &[("why", why)]);
        let cells = |people| gauge(recorder, "neartalk_cells", &[("people", people)]);
        Self {
            sessions: gauge(recorder, "neartalk_sessions", &[]),
            people: gauge(recorder, "neartalk_people", &[]),
            people_elsewhere: gauge(recorder, "neartalk_people_elsewhere", &[]),
            cells: [cells("1"), cells("2-9"), cells("10-99"), cells("100+")],
            history: gauge(recorder, "neartalk_history_messages", &[]),
            messages: counter(recorder, "neartalk_messages_total", &[]),
            deliveries: counter(recorder, "neartalk_deliveries_total", &[]),
            signals: counter(recorder, "neartalk_signals_total", &[]),
            reports: counter(recorder, "neartalk_reports_total", &[]),
            bans_reports: bans("reports"),
            bans_operator: bans("operator"),
            banned: gauge(recorder, "neartalk_banned", &[]),
            refused_banned: session("banned"),
            refused_proof: session("proof_required"),
            refused_word: message("word"),
            refused_repeat_one: message("repeated_by_one"),
            refused_repeat_many: message("repeated_by_many"),
            limited_flood: limited("messages_per_address"),
            limited_message: limited("message"),
            limited_location: limited("location"),
            limited_movement: limited("movement"),
            limited_signal: limited("signal"),
            limited_voice: limited("voice_join"),
            limited_report: limited("report"),
            store_create: store("create"),
            store_read: store("read"),
            store_write: store("write"),
            store_expire: store("expire"),
        }
    }
}

/// What the sockets and the HTTP API count.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the help text of each stands where it is made")]
pub struct EdgeMetrics {
    pub connections: Gauge,
    pub connections_opened: Counter,
    pub latency: Histogram,
    pub queue_drops: Counter,
    pub store_up: Gauge,
    pub limited_sessions: Counter,
    pub limited_requests: Counter,
    pub limited_sockets: Counter,
}

impl EdgeMetrics {
    fn registered(recorder: &impl Recorder) -> Self {
        let limited = |limit| counter(recorder, "neartalk_rate_limited_total", &[("limit", limit)]);
        Self {
            connections: gauge(recorder, "neartalk_connections", &[]),
            connections_opened: counter(recorder, "neartalk_connections_opened_total", &[]),
            latency: recorder.register_histogram(&Key::from_static_name(LATENCY), &METADATA),
            queue_drops: counter(recorder, "neartalk_queue_drops_total", &[]),
            store_up: gauge(recorder, "neartalk_store_up", &[]),
            limited_sessions: limited("sessions_per_address"),
            limited_requests: limited("requests_per_address"),
            limited_sockets: limited("sockets_per_address"),
        }
    }
}

/// What the TURN server inside counts. The default counts nothing, for tests.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the help text of each stands where it is made")]
pub struct TurnMetrics {
    pub allocations: Gauge,
    pub granted: Counter,
    pub bindings: Counter,
    pub packets: Counter,
    pub bytes: Counter,
    /// By [`Refusal`].
    pub refusals: [Counter; Refusal::ALL.len()],
}

impl Default for TurnMetrics {
    fn default() -> Self {
        Self::registered(&metrics::NoopRecorder)
    }
}

impl TurnMetrics {
    fn registered(recorder: &impl Recorder) -> Self {
        let refusal = |refusal: Refusal| {
            let labels = [("reason", refusal.label())];
            counter(recorder, "neartalk_turn_refusals_total", &labels)
        };
        Self {
            allocations: gauge(recorder, "neartalk_turn_allocations", &[]),
            granted: counter(recorder, "neartalk_turn_allocations_granted_total", &[]),
            bindings: counter(recorder, "neartalk_turn_bindings_total", &[]),
            packets: counter(recorder, "neartalk_turn_packets_total", &[]),
            bytes: counter(recorder, "neartalk_turn_bytes_total", &[]),
            refusals: Refusal::ALL.map(refusal),
        }
    }
}

/// What the database's keeper counts.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the help text of each stands where it is made")]
pub struct DatabaseMetrics {
    pub up: Gauge,
    pub written: Counter,
    pub dropped: Counter,
    pub failures: Counter,
}

impl DatabaseMetrics {
    fn registered(recorder: &impl Recorder) -> Self {
        Self {
            up: gauge(recorder, "neartalk_database_up", &[]),
            written: counter(recorder, "neartalk_database_written_total", &[]),
            dropped: counter(recorder, "neartalk_database_dropped_total", &[]),
            failures: counter(recorder, "neartalk_database_failures_total", &[]),
        }
    }
}

/// All metrics of one relay. There is no global recorder, so that several relays can live in one
/// process.
#[derive(Debug)]
pub struct Metrics {
    /// What the room counts.
    pub room: RoomMetrics,
    /// What the sockets and the HTTP API count.
    pub edge: EdgeMetrics,
    /// What the TURN server inside counts.
    pub turn: TurnMetrics,
    /// What the database's keeper counts.
    pub database: DatabaseMetrics,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(LATENCY.into()), &LATENCY_BUCKETS)
            .expect("the list of buckets is not empty")
            .build_recorder();
        describe(&recorder);
        Self {
            room: RoomMetrics::registered(&recorder),
            edge: EdgeMetrics::registered(&recorder),
            turn: TurnMetrics::registered(&recorder),
            database: DatabaseMetrics::registered(&recorder),
            handle: recorder.handle(),
        }
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds what the histogram has collected into its buckets. Call this every few seconds;
    /// between calls it grows.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

static METADATA: Metadata<'static> = Metadata::new("neartalk_relay", Level::INFO, None);

fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
    Key::from_parts(name, labels)
}

fn counter(
    recorder: &impl Recorder,
    name: &'static str,
    labels: &[(&'static str, &'static str)],
) -> Counter {
    recorder.register_counter(&key(name, labels), &METADATA)
}

fn gauge(
    recorder: &impl Recorder,
    name: &'static str,
    labels: &[(&'static str, &'static str)],
) -> Gauge {
    recorder.register_gauge(&key(name, labels), &METADATA)
}

fn describe(recorder: &PrometheusRecorder) {
    let gauges = [
        ("neartalk_connections", "Open WebSocket connections."),
        ("neartalk_sessions", "Sessions that have not ended."),
        ("neartalk_people", "People with a place."),
        (
            "neartalk_people_elsewhere",
            "People on other relays whom people here may meet.",
        ),
        (
            "neartalk_store_up",
            "1 while all is well with what is behind the relay: its memory, or Redis; otherwise 0.",
        ),
        (
            "neartalk_cells",
            "Occupied index cells of about 500 m, by how many people they hold.",
        ),
        ("neartalk_history_messages", "Messages that still live."),
        (
            "neartalk_turn_allocations",
            "Relayed addresses that somebody has.",
        ),
        ("neartalk_banned", "Bans that have not ended."),
        (
            "neartalk_database_up",
            "1 while the database takes what is to be kept; 0 without one.",
        ),
    ];
    let counters = [
        (
            "neartalk_connections_opened_total",
            "WebSocket connections opened.",
        ),
        ("neartalk_messages_total", "Messages taken in."),
        (
            "neartalk_deliveries_total",
            "Messages put out, one per recipient.",
        ),
        ("neartalk_signals_total", "Voice signals forwarded."),
        ("neartalk_reports_total", "Reports taken in."),
        (
            "neartalk_database_written_total",
            "Bans and figures that the database has taken.",
        ),
        (
            "neartalk_database_dropped_total",
            "Bans and figures that were dropped, because too many waited for the database.",
        ),
        (
            "neartalk_database_failures_total",
            "Times that the database could not be used.",
        ),
        ("neartalk_bans_total", "People banned, by who decided."),
        (
            "neartalk_sessions_refused_total",
            "Sessions that were not made, by why: the address is banned, or a proof of work is asked for.",
        ),
        (
            "neartalk_messages_refused_total",
            "Messages that were not passed on, by why: a filtered word, or the same again and again.",
        ),
        (
            "neartalk_queue_drops_total",
            "Connections closed because their reader was too slow.",
        ),
        (
            "neartalk_rate_limited_total",
            "Refusals, by the limit that was hit.",
        ),
        (
            "neartalk_store_operations_total",
            "Operations on sessions, places and messages.",
        ),
        (
            "neartalk_turn_allocations_granted_total",
            "Relayed addresses given out.",
        ),
        (
            "neartalk_turn_bindings_total",
            "Clients told their own address.",
        ),
        (
            "neartalk_turn_packets_total",
            "Packets carried from one client to another.",
        ),
        ("neartalk_turn_bytes_total", "Bytes in these packets."),
        (
            "neartalk_turn_refusals_total",
            "What the TURN server did not do, by why.",
        ),
    ];
    for (name, help) in gauges {
        recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
    }
    for (name, help) in counters {
        recorder.describe_counter(KeyName::from_const_str(name), None, help.into());
    }
    let help = "From a message's arrival to its having been written to a recipient's socket.";
    recorder.describe_histogram(
        KeyName::from_const_str(LATENCY),
        Some(Unit::Seconds),
        help.into(),
    );
}
