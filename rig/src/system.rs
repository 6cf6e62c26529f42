//! A system of its own: a folder with as little as Debian, or one of its kin, starts with. What is
//! installed there is not on this machine, and what is on this machine is not there.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Context, Result, bail, ensure};

/// What a program there sees of this machine: processes, devices, and the folder in which tests keep
/// what is theirs. Mounted for each command by itself, so that nothing is left when it has ended.
const ENTER: &str = r#"
set -e
for folder in proc sys dev tmp; do mount --rbind "/$folder" "$0/$folder"; done
exec chroot "$0" "$@"
"#;

/// Such a system, gone when dropped. Its network is this machine's.
#[derive(Debug)]
pub struct System {
    folder: PathBuf,
}

impl System {
    /// A new one of the release that this machine runs, from where its apt gets packages.
    ///
    /// # Errors
    /// Without root's rights, `mmdebstrap` or a mirror.
    pub fn create() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let (release, sources) = release()?;
        // Not in the folder that is mounted into it.
        let name = format!("neartalk-system-{}-{number}", std::process::id());
        let it = Self {
            folder: Path::new("/var/tmp").join(name),
        };
        let mut make = Command::new("mmdebstrap");
        make.args(["--quiet", "--variant=minbase", &release]);
        make.arg(&it.folder).arg(sources);
        succeed(&mut make).context("can't make a system, which needs root's rights")?;
        // How names are looked up is the network's matter, and that is this machine's.
        fs::copy("/etc/resolv.conf", it.folder.join("etc/resolv.conf"))?;
        it.run("apt-get", &["-q", "update"])?;
        Ok(it)
    }

    /// Where it lies on this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that runs there.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", ENTER]);
        command.arg(&self.folder).arg(program);
        command
    }

    /// Runs a command there, and gives what it has printed.
    ///
    /// # Errors
    /// When it fails, with what it has printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        succeed(
            self.command(program)
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .env("LC_ALL", "C.UTF-8"),
        )
    }

    /// Copies a file there, and gives its path as programs there see it.
    ///
    /// # Errors
    /// When it can't be read, or there is no room.
    pub fn copy(&self, file: &Path) -> Result<PathBuf> {
        let name = file.file_name().context("only a file is copied")?;
        let inside = Path::new("/var/tmp").join(name);
        let outside = inside.strip_prefix("/").unwrap_or(&inside);
        fs::copy(file, self.folder.join(outside))
            .with_context(|| format!("copying {}", file.display()))?;
        Ok(inside)
    }

    /// Installs packages, by name or by the path of a file of this machine, with what they depend on
    /// and nothing else.
    ///
    /// # Errors
    /// When apt can't.
    pub fn install(&self, package: &OsStr) -> Result<()> {
        let file = Path::new(package);
        let package = if file.is_absolute() {
            self.copy(file)?.to_string_lossy().into_owned()
        } else {
            package.to_string_lossy().into_owned()
        };
        let how = ["-q", "-y", "--no-install-recommends", "install", &package];
        self.run("apt-get", &how).map(drop)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The release that this machine runs, and where its packages come from.
fn release() -> Result<(String, PathBuf)> {
    let about = fs::read_to_string("/etc/os-release")?;
    let of = |key: &str| {
        let value = about.lines().find_map(|line| line.strip_prefix(key));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let (Some(id), Some(release)) = (of("ID="), of("VERSION_CODENAME=")) else {
        bail!("this machine's system is no Debian, nor one of its kin");
    };
    let folder = Path::new("/etc/apt");
    let sources = [
        format!("sources.list.d/{id}.sources"),
        "sources.list".into(),
    ];
    let mut sources = sources.iter().map(|name| folder.join(name));
    let sources = sources
        .find(|path| path.is_file())
        .context("apt is not told where packages are")?;
    Ok((release, sources))
}

pub(crate) fn succeed(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output();
    let done = done.with_context(|| format!("can't start {name}"))?;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(
        done.status.success(),
        "{name} ended with {}:\n{printed}{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(printed)
}
