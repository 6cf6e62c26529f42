//! The measurements.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use neartalk_rig::{
    lossy::{Conditions, Loss},
    pesq::{self, Pesq},
    pulse::Recorder,
    sound::{self, SpeechSource, samples},
};

use crate::{
    stage::{App, Person, Processing, Stage},
    table::{self, Goal, Row, Value},
};

/// The longest way from mouth to ear that is looked at, in seconds.
const LONGEST: f64 = 0.6;

/// Seconds of sound until buffers, gains and redundancy have settled.
const SETTLE: f64 = 12.0;

#[derive(Debug, Parser)]
pub struct Options {
    /// What to measure; everything by default
    parts: Vec<Part>,
    /// With one of them only
    #[arg(long)]
    only: Option<App>,
    /// Seconds of sound for the delay, and windows of 8 s for the quality
    #[arg(long, default_value = "40")]
    seconds: f64,
    /// How often somebody joins
    #[arg(long, default_value = "50")]
    joins: usize,
    /// Also tell each value as it is measured, and what NearTalk says of its buffers
    #[arg(long, short)]
    verbose: bool,
    // Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Delay from mouth to ear.
    Ear,
    /// Quality of speech without and with loss.
    Pesq,
    /// From joining to the first sound.
    Join,
    /// Processor time.
    Cpu,
    /// How much of an echo is left.
    Echo,
}

pub fn run(options: Options) -> Result<()> {
    let all = || Part::value_variants().to_vec();
    let parts = Some(options.parts.clone()).filter(|parts| !parts.is_empty());
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("load before: {load}(to measure, have the machine to yourself)");
    let bench = Bench { options };
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for part in parts.unwrap_or_else(all) {
        let measured = match part {
            Part::Ear => bench.ear(&mut rows),
            Part::Pesq => bench.pesq(&mut rows),
            Part::Join => bench.join(&mut rows),
            Part::Cpu => bench.cpu(&mut rows),
            Part::Echo => bench.echo(&mut rows),
        };
        // What has been measured so far is worth telling.
        if let Err(error) = measured {
            println!("{part:?} could not be measured: {error:#}");
            failed.push(part);
        }
    }
    println!("{}", table::print(&rows));
    ensure!(
        failed.is_empty(),
        "not everything could be measured: {failed:?}"
    );
    Ok(())
}

struct Bench {
    options: Options,
}

impl Bench {
    fn apps(&self) -> impl Iterator<Item = (usize, App)> {
        let only = self.options.only;
        let apps = [App::Neartalk, App::Chromium].into_iter().enumerate();
        apps.filter(move |(_, app)| only.is_none_or(|only| only == *app))
    }

    fn ear(&self, rows: &mut Vec<Row>) -> Result<()> {
        let cases = [
            (
                "mouth to ear, as installed",
                Processing::Installed,
                Goal::AtMost(65.0),
            ),
            (
                "mouth to ear, headset",
                Processing::Headset,
                Goal::AtMost(50.0),
            ),
            // Tells how much of the others is processing.
            (
                "mouth to ear, no processing",
                Processing::Nothing,
                Goal::None,
            ),
        ];
        for (what, processing, goal) in cases {
            let mut values = [None, None];
            for (n, app) in self.apps() {
                say(what, app);
                let mut stage = Stage::of(app, 2, processing)?;
                let (words, _) = speech(0)?;
                let _speaks = stage.pulse.play_always(0, words)?;
                let mut recorder = stage.pulse.record()?;
                recorder.next(SETTLE)?;
                let take = recorder.next(self.options.seconds)?;
                let (said, heard) = (take.microphone(0), take.loudspeaker(1));
                let found = sound::stretches(said, heard, samples(1.0), samples(LONGEST));
                let mut delays: Vec<f64> = found.iter().map(|it| it.found.delay_ms()).collect();
                delays.sort_by(f64::total_cmp);
                ensure!(delays.len() >= 5, "hardly anything is heard: {delays:?}");
                if self.options.verbose {
                    println!("{delays:.1?}");
                    tell_quality(&mut stage)?;
                }
                values[n] = Some(Value::new(
                    delays[delays.len() / 2],
                    format!("{:.0}–{:.0}", delays[0], delays[delays.len() - 1]),
                ));
            }
            rows.push(Row {
                what: what.to_owned(),
                unit: "ms",
                goal,
                values,
            });
        }
        Ok(())
    }

    fn pesq(&self, rows: &mut Vec<Row>) -> Result<()> {
        let pesq = Pesq::ready()?;
        let bursts = Loss::Bursts {
            share: 0.1,
            mean: 3.0,
        };
        let cases = [
            ("no loss", Loss::None, 4.4),
            ("10 % loss", Loss::Random(0.1), 4.2),
            ("20 % loss", Loss::Random(0.2), 4.0),
            ("30 % loss", Loss::Random(0.3), 3.5),
            ("10 % loss in bursts of 3", bursts, 3.5),
        ];
        let mut values = vec![[None, None]; cases.len()];
        for (n, app) in self.apps() {
            let mut stage = Stage::of(app, 2, Processing::Nothing)?;
            let (words, source) = speech(0)?;
            let _speaks = stage.pulse.play_always(0, words)?;
            let mut recorder = stage.pulse.record()?;
            for ((name, loss, _), values) in cases.iter().zip(&mut values) {
                say(name, app);
                let before = stage.network.counts();
                stage.network.set(Conditions {
                    loss: *loss,
                    ..Conditions::default()
                });
                recorder.skip();
                recorder.next(SETTLE)?;
                let scores = self.scores(&pesq, &mut recorder)?;
                let mean = scores.iter().sum::<f64>() / scores.len() as f64;
                let after = stage.network.counts();
                if self.options.verbose {
                    let (lost, carried) =
                        (after.lost - before.lost, after.carried - before.carried);
                    println!(
                        "{scores:.2?} ({source:?} speech; {lost} packets lost, {carried} carried)"
                    );
                    tell_quality(&mut stage)?;
                }
                let worst = scores.iter().copied().fold(f64::MAX, f64::min);
                values[n] = Some(Value::new(mean, format!("worst {worst:.2}")));
            }
        }
        for ((name, _, goal), values) in cases.into_iter().zip(values) {
            rows.push(Row {
                what: format!("PESQ-WB, {name}"),
                unit: "",
                goal: Goal::AtLeast(goal),
                values,
            });
        }
        Ok(())
    }

    /// The score of each window of what person 1 hears of person 0.
    fn scores(&self, pesq: &Pesq, recorder: &mut Recorder) -> Result<Vec<f64>> {
        let windows = (self.options.seconds / pesq::WINDOW).max(1.0) as usize;
        let take = recorder.next(pesq::WINDOW * windows as f64 + LONGEST)?;
        let (said, heard) = (take.microphone(0), take.loudspeaker(1));
        let length = samples(pesq::WINDOW);
        let (mut pairs, mut delay) = (Vec::new(), 0);
        for window in 0..windows {
            let at = window * length;
            let said = &said[at..at + length];
            let found = sound::find(
                said,
                &heard[at..at + length + samples(LONGEST)],
                samples(LONGEST),
            );
            // What can't be found is scored for what it is, where the last was found.
            if found.is_certain() {
                delay = found.delay.round() as usize;
            }
            let at = at + delay;
            pairs.push((said, &heard[at..at + length]));
        }
        pesq.score(&pairs)
    }

    fn join(&self, rows: &mut Vec<Row>) -> Result<()> {
        let mut total = [None, None];
        let mut signaled = None;
        for (n, app) in self.apps() {
            say("joining", app);
            let mut stage = Stage::start(&[app; 2], 2, Processing::Nothing, false)?;
            stage.join(0, true)?;
            let _speaks = stage.pulse.play_always(0, sound::chirp(0.3, 0.2))?;
            let mut recorder = stage.pulse.record()?;
            recorder.next(3.0)?;
            let (mut outside, mut inside) = (Vec::new(), Vec::new());
            for _ in 0..self.options.joins {
                recorder.skip();
                stage.join(1, true)?;
                outside.push(first_sound(&mut recorder)?);
                if let Person::NearTalk(it) = &mut stage.people[1] {
                    let told = it.wait("when the first sound came", |event| {
                        event["people"][0]["first_sound_ms"].as_f64()
                    })?;
                    inside.push(told);
                }
                stage.join(1, false)?;
                until_silent(&mut recorder)?;
            }
            if self.options.verbose {
                println!("to the loudspeaker {outside:.0?}\nafter signaling {inside:.0?}");
            }
            total[n] = Some(percentiles(&mut outside));
            if !inside.is_empty() {
                signaled = Some(percentiles(&mut inside));
            }
        }
        rows.push(Row {
            what: "first signal to first sound, p99 (as the client counts)".to_owned(),
            unit: "ms",
            goal: Goal::AtMost(100.0),
            values: [signaled, None],
        });
        rows.push(Row {
            what: "command to join until sound at the loudspeaker, p99".to_owned(),
            unit: "ms",
            goal: Goal::None,
            values: total,
        });
        Ok(())
    }

    fn cpu(&self, rows: &mut Vec<Row>) -> Result<()> {
        let mut pair = [None, None];
        let mut room = [None, None];
        for (n, app) in self.apps() {
            // Of a browser there is one: eight would not fit on a small machine.
            for (count, values) in [(2, &mut pair), (8, &mut room)] {
                say(&format!("processor time among {count}"), app);
                let mut stage = Stage::crowd(app, count, Processing::Open)?;
                let _speaks = stage.pulse.play_always(0, speech(0)?.0)?;
                let mut recorder = stage.pulse.record()?;
                recorder.next(SETTLE)?;
                let (began, before) = (Instant::now(), stage.cpu_time(0)?);
                recorder.next(20.0)?;
                let used = stage.cpu_time(0)?.saturating_sub(before);
                values[n] = Some(100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64());
            }
        }
        let each = |n: usize| Some((room[n]? - pair[n]?) / 6.0);
        let value = |value: Option<f64>| value.map(|it| Value::new(it, ""));
        for (what, goal, values) in [
            ("processor, two people, all told", Goal::None, pair),
            ("processor, eight people, all told", Goal::None, room),
            (
                "processor, each further peer",
                Goal::AtMost(1.0),
                [each(0), each(1)],
            ),
        ] {
            rows.push(Row {
                what: what.to_owned(),
                unit: "%",
                goal,
                values: values.map(value),
            });
        }
        Ok(())
    }

    fn echo(&self, rows: &mut Vec<Row>) -> Result<()> {
        let mut values = [None, None];
        for (n, app) in self.apps() {
            say("echo", app);
            let mut stage = Stage::of(app, 2, Processing::Open)?;
            stage.pulse.echo(1, 40, 6.0)?;
            let mut recorder = stage.pulse.record()?;
            let _speaks = stage.pulse.play_always(0, speech(0)?.0)?;
            let heard = Instant::now();
            while sound::dbfs(recorder.next(0.2)?.loudspeaker(1)) < -40.0 {
                ensure!(
                    heard.elapsed() < Duration::from_secs(20),
                    "nothing is heard"
                );
            }
            let early = recorder.next(2.0)?;
            recorder.next(3.0)?;
            let take = recorder.next(10.0)?;
            let [echo, left] = [take.microphone(1), take.loudspeaker(0)].map(sound::dbfs);
            let first = sound::dbfs(early.microphone(1)) - sound::dbfs(early.loudspeaker(0));
            if self.options.verbose {
                println!("echo {echo:.1} dBFS, what is left {left:.1} dBFS");
                tell_quality(&mut stage)?;
            }
            values[n] = Some(Value::new(
                f64::from(echo - left),
                format!("{first:.0} in the first 2 s"),
            ));
        }
        rows.push(Row {
            what: "echo lowered, after 5 s".to_owned(),
            unit: "dB",
            goal: Goal::AtLeast(37.0),
            values,
        });
        Ok(())
    }
}

fn say(what: &str, app: App) {
    println!("… {what}: {app:?}");
}

fn speech(number: usize) -> Result<(Vec<f32>, SpeechSource)> {
    let human = sound::human_speech(number);
    human
        .map(|words| (words, SpeechSource::Human))
        .context("there is no human speech to measure with; install the package alsa-utils")
}

/// Milliseconds until person 1 hears something.
fn first_sound(recorder: &mut Recorder) -> Result<f64> {
    const STEP: f64 = 0.005;
    for step in 0..3_000 {
        let take = recorder.next(STEP)?;
        if sound::dbfs(take.loudspeaker(1)) > -50.0 {
            return Ok(1_000.0 * STEP * f64::from(step));
        }
    }
    anyhow::bail!("nothing is heard for 15 s")
}

fn until_silent(recorder: &mut Recorder) -> Result<()> {
    for _ in 0..50 {
        if sound::loudest_dbfs(recorder.next(0.2)?.loudspeaker(1)) < -70.0 {
            return Ok(());
        }
    }
    anyhow::bail!("who has left voice still hears something")
}

fn percentiles(values: &mut [f64]) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Value::new(at(0.99), format!("p50 {:.0}", at(0.5)))
}

/// What the listener says of its buffers, for whoever asks where time goes.
fn tell_quality(stage: &mut Stage) -> Result<()> {
    if let Person::NearTalk(it) = &mut stage.people[1] {
        let now = it.listen(Duration::from_millis(1_200))?;
        let quality = now
            .iter()
            .rev()
            .find(|event| event["type"] == "voice_quality");
        let quality = quality.or_else(|| {
            it.seen()
                .rev()
                .find(|event| event["type"] == "voice_quality")
        });
        if let Some(quality) = quality {
            println!("{}", quality["people"]);
        }
    }
    Ok(())
}
