//! What a listener would say of the quality: PESQ (ITU-T P.862.2), by the package `pesq` for Python.
//! Only for benches: it is fetched when first wanted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{programs, sound};

/// Seconds that are scored at once.
pub const WINDOW: f64 = 8.0;

const SCRIPT: &str = "
import sys, numpy
from pesq import pesq
folder = sys.argv[1]
for n in range(int(sys.argv[2])):
    said, heard = (numpy.fromfile(f'{folder}/{n}.{end}', dtype='<f4') for end in ('said', 'heard'))
    print(pesq(16000, said, heard, 'wb'))
";

/// Scores sounds.
#[derive(Debug)]
pub struct Pesq {
    python: PathBuf,
    folder: PathBuf,
}

impl Pesq {
    /// Makes ready, which the first time fetches and compiles what is needed.
    ///
    /// # Errors
    /// When there is no Python 3, no C compiler, or no network the first time.
    pub fn ready() -> Result<Self> {
        let folder = programs::profile_folder()?.join("pesq");
        let python = folder.join("venv/bin/python3");
        let works = |python: &Path| {
            let mut command = Command::new(python);
            command
                .args(["-c", "import numpy, pesq"])
                .output()
                .is_ok_and(|run| run.status.success())
        };
        if !works(&python) {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder)?;
            run(Command::new("python3")
                .args(["-m", "venv"])
                .arg(folder.join("venv")))?;
            let packages = [
                "wheel",
                "setuptools",
                "cython",
                "numpy==1.26.4",
                "pesq==0.0.4",
            ];
            let pip = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ];
            for package in packages {
                // `pesq` is built with what the ones before it bring.
                run(Command::new(&python)
                    .args(pip)
                    .args(["--no-build-isolation", package]))?;
            }
        }
        Ok(Self { python, folder })
    }

    /// The wide-band score of each pair, what was said beside what was heard (48 kHz, already aligned): 1 is
    /// bad, 4.64 is perfect.
    ///
    /// # Errors
    /// When a pair can't be scored, for being silent for one.
    pub fn score(&self, pairs: &[(&[f32], &[f32])]) -> Result<Vec<f64>> {
        let folder = self.folder.join(format!("pairs-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        for (n, (said, heard)) in pairs.iter().enumerate() {
            for (end, sound) in [("said", said), ("heard", heard)] {
                let bytes: Vec<u8> = sound::to_16_khz(sound)
                    .iter()
                    .flat_map(|x| x.to_le_bytes())
                    .collect();
                fs::write(folder.join(format!("{n}.{end}")), bytes)?;
            }
        }
        let mut command = Command::new(&self.python);
        command
            .args(["-c", SCRIPT])
            .arg(&folder)
            .arg(pairs.len().to_string());
        let printed = run(&mut command);
        let _ = fs::remove_dir_all(&folder);
        let scores: Vec<f64> = printed?
            .lines()
            .map(|line| line.trim().parse().context("PESQ gives numbers"))
            .collect::<Result<_>>()?;
        ensure!(
            scores.len() == pairs.len(),
            "PESQ gave {} scores",
            scores.len()
        );
        Ok(scores)
    }
}

fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("can't start {name}"))?;
    ensure!(
        output.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
