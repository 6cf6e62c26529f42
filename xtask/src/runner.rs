//! Runs programs of tests: side by side those that mostly wait, and each of the others by itself.

use std::{
    process::Command,
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    cargo::TestProgram,
    process::{Ended, Guard, POLL, Process, read_rest},
    tally::Tally,
};

/// What mostly waits, for servers and for time to pass, and would wait longer without harm: how many
/// processors it keeps busy on average. What takes longest comes first. Whatever is not named here has
/// the machine to itself: what measures time, plays through devices, draws windows or routes between
/// networks.
const WAITING: &[(&str, f32)] = &[
    ("relay/tests/on_redis/main.rs", 0.25),
    ("relay/tests/socket/main.rs", 0.45),
    ("relay/tests/limits_and_abuse/main.rs", 0.9),
    ("relay/tests/many_relays/main.rs", 0.6),
    ("client/tests/voice.rs", 0.3),
    ("relay/tests/privacy/main.rs", 1.8),
    ("relay/tests/moderation/main.rs", 0.65),
    ("relay/benches/load/tests.rs", 0.9),
    ("relay/src/lib.rs", 1.9),
    ("relay/tests/http_api/main.rs", 1.6),
    ("client/tests/stubborn_relay.rs", 0.2),
    ("relay/tests/engines/main.rs", 1.2),
];

/// As they wait, more of their tests run at once than there are processors.
const AT_ONCE: &str = "8";

/// What to run programs of tests with.
pub struct Plan<'a> {
    /// What each is told.
    pub words: &'a [&'a str],
    pub variables: &'a [(&'a str, &'a str)],
    /// How many processors there are for them.
    pub processors: f32,
}

/// What became of one.
pub struct Outcome {
    pub source: String,
    pub time: Duration,
    pub tally: Tally,
    pub ended: Ended,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        matches!(self.ended, Ended::Exited(status) if status.success())
    }
}

/// Runs them all, whatever becomes of each. What one prints comes at once if it runs by itself, and
/// otherwise when it has ended. When the guard trips, those that run are stopped, and no more started.
pub fn run_all(
    programs: &[TestProgram],
    plan: &Plan<'_>,
    guard: &Guard,
    mut on_end: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let mut left = in_order(programs);
    let mut running: Vec<Running<'_>> = Vec::new();
    let mut outcomes = Vec::new();
    while !(left.is_empty() && running.is_empty()) {
        let loads: Vec<Option<f32>> = running.iter().map(|it| load(it.program)).collect();
        if let Some(next) = next(&left, &loads, plan.processors) {
            running.push(Running::start(left.remove(next), plan)?);
            continue;
        }
        for one in &mut running {
            one.read();
        }
        let tripped = guard.trips();
        let mut still = Vec::new();
        for mut one in running {
            let ended = match (one.process.ended()?, tripped) {
                (Some(status), _) => Ended::Exited(status),
                (None, Some(why)) => {
                    one.process.stop()?;
                    why
                }
                (None, None) => {
                    still.push(one);
                    continue;
                }
            };
            outcomes.push(one.finish(ended));
            outcomes.last().into_iter().for_each(&mut on_end);
        }
        running = still;
        if tripped.is_some() {
            break;
        }
        thread::sleep(POLL);
    }
    Ok(outcomes)
}

/// How many processors a program keeps busy, if others may run beside it.
fn load(program: &TestProgram) -> Option<f32> {
    let (_, load) = WAITING.iter().find(|it| it.0 == program.source)?;
    Some(*load)
}

/// First what waits, in the order above, then the others as they come.
fn in_order(programs: &[TestProgram]) -> Vec<&TestProgram> {
    let place = |it: &&TestProgram| WAITING.iter().position(|(source, _)| *source == it.source);
    let mut all: Vec<&TestProgram> = programs.iter().collect();
    all.sort_by_key(|it| place(it).unwrap_or(usize::MAX));
    all
}

/// Which of those that are left to start beside those that run.
fn next(left: &[&TestProgram], running: &[Option<f32>], processors: f32) -> Option<usize> {
    if running.is_empty() {
        return (!left.is_empty()).then_some(0);
    }
    let busy: f32 = running.iter().copied().sum::<Option<f32>>()?;
    left.iter()
        .position(|it| load(it).is_some_and(|load| busy + load <= processors))
}

struct Running<'a> {
    program: &'a TestProgram,
    process: Process,
    lines: Receiver<String>,
    output: Output,
    started: Instant,
}

impl<'a> Running<'a> {
    fn start(program: &'a TestProgram, plan: &Plan<'_>) -> Result<Self> {
        let mut command = Command::new(&program.file);
        // As cargo does.
        command.current_dir(&program.folder);
        command.env("CARGO_MANIFEST_DIR", &program.folder);
        command.args(plan.words);
        command.envs(plan.variables.iter().copied());
        let waits = load(program).is_some();
        if waits && std::env::var_os("RUST_TEST_THREADS").is_none() {
            command.env("RUST_TEST_THREADS", AT_ONCE);
        }
        if !waits {
            println!("\n> {}", program.source);
        }
        let (process, lines) = Process::start_reading(command)?;
        Ok(Self {
            program,
            process,
            lines,
            output: Output {
                kept: waits.then(Vec::new),
                tally: Tally::default(),
            },
            started: Instant::now(),
        })
    }

    /// Takes what it has printed by now.
    fn read(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.output.take(&line);
        }
    }

    fn finish(mut self, ended: Ended) -> Outcome {
        let time = self.started.elapsed();
        read_rest(&self.lines, |line| self.output.take(line));
        if let Some(kept) = self.output.kept {
            println!("\n> {}\n{}", self.program.source, kept.join("\n"));
        }
        Outcome {
            source: self.program.source.clone(),
            time,
            tally: self.output.tally,
            ended,
        }
    }
}

/// What a program has printed.
struct Output {
    /// Its lines, unless they are shown at once.
    kept: Option<Vec<String>>,
    tally: Tally,
}

impl Output {
    fn take(&mut self, line: &str) {
        if let Some(result) = Tally::from_test_result(line) {
            self.tally += result;
        }
        match &mut self.kept {
            Some(kept) => kept.push(line.to_owned()),
            None => println!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cargo::root, process::Interrupt};

    const PLAN: Plan<'_> = Plan {
        words: &["script"],
        variables: &[],
        processors: 2.0,
    };

    fn program(source: &str) -> TestProgram {
        TestProgram {
            file: "/bin/true".into(),
            folder: root(),
            source: source.to_owned(),
        }
    }

    #[test]
    fn what_waits_is_there() {
        for (source, load) in WAITING {
            assert!(root().join(source).is_file(), "there is no {source}");
            assert!(*load > 0.0, "{source}");
        }
    }

    #[test]
    fn what_waits_comes_first_and_the_others_as_they_are() {
        let programs = [
            program("voice/tests/devices.rs"),
            program(WAITING[1].0),
            program("client/src/lib.rs"),
            program(WAITING[0].0),
        ];
        let sources: Vec<&str> = in_order(&programs)
            .iter()
            .map(|it| it.source.as_str())
            .collect();
        assert_eq!(
            sources,
            [
                WAITING[0].0,
                WAITING[1].0,
                "voice/tests/devices.rs",
                "client/src/lib.rs"
            ]
        );
    }

    #[test]
    fn others_run_beside_what_waits_as_far_as_there_are_processors() {
        let (alone, waits) = (program("voice/tests/devices.rs"), program(WAITING[0].0));
        let load = load(&waits).unwrap();
        assert_eq!(super::load(&alone), None);
        for (left, running, processors, expected) in [
            (&[&alone, &waits][..], &[][..], 1.0, Some(0)),
            // However much it keeps busy.
            (&[&waits], &[], load / 2.0, Some(0)),
            (&[&waits], &[None], 64.0, None),
            (&[&alone], &[Some(load)], 64.0, None),
            (&[&alone, &waits], &[Some(load)], 2.0 * load, Some(1)),
            (&[&alone, &waits], &[Some(load)], 1.5 * load, None),
            (&[&waits], &[Some(load); 2], 3.0 * load, Some(0)),
            (&[&waits], &[Some(load); 2], 2.5 * load, None),
            (&[], &[], 2.0, None),
        ] {
            let found = next(left, running, processors);
            assert_eq!(found, expected, "{left:?} {running:?} {processors}");
        }
    }

    #[cfg(unix)]
    mod with_programs {
        use std::{fs, path::PathBuf};

        use super::*;

        /// A folder that ends with the test.
        struct Folder(PathBuf);

        impl Folder {
            fn create(name: &str) -> Self {
                let name = format!("neartalk-{name}-{}", std::process::id());
                let path = std::env::temp_dir().join(name);
                fs::create_dir_all(&path).unwrap();
                Self(path)
            }

            /// A program that runs a script of its own: what it is told first. (A shell reads that, as
            /// a file that was just written can't be run while another test starts something.)
            fn script(&self, name: &str, source: &str, text: &str) -> TestProgram {
                let folder = self.0.join(name);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join("script"), text).unwrap();
                TestProgram {
                    file: "/bin/sh".into(),
                    folder,
                    source: source.to_owned(),
                }
            }
        }

        impl Drop for Folder {
            fn drop(&mut self) {
                let _ = fs::remove_dir_all(&self.0);
            }
        }

        fn guard(seconds: u64) -> Guard {
            Guard {
                interrupt: Interrupt::never(),
                deadline: Some(Instant::now() + Duration::from_secs(seconds)),
            }
        }

        #[test]
        fn those_that_wait_run_at_once_and_each_is_counted() {
            let folder = Folder::create("at-once");
            // Each waits for the other.
            let meet = |own, other| {
                format!(
                    "touch ../{own}; until [ -e ../{other} ]; do sleep 0.01; done; \
                     echo 'test result: ok. 2 passed; 0 failed; 1 ignored'"
                )
            };
            let programs = [
                folder.script("a", WAITING[0].0, &meet("a.there", "b.there")),
                folder.script("b", WAITING[1].0, &meet("b.there", "a.there")),
            ];
            let mut told = Vec::new();
            let plan = Plan {
                processors: 64.0,
                ..PLAN
            };
            let outcomes = run_all(&programs, &plan, &guard(60), |it| {
                told.push(it.source.clone());
            })
            .unwrap();
            assert_eq!(outcomes.len(), 2);
            for it in &outcomes {
                assert!(it.is_good(), "{:?}", it.ended);
                assert_eq!((it.tally.passed, it.tally.ignored), (2, 1));
            }
            told.sort();
            assert_eq!(told, [WAITING[0].0, WAITING[1].0]);
        }

        #[test]
        fn each_runs_in_its_package_as_it_is_told_and_one_that_fails_ends_nothing_else() {
            let folder = Folder::create("each");
            let programs = [
                folder.script("fails", "a/tests/fails.rs", "exit 3"),
                folder.script(
                    "looks",
                    "b/tests/looks.rs",
                    r#"[ "$1 $2" = "one two" ] && [ "$SAID" = so ] && [ "$CARGO_MANIFEST_DIR" = "$PWD" ]"#,
                ),
            ];
            let plan = Plan {
                words: &["script", "one", "two"],
                variables: &[("SAID", "so")],
                ..PLAN
            };
            let outcomes = run_all(&programs, &plan, &guard(60), |_| {}).unwrap();
            let good: Vec<bool> = outcomes.iter().map(Outcome::is_good).collect();
            assert_eq!(good, [false, true]);
        }

        #[test]
        fn when_the_time_is_up_all_that_run_are_stopped_and_no_more_started() {
            let folder = Folder::create("late");
            let touch = |name: &str| format!("touch ../{name}; sleep 600");
            let programs = [
                folder.script("a", WAITING[0].0, &touch("a.ran")),
                folder.script("b", "b/tests/b.rs", &touch("b.ran")),
            ];
            let outcomes = run_all(&programs, &PLAN, &guard(0), |_| {}).unwrap();
            let ended: Vec<Ended> = outcomes.iter().map(|it| it.ended).collect();
            assert_eq!(ended, [Ended::OutOfTime]);
            assert!(!folder.0.join("b.ran").exists());
        }
    }
}
