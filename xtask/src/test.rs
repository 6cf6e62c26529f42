//! `cargo xtask test`: everything that can be checked, with one verdict.

use std::{
    cmp::Reverse,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Error, Result, anyhow, ensure};

use crate::{
    cargo::{TestProgram, build_tests, cargo, in_ci},
    deploy, dist, docs, fuzz, locks,
    needs::{self, Need},
    phone_code,
    process::{Ended, Guard, Interrupt, run, run_reading, shown},
    runner::{self, Plan},
    tally::Tally,
    targets, typescript, workflows,
};

/// A run that takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(75 * 60);
const LONG_LIMIT: Duration = Duration::from_secs(8 * 60 * 60);

/// The step that runs them.
const TESTS: &str = "tests";

/// A program of tests that takes longer is named in the report.
const SLOW: Duration = Duration::from_secs(5);

/// What of the workspace is tested: all of it, as the lints and the documents see it.
const ALL: [&str; 2] = ["--workspace", "--all-features"];

/// Check everything: format, lints, every test, documents. Starts what the tests need, stops it after.
#[derive(clap::Args)]
pub struct Args {
    /// Install what the operating system lacks without asking.
    #[arg(long)]
    yes: bool,
    /// Also run the tests that take long (those marked as ignored), with NEARTALK_LONG=1 set, and fuzz.
    #[arg(long)]
    long: bool,
    /// Run only the tests whose name contains this, and no other check.
    filter: Option<String>,
}

pub fn test(args: Args) -> Result<ExitCode> {
    let started = Instant::now();
    let mut needs = vec![
        needs::C_COMPILER,
        needs::CMAKE,
        needs::RUSTFMT,
        needs::CLIPPY,
        needs::NODE,
        needs::NPM,
    ];
    if cfg!(target_os = "linux") {
        needs.extend([
            needs::PKG_CONFIG,
            needs::ALSA,
            needs::PULSEAUDIO,
            needs::PULSEAUDIO_UTILS,
            needs::CHROMIUM,
            needs::HINDI,
            needs::IPROUTE,
            needs::PYTHON,
            needs::COTURN,
            needs::REDIS,
            needs::POSTGRESQL,
            needs::IPTABLES,
        ]);
        needs.extend(deploy::NEEDS);
        needs.extend(needs::WINDOW);
        needs.extend(needs::REAL_WINDOW);
        if args.long {
            needs.extend(needs::PHONES);
            needs.extend(needs::PACKAGES);
            needs.extend(deploy::needs_at_work());
        }
    }
    if args.filter.is_none() {
        needs::provide(&needs, args.yes)?;
    }
    let limit = if args.long { LONG_LIMIT } else { LIMIT };
    let mut steps = Steps {
        guard: Guard {
            interrupt: Interrupt::listen()?,
            deadline: Some(started + limit),
        },
        ci: in_ci(),
        total: Tally::default(),
        bad: Vec::new(),
        times: Vec::new(),
        parts: Vec::new(),
    };

    if args.filter.is_none() {
        check_quickly(&mut steps);
        walk_window(&mut steps, args.long);
    }
    let mut programs = Vec::new();
    steps.take("building the tests", &[], |steps| {
        programs = build_tests(&ALL, &steps.guard)?;
        Ok(())
    });
    steps.take(TESTS, &[], |steps| run_tests(steps, &args, &programs));
    if args.long && args.filter.is_none() && cfg!(target_os = "linux") {
        let needs = [needs::C_COMPILER, needs::CMAKE];
        steps.take("fuzzing", &needs, |steps| fuzz::fuzz(&steps.guard));
        steps.take("other platforms", &needs, |steps| {
            targets::check_all(&steps.guard)
        });
        let [java, pip] = needs::PHONES;
        steps.take("phones' own code", &[java, pip, needs::PYTHON], |steps| {
            phone_code::check(&steps.guard)
        });
        let needs = [needs::NODE, needs::NPM].into_iter();
        let needs: Vec<Need> = needs.chain(needs::PACKAGES).collect();
        steps.take("packages", &needs, |steps| {
            dist::make_and_check(&steps.guard)
        });
        let needs = deploy::needs_at_work();
        steps.take("the relay's package and image", &needs, |steps| {
            deploy::make_and_check(&steps.guard)
        });
    }
    if args.filter.is_none() {
        check_documents(&mut steps);
    }

    Ok(steps.report(started.elapsed()))
}

/// What takes seconds comes first.
fn check_quickly(steps: &mut Steps) {
    steps.take("format", &[needs::RUSTFMT], |steps| {
        steps.run(&mut cargo(&["fmt", "--all", "--", "--check"]))?;
        // A workspace of its own.
        let fuzz = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"];
        steps.run(&mut cargo(&fuzz))
    });
    steps.take("lock files", &[], |_| locks::check());
    steps.take("workflows", &[], |_| workflows::check());
    if steps.ci {
        // Building may rewrite a lock file that no longer fits; then it was committed stale.
        steps.take("lock file is fresh", &[], |steps| {
            let mut diff = Command::new("git");
            diff.current_dir(crate::cargo::root());
            // A clone may belong to another user than the one who tests it.
            diff.args(["-c", "safe.directory=*"]);
            diff.args(["diff", "--exit-code", "HEAD", "--", "Cargo.lock"]);
            steps.run(&mut diff)
        });
    }
    steps.take("TypeScript types", &[needs::NODE, needs::NPM], |steps| {
        success(typescript::check(&steps.guard)?)
    });
    steps.take("window", &[needs::NODE, needs::NPM], |steps| {
        success(typescript::check_window(&steps.guard)?)
    });
    steps.take("lints", &[needs::CLIPPY], |steps| {
        let all = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--keep-going",
        ];
        steps.run(cargo(&all).args(["--", "-D", "warnings"]))
    });
}

/// The window with a world that is made up, in a real browser.
fn walk_window(steps: &mut Steps, all: bool) {
    let needs = [needs::NODE, needs::NPM, needs::CHROMIUM, needs::HINDI];
    steps.take("window in a browser", &needs, |steps| {
        success(typescript::walk_window(&steps.guard, all)?)
    });
}

fn check_documents(steps: &mut Steps) {
    steps.take("API documentation", &[], |steps| {
        let mut doc = cargo(&[
            "doc",
            "--workspace",
            "--all-features",
            "--no-deps",
            "--keep-going",
        ]);
        steps.run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    steps.take("documents", &[], |steps| docs::check(&steps.guard));
    if cfg!(target_os = "linux") {
        steps.take("deployment files", &deploy::NEEDS, |steps| {
            deploy::check(&steps.guard)
        });
    }
}

/// Unit, integration, end-to-end and documentation tests; each starts the servers that it needs.
fn run_tests(steps: &mut Steps, args: &Args, programs: &[TestProgram]) -> Result<()> {
    ensure!(!programs.is_empty(), "there is none to run");
    let mut words: Vec<&str> = args.filter.as_deref().into_iter().collect();
    let mut variables = Vec::new();
    if args.long {
        words.push("--include-ignored");
        variables.push(("NEARTALK_LONG", "1"));
    }
    let plan = Plan {
        words: &words,
        variables: &variables,
        processors: thread::available_parallelism().map_or(1.0, |it| it.get() as f32),
    };
    let outcomes = runner::run_all(programs, &plan, &steps.guard, |it| {
        let time = seconds(it.time);
        if it.is_good() {
            println!("--- {}: {} in {time}", it.source, it.tally);
        } else {
            println!("!!! {}: FAILED after {time}", it.source);
        }
    })?;
    let mut tests = Tally::default();
    let mut bad = Vec::new();
    for it in outcomes {
        tests += it.tally;
        if !it.is_good() {
            bad.push(it.source.clone());
        }
        steps.parts.push((it.source, it.time));
    }

    let mut command = cargo(&["test", "--doc", "--no-fail-fast"]);
    command.args(ALL).arg("--").args(&words);
    command.envs(variables);
    println!("\n> {}", shown(&command));
    let ended = run_reading(&mut command, &steps.guard, |line| {
        println!("{line}");
        if let Some(result) = Tally::from_test_result(line) {
            tests += result;
        }
    });

    if tests.ignored > 0 {
        println!("{} tests were ignored", tests.ignored);
    }
    steps.total += if steps.ci { tests.strict() } else { tests };
    match ended? {
        Ended::Exited(status) if status.success() => {}
        Ended::Exited(_) => bad.push("the examples in the documentation".to_owned()),
        stopped => success(stopped)?,
    }
    ensure!(bad.is_empty(), "{}", bad.join(", "));
    ensure!(tests.passed > 0, "not one test ran");
    ensure!(
        tests.ignored == 0 || !steps.ci,
        "in CI no test may be ignored; {} were",
        tests.ignored
    );
    Ok(())
}

/// The steps taken so far.
struct Steps {
    guard: Guard,
    ci: bool,
    /// Of tests and steps together.
    total: Tally,
    /// Steps that failed or could not run, and why.
    bad: Vec<String>,
    times: Vec<(&'static str, Duration)>,
    /// The programs that the step with the tests has run.
    parts: Vec<(String, Duration)>,
}

impl Steps {
    /// Takes a step unless something that it needs is missing, and counts it. Whatever comes of it,
    /// the next step can be taken.
    fn take(
        &mut self,
        name: &'static str,
        needs: &[Need],
        step: impl FnOnce(&mut Self) -> Result<()>,
    ) {
        if self.guard.interrupt.came() {
            return;
        }
        println!("\n=== {name}");
        let started = Instant::now();
        let missing: Vec<&str> = needs
            .iter()
            .filter(|need| !need.is_met())
            .map(|need| need.name)
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(" and ");
            println!("!!! {name} CAN'T RUN: there is no {missing}");
            self.bad.push(format!("{name}: not run, no {missing}"));
            self.total.failed += u32::from(self.ci);
            return;
        }
        let done = step(self);
        let time = started.elapsed();
        self.times.push((name, time));
        let time = seconds(time);
        match done {
            Ok(()) => {
                println!("--- {name}: passed in {time}");
                self.total.passed += 1;
            }
            Err(error) => {
                println!("{error:#}\n!!! {name}: FAILED after {time}");
                self.bad
                    .push(format!("{name}: failed: {}", first_line(&error)));
                self.total.failed += 1;
            }
        }
    }

    /// Runs a command, which is to succeed.
    fn run(&self, command: &mut Command) -> Result<()> {
        println!("> {}", shown(command));
        success(run(command, &self.guard)?)
    }

    fn report(mut self, time: Duration) -> ExitCode {
        println!();
        self.parts.retain(|(_, time)| *time >= SLOW);
        self.parts.sort_by_key(|(_, time)| Reverse(*time));
        for (name, time) in &self.times {
            println!("{:>12}  {name}", seconds(*time));
            if *name == TESTS {
                for (source, time) in &self.parts {
                    println!("{:>12}    {source}", seconds(*time));
                }
            }
        }
        println!("{:>12}  in all", seconds(time));
        for step in &self.bad {
            println!("!!! {step}");
        }
        let interrupted = self.guard.interrupt.came();
        if interrupted {
            println!("!!! interrupted");
        }
        println!("{}", self.total);
        if interrupted || self.total.failed > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn success(ended: Ended) -> Result<()> {
    match ended {
        Ended::Exited(status) if status.success() => Ok(()),
        Ended::Exited(status) => Err(anyhow!("it ended with {status}")),
        Ended::Interrupted => Err(anyhow!("interrupted")),
        Ended::OutOfTime => Err(anyhow!("the time was up, so it was stopped")),
    }
}

fn first_line(error: &Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or_default().to_owned()
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(60) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        let whole = time.as_secs();
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(ci: bool) -> Steps {
        Steps {
            guard: Guard {
                interrupt: Interrupt::never(),
                deadline: None,
            },
            ci,
            total: Tally::default(),
            bad: Vec::new(),
            times: Vec::new(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_failing_step_is_counted_and_does_not_stop_the_next() {
        let mut steps = steps(false);
        steps.take("one", &[], |_| Err(anyhow!("no")));
        steps.take("two", &[], |_| Ok(()));
        assert_eq!(steps.total.to_string(), "1 passed, 1 failed");
        assert_eq!(steps.bad, ["one: failed: no"]);
        assert_eq!(steps.report(Duration::ZERO), ExitCode::FAILURE);
    }

    #[test]
    fn a_step_that_cannot_run_never_passes_and_fails_in_ci() {
        let impossible = Need::program("a unicorn", &["no-program-has-this-name"]);
        for (ci, failed) in [(false, 0), (true, 1)] {
            let mut steps = steps(ci);
            steps.take("one", std::slice::from_ref(&impossible), |_| Ok(()));
            assert_eq!((steps.total.passed, steps.total.failed), (0, failed));
            assert_eq!(steps.bad, ["one: not run, no a unicorn"]);
        }
    }

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(61)), "1 min 01 s");
    }
}
