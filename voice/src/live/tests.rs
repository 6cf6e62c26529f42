//! The core in virtual time, and the thread with files.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::{core::Core, *};
use crate::{
    FRAME,
    call::CallConfig,
    device::{DeviceId, DeviceInfo, Direction},
    processing::TalkMode,
    signal,
    wav::{WavSink, WavSource},
};

type Id = u8;

const FRAME_TIME: Duration = Duration::from_millis(10);

fn settings() -> LiveSettings {
    LiveSettings {
        processing: ProcessingSettings::NOTHING,
        ..LiveSettings::default()
    }
}

fn core(settings: LiveSettings) -> Core<Id> {
    let config = CallConfig::default();
    Core::new(settings, config, Handle::current(), Instant::now())
}

fn join(core: &mut Core<Id>) {
    let join = Input::Join {
        ice_servers: Vec::new(),
        max_peers: 8,
    };
    core.handle(join, Duration::ZERO).unwrap();
}

/// A second of `sound`, and what comes of it.
fn second(core: &mut Core<Id>, from: Duration, sound: &[f32]) -> Vec<Output<Id>> {
    let mut outputs = Vec::new();
    for (n, chunk) in sound.chunks_exact(FRAME).take(100).enumerate() {
        let now = from + FRAME_TIME * n as u32;
        let mut frame: [f32; FRAME] = chunk.try_into().unwrap();
        core.record(now, &mut frame);
        core.play(now, &mut frame);
        core.pump(now);
        outputs.extend(std::iter::from_fn(|| core.next_output()));
    }
    outputs
}

fn levels(outputs: &[Output<Id>]) -> Vec<&LevelReport<Id>> {
    let mut reports = Vec::new();
    for output in outputs {
        if let Output::Levels(report) = output {
            reports.push(report);
        }
    }
    reports
}

fn hints(outputs: &[Output<Id>]) -> usize {
    let hint = |output: &&Output<Id>| matches!(output, Output::SpeaksWhileMuted);
    outputs.iter().filter(hint).count()
}

#[tokio::test]
async fn levels_are_told_ten_times_a_second_and_only_while_somebody_wants_them() {
    let mut core = core(settings());
    let tone = signal::tone(300.0, 0.3, 48_000);
    assert!(second(&mut core, Duration::ZERO, &tone).is_empty());
    core.handle(Input::Test(true), Duration::ZERO).unwrap();
    let outputs = second(&mut core, Duration::from_secs(1), &tone);
    let told = levels(&outputs);
    assert!((9..=11).contains(&told.len()), "{}", told.len());
    let last = told.last().unwrap();
    assert!(last.own.speaking && last.talking && last.people.is_empty());
    assert!((-15.0..-10.0).contains(&last.own.rms_dbfs), "{last:?}");
    core.handle(Input::Test(false), Duration::ZERO).unwrap();
    assert!(second(&mut core, Duration::from_secs(2), &tone).is_empty());
    // A call wants them too, and its quality once a second.
    join(&mut core);
    let outputs = second(&mut core, Duration::from_secs(3), &tone);
    assert!((9..=11).contains(&levels(&outputs).len()));
    let quality = |output: &&Output<Id>| matches!(output, Output::Quality(all) if all.is_empty());
    assert_eq!(outputs.iter().filter(quality).count(), 1);
}

#[tokio::test]
async fn who_speaks_while_muted_is_told_so_but_not_all_the_time() {
    let mut core = core(settings());
    join(&mut core);
    core.handle(Input::Mute(true), Duration::ZERO).unwrap();
    let tone = signal::tone(300.0, 0.3, 48_000);
    let mut told = Vec::new();
    for at in 0..30 {
        let outputs = second(&mut core, Duration::from_secs(at), &tone);
        assert!(levels(&outputs).iter().all(|report| !report.talking));
        told.push(hints(&outputs));
    }
    assert_eq!(told.iter().sum::<usize>(), 2, "{told:?}");
    assert_eq!(told[0], 1);
    // Nobody is told so who only tries the microphone out.
    let mut core = self::core(settings());
    core.handle(Input::Test(true), Duration::ZERO).unwrap();
    core.handle(Input::Mute(true), Duration::ZERO).unwrap();
    assert_eq!(hints(&second(&mut core, Duration::ZERO, &tone)), 0);
}

#[tokio::test]
async fn other_settings_hold_at_once() {
    let mut core = core(settings());
    join(&mut core);
    let quiet = signal::tone(300.0, 0.01, 48_000);
    let talks = |outputs: &[Output<Id>]| levels(outputs).last().unwrap().talking;
    let outputs = second(&mut core, Duration::ZERO, &quiet);
    assert!(talks(&outputs), "-43 dBFS are above -45");
    let with = |core: &mut Core<Id>, activity_dbfs, mode| {
        let mut settings = settings();
        settings.activity_dbfs = activity_dbfs;
        settings.gate.mode = mode;
        let settings = Box::new(settings);
        core.handle(Input::Settings(settings), Duration::ZERO)
            .unwrap();
    };
    with(&mut core, -30.0, TalkMode::VoiceActivity);
    assert!(!talks(&second(&mut core, Duration::from_secs(1), &quiet)));
    with(&mut core, -30.0, TalkMode::PushToTalk);
    assert!(!talks(&second(&mut core, Duration::from_secs(2), &quiet)));
    core.handle(Input::Press(true), Duration::from_secs(3))
        .unwrap();
    assert!(talks(&second(&mut core, Duration::from_secs(3), &quiet)));
    core.handle(Input::Deafen(true), Duration::from_secs(4))
        .unwrap();
    assert!(!talks(&second(&mut core, Duration::from_secs(4), &quiet)));
}

#[tokio::test]
async fn a_worn_loudspeaker_needs_no_echo_cancelled_unless_told_otherwise() {
    let opened = |is_worn| DeviceEvent::Opened {
        direction: Direction::Output,
        device: DeviceInfo {
            id: DeviceId::new("x"),
            name: "x".into(),
            is_default: true,
            is_worn,
        },
        rate: 48_000,
        fallback: false,
    };
    let mut core = core(LiveSettings::default());
    assert!(core.cancels_echo());
    core.device(opened(true));
    assert!(!core.cancels_echo());
    core.device(opened(false));
    assert!(core.cancels_echo());
    for (headset, worn, cancels) in [
        (Headset::On, false, false),
        (Headset::Off, true, true),
        (Headset::Auto, true, false),
    ] {
        core.device(opened(worn));
        let settings = LiveSettings {
            headset,
            ..LiveSettings::default()
        };
        core.handle(Input::Settings(Box::new(settings)), Duration::ZERO)
            .unwrap();
        assert_eq!(core.cancels_echo(), cancels, "{headset:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thread_starts_takes_what_it_is_told_and_ends_with_its_files_closed() {
    let folder = std::env::temp_dir();
    let name = |what: &str| folder.join(format!("neartalk-live-{}-{what}", std::process::id()));
    let (microphone, speaker) = (name("mic.wav"), name("speaker.wav"));
    let mut sink = WavSink::create(&microphone).unwrap();
    for frame in signal::tone(300.0, 0.3, 480_000).chunks_exact(FRAME) {
        sink.write(frame.try_into().unwrap());
    }
    drop(sink);
    let config = LiveConfig {
        settings: settings(),
        files: SoundFiles {
            microphone: Some(microphone.clone()),
            speaker: Some(speaker.clone()),
        },
        addresses: Vec::new(),
    };
    let mut live: Live<Id> = start(config.clone(), Handle::current()).unwrap();
    live.tell(Input::Test(true)).unwrap();
    let speaking = async {
        loop {
            if let Some(Output::Levels(report)) = live.next().await
                && report.own.speaking
            {
                return;
            }
        }
    };
    let guard = Duration::from_secs(20);
    tokio::time::timeout(guard, speaking).await.unwrap();
    tokio::time::timeout(guard, live.stop()).await.unwrap();
    let mut written = WavSource::open(&speaker).unwrap();
    assert!(written.read(&mut [0.0; FRAME]), "something was played");
    std::fs::remove_file(microphone).unwrap();
    // The microphone's file is gone now, and the thread says so and ends.
    let mut live: Live<Id> = start(config, Handle::current()).unwrap();
    let last = tokio::time::timeout(guard, live.next()).await.unwrap();
    assert!(
        matches!(last, Some(Output::Ended(LiveError::File(_)))),
        "{last:?}"
    );
    assert!(live.next().await.is_none());
    assert_eq!(live.tell(Input::Leave), Err(NotTaken));
    std::fs::remove_file(speaker).unwrap();
}
