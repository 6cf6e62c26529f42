//! Two people in one cell look the same.

use futures_util::{StreamExt, stream};
use neartalk_shared::{
    ClientFrame, Grid, MessageId, PeerId, Place, Spot,
    frame::{LeftReason, SignalData},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    around,
    common::{Person, Relay, spot},
    radii, relay, side, sites,
};

/// Pairs that are looked at at once.
const AT_ONCE: usize = 100;

/// A stage: where an attacker's sessions stand around two people who are to be told apart.
#[derive(Clone, Debug)]
struct Stage {
    /// The two; each is on stage alone, on a relay of their own.
    pair: [Place; 2],
    /// Of the circle of either.
    radius: u32,
    /// One session that is always in range, and has been there before.
    watcher: (Place, u32),
    /// Sessions that come later.
    others: [(Place, u32); 3],
    messages: [MessageId; 2],
}

impl Stage {
    fn new(pair: [Place; 2], radius: u32, watcher: (Place, u32), rng: &mut StdRng) -> Self {
        let far = 2.4 * f64::from(radius);
        let other = |rng: &mut StdRng| {
            let radius = rng.random_range(100..=2_000);
            (around(pair[0], far, rng), radius)
        };
        let others = [other(rng), other(rng), other(rng)];
        Self {
            pair,
            radius,
            watcher,
            others,
            messages: [MessageId::random(), MessageId::random()],
        }
    }
}

/// Everything that an attacker observes of whoever is at `place`, as it came over the wire, but for
/// what is random or tells the time.
async fn observe(relay: &Relay, stage: &Stage, place: Place) -> Vec<String> {
    let api = relay.api();
    let mut names: Vec<(PeerId, &str)> = Vec::new();
    let (there, metres) = stage.watcher;
    let mut watcher = Person::at(relay, &api, "Watcher", there, metres).await;
    watcher.join_voice().await;
    names.push((watcher.id(), "WATCHER"));

    // Comes, and does everything that can be noticed.
    let mut victim = Person::at(relay, &api, "Victim", place, stage.radius).await;
    names.push((victim.id(), "VICTIM"));
    let id = victim.id();
    watcher.sees(id).await;
    victim.say_as(stage.messages[0], "before anyone came").await;
    victim.send(&ClientFrame::Typing).await;
    victim.rename("Renamed").await;
    watcher.sees_change(id).await;
    victim.join_voice().await;
    watcher.meets_in_voice(id).await;
    watcher.sees_change(id).await;
    victim.signal(watcher.id(), SignalData::Bye).await;
    watcher.signalled(id).await;
    watcher.signal(id, SignalData::Bye).await;
    victim.signalled(watcher.id()).await;

    // Others look: two through HTTP, one through a socket.
    let mut answers = Vec::new();
    for ((there, metres), name) in stage.others[..2].iter().zip(["FIRST", "SECOND"]) {
        let session = api.session("Mallory").await;
        names.push((session.peer_id, name));
        answers.push(api.locate(&session, *there, *metres).await.text);
        answers.push(api.nearby(&session).await.text);
    }
    let (there, metres) = stage.others[2];
    let mut late = Person::join(relay, &api, "Late").await;
    names.push((late.id(), "LATE"));
    let in_range = late.locate(there, metres).await.peers().contains(&id);
    late.join_voice().await;
    late.signal(id, SignalData::Bye).await;
    late.settle().await;
    victim.say_as(stage.messages[1], "after").await;
    late.settle().await;
    watcher.settle().await;

    victim.leave().await;
    assert_eq!(watcher.misses(id).await, LeftReason::Left);
    if in_range {
        assert_eq!(late.misses(id).await, LeftReason::Left);
    }
    late.signal(id, SignalData::Bye).await;
    late.settle().await;
    watcher.settle().await;

    let frames = watcher
        .seen
        .iter()
        .map(|frame| ("watcher", frame))
        .chain(late.seen.iter().map(|frame| ("late", frame)))
        .chain(answers.iter().map(|answer| ("http", answer)))
        // When it comes depends on how fast the test runs; `nearby` has the same numbers.
        .filter(|(_, frame)| !frame.starts_with(r#"{"type":"reach""#));
    // People whom the two attackers see come and go are their own.
    let about_own = |frame: &str| {
        frame.starts_with(r#"{"type":"person_"#) && !frame.contains(&id.to_string())
            || frame.starts_with(r#"{"type":"voice_peer"#) && !frame.contains(&id.to_string())
    };
    frames
        .filter(|(_, frame)| !about_own(frame))
        .map(|(who, frame)| format!("{who}: {}", without_chance(frame, &names)))
        .collect()
}

/// A frame with names for public ids, and without times and what follows from the ids.
fn without_chance(frame: &str, names: &[(PeerId, &str)]) -> String {
    let mut text = frame.to_owned();
    for (id, name) in names {
        text = text.replace(&id.to_string(), name);
    }
    for key in [r#""sent_at":"#, r#""expires_at":"#, r#""server_time":"#] {
        let mut parts = text.split(key);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            out.push_str(key);
            out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        text = out;
    }
    text = in_order_of_names(&text);
    // Who is polite is decided by the ids.
    text.replace(r#""polite":true"#, r#""polite":?"#)
        .replace(r#""polite":false"#, r#""polite":?"#)
}

/// The same with everyone in a list who is equally far away in the order of their names: in a list
/// they are in the order of their random ids.
fn in_order_of_names(text: &str) -> String {
    let Some((before, people)) = text.split_once(r#""people":[{"#) else {
        return text.to_owned();
    };
    let Some((people, after)) = people.split_once("}]") else {
        return text.to_owned();
    };
    let distance = |person: &str| {
        let from = person.find(r#""distance""#);
        from.map(|at| {
            person[at..]
                .split('}')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
    };
    let mut people: Vec<_> = people.split("},{").collect();
    for equally_far in people.chunk_by_mut(|a, b| distance(a) == distance(b)) {
        equally_far.sort_unstable();
    }
    format!(r#"{before}"people":[{{{}}}]{after}"#, people.join("},{"))
}

/// What is observed of the two of each stage; each of them alone on a relay.
async fn observe_all(stages: Vec<Stage>) -> Vec<[Vec<String>; 2]> {
    let relays = [relay(), relay()];
    stream::iter(&stages)
        .map(|stage| async {
            let (a, b) = tokio::join!(
                observe(&relays[0], stage, stage.pair[0]),
                observe(&relays[1], stage, stage.pair[1]),
            );
            [a, b]
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_in_one_cell_look_the_same_byte_for_byte() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut stages = Vec::new();
    for grid in Grid::ALL {
        for a in sites(100, &mut rng) {
            let radius = rng.random_range(radii(grid));
            let cell = spot(a, radius).cell();
            let b = loop {
                let b = around(a, 2.0 * side(grid), &mut rng);
                if spot(b, radius).cell() == cell {
                    break b;
                }
            };
            // In range wherever in its cell anybody is.
            let close = f64::from(radius) / 2.0;
            let watcher: (Place, u32) = loop {
                let place = around(a, close, &mut rng);
                let metres = rng.random_range(100..=2_000);
                if spot(a, radius).in_range(&spot(place, metres)) {
                    break (place, metres);
                }
            };
            stages.push(Stage::new([a, b], radius, watcher, &mut rng));
        }
    }
    // They are as far apart as two anywhere in a square: 0.52 of its side on average.
    let apart = stages.iter().map(|s| s.pair[0].distance_m(s.pair[1]));
    assert!(apart.sum::<f64>() > 0.45 * 100.0 * (50.0 + 100.0 + 200.0));
    let seen = observe_all(stages).await;
    assert_eq!(seen.len(), 300);
    let mut in_range_of_others = 0;
    for [a, b] in &seen {
        for (a, b) in a.iter().zip(b) {
            assert_eq!(a, b);
        }
        assert_eq!(a.len(), b.len());
        in_range_of_others += usize::from(
            a.iter()
                .any(|line| line.starts_with("late: ") && line.contains("VICTIM")),
        );
        for kind in [
            "person_entered",
            "message",
            "typing",
            "voice_peer",
            "signal",
            "person_left",
        ] {
            let start = format!(r#"watcher: {{"type":"{kind}""#);
            assert!(
                a.iter().any(|line| line.starts_with(&start)),
                "no {kind}: {a:#?}"
            );
        }
    }
    // The others stand on both sides of their range.
    assert!(
        (50..250).contains(&in_range_of_others),
        "{in_range_of_others}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_in_different_cells_are_told_apart() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut stages = Vec::new();
    for grid in Grid::ALL {
        for a in sites(10, &mut rng) {
            // Three sides nearer: at least one band of distance, however both are snapped.
            let radius = *radii(grid).end();
            let bearing = rng.random_range(0.0..std::f64::consts::TAU);
            let b = a.destination(bearing, 3.0 * side(grid));
            let watcher = a.destination(bearing, 3.5 * side(grid));
            let at = |place| -> Spot { spot(place, radius) };
            assert!(at(watcher).in_range(&at(a)) && at(watcher).in_range(&at(b)));
            stages.push(Stage::new([a, b], radius, (watcher, radius), &mut rng));
        }
    }
    for [a, b] in observe_all(stages).await {
        assert_ne!(a, b);
        let entered = |lines: &[String]| {
            let line = lines
                .iter()
                .find(|l| l.contains(r#""type":"person_entered""#))
                .unwrap();
            let frame = line.split_once(": ").unwrap().1.to_owned();
            frame[frame.find(r#""distance""#).unwrap()..].to_owned()
        };
        assert_ne!(entered(&a), entered(&b));
    }
}
