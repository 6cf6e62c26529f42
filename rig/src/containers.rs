//! Containers, as whoever runs a relay in one has it: images made as a Dockerfile says, and run. Podman does
//! it, which needs no daemon, with a store of its own. Their network is this machine's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Context, Result, ensure};

use crate::system::{System, succeed};

/// What a container may have at most of open files and processes. Podman would ask for more than whoever
/// runs it may have, and fail.
const LIMITS: [&str; 4] = [
    "--ulimit",
    "nofile=4096:4096",
    "--ulimit",
    "nproc=4096:4096",
];

/// Images and what runs in them; all gone when dropped.
#[derive(Debug)]
pub struct Containers {
    folder: PathBuf,
}

impl Containers {
    /// A new store, with nothing in it.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn create() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("neartalk-containers-{}-{number}", std::process::id());
        let folder = Path::new("/var/tmp").join(name);
        fs::create_dir_all(&folder).context("can't make a folder for containers")?;
        Ok(Self { folder })
    }

    /// Podman with this store.
    pub fn podman(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        // crun, which it would choose, does not know all ways in which a machine may have its cgroups.
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        for (flag, name) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            command.arg(flag).arg(self.folder.join(name));
        }
        command.args(arguments);
        command
    }

    /// Runs Podman, and gives what it has printed.
    ///
    /// # Errors
    /// When it is not installed, or fails.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let printed = succeed(&mut self.podman(arguments))?;
        Ok(printed.trim().to_owned())
    }

    /// Makes an image of a system, with changes such as `ENV NAME=value`.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn import(&self, system: &System, name: &str, changes: &[&str]) -> Result<()> {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(system.folder()).args(["-c", "."]);
        let mut tar = tar.stdout(Stdio::piped()).spawn().context("packing")?;
        let mut import = self.podman(&["import", "--quiet"]);
        for change in changes {
            import.args(["--change", change]);
        }
        import.args(["-", name]);
        import.stdin(tar.stdout.take().context("its output is piped")?);
        let imported = succeed(&mut import);
        ensure!(tar.wait()?.success(), "tar could not pack a system");
        imported.map(drop)
    }

    /// Makes an image as a Dockerfile says, of the project in `context`. Folders of this machine are where
    /// they are told to be while commands run, and are not in the image.
    ///
    /// # Errors
    /// When a command of it fails, with what it has printed; or it is made from images that are not here.
    pub fn build(
        &self,
        dockerfile: &Path,
        context: &Path,
        name: &str,
        folders: &[(&Path, &str)],
    ) -> Result<()> {
        // With as little as it takes to run a command elsewhere: what is built is not mistrusted.
        let how = ["build", "--isolation", "chroot", "--network", "host"];
        let mut build = self.podman(&how);
        build.args(["--pull=never", "--tag", name, "--file"]);
        build.arg(dockerfile);
        for (folder, at) in folders {
            build.arg("--volume");
            build.arg(format!("{}:{at}", folder.display()));
        }
        succeed(build.arg(context)).map(drop)
    }

    /// A command that runs an image in a container, with no more rights than `deploy/compose.yaml` gives.
    /// What it is given further are Podman's flags, then the image, then its own.
    pub fn run(&self, container: &str) -> Command {
        let mut run = self.podman(&["run", "--name", container, "--network", "host"]);
        run.args([
            "--read-only",
            "--read-only-tmpfs=false",
            "--cap-drop",
            "ALL",
        ]);
        run.args(["--security-opt", "no-new-privileges"]);
        run.args(LIMITS);
        run
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = self.ask(&["rm", "--all", "--force", "--time", "0"]);
        let _ = self.ask(&["image", "unmount", "--all"]);
        // What it has mounted for itself.
        let _ = Command::new("umount")
            .arg(self.folder.join("root/overlay"))
            .output();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
