//! Prints what a call costs with everybody in this process, over loopback, everything but devices:
//! `cargo run --release -p neartalk-voice --example crowd -- 2 8`.

use std::{
    collections::VecDeque,
    error::Error,
    time::{Duration, Instant},
};

use neartalk_voice::{
    FRAME,
    call::{Call, CallConfig, CallEvent},
    mesh::Event,
    mixer::MeterConfig,
    processing::{ProcessingSettings, Processor},
};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{runtime::Handle, time::MissedTickBehavior};

const SECONDS: usize = 15;

struct Person {
    call: Call<usize, SmallRng>,
    processor: Processor,
}

/// Processor time of this process so far, in seconds (Linux).
fn processor_time() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no such process")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok(f64::from(ticks) / 100.0)
}

/// A buzz that comes and goes, as long as its period goes into a second.
fn frame(who: usize, tick: usize) -> [f32; FRAME] {
    std::array::from_fn(|n| {
        let at = tick * FRAME + n;
        let period = 300 + 20 * who;
        let phase = (at % period) as f32 / period as f32;
        let swell = (at as f32 / (9_000.0 + 500.0 * who as f32)).sin().max(0.0);
        0.5 * swell * (1.0 - 2.0 * phase) * (1.0 - phase)
    })
}

async fn talk(people: usize, processed: bool) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let settings = if processed {
        ProcessingSettings::default()
    } else {
        ProcessingSettings::NOTHING
    };
    let mut crowd = Vec::new();
    for seed in 0..people {
        let config = CallConfig {
            addresses: vec!["127.0.0.1:0".parse()?],
            ..CallConfig::default()
        };
        let rng = SmallRng::seed_from_u64(seed as u64);
        crowd.push(Person {
            call: Call::new(config, Handle::current(), start, rng)?,
            processor: Processor::new(settings, MeterConfig::default()),
        });
    }
    for (a, person) in crowd.iter_mut().enumerate() {
        for b in (0..people).filter(|&b| b != a) {
            let event = Event::Appeared {
                peer: b,
                polite: a > b,
                near_edge_m: 0,
            };
            person.call.handle(event, start.elapsed());
        }
    }
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut out, mut before) = ([0.0; FRAME], 0.0);
    let mut signals = VecDeque::new();
    for tick in 0..SECONDS * 100 {
        // Once all are connected and settled.
        if tick == 500 {
            before = processor_time()?;
        }
        pace.tick().await;
        let now = start.elapsed();
        for (who, person) in crowd.iter_mut().enumerate() {
            let mut frame = frame(who, tick);
            person.processor.near_end(&mut frame);
            person.call.overhear(&frame);
            person.call.say(now, Some(&frame));
            person.call.hear(now, &mut out);
            person.processor.far_end(&out);
            while let Some(event) = person.call.next_event() {
                if let CallEvent::Signal { to, signal } = event {
                    signals.push_back((who, to, signal));
                }
            }
        }
        while let Some((from, to, signal)) = signals.pop_front() {
            crowd[to].call.signal(from, signal, now);
        }
        if people == 2 && tick % 100 == 99 && tick < 800 {
            let quality = crowd[0].call.quality(1, now).ok_or("nobody there")?;
            let stats = crowd[0].call.stats(1, now).ok_or("nobody there")?;
            println!(
                "  after {} s: held back {:.1} ms (target {:?}), {} packets, {} ms made up, first sound {:?}",
                tick / 100 + 1,
                quality.delay.as_secs_f64() * 1e3,
                quality.target,
                stats.received,
                stats.concealed / 48,
                quality.first_sound
            );
        }
    }
    let share = (processor_time()? - before) / (SECONDS - 5) as f64 / people as f64 * 100.0;
    println!(
        "{people} people, {}: {share:.2} % of a core each, {:.2} % a peer",
        if processed {
            "sound processed"
        } else {
            "not processed"
        },
        share / (people - 1) as f64
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for people in std::env::args().skip(1) {
        for processed in [false, true] {
            talk(people.parse()?, processed).await?;
        }
    }
    Ok(())
}
