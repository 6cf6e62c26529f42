//! A PostgreSQL server with nothing in it.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Context, Result, bail};

use crate::process::Process;

/// Who owns everything in it; nobody asks for a password.
const USER: &str = "neartalk";

/// A free port can be taken before the server has it, and a killed server's children may linger.
const ATTEMPTS: u32 = 20;

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    /// Absent while it is killed.
    process: Option<Process>,
    programs: PathBuf,
    owner: Option<Owner>,
    port: u16,
    folder: PathBuf,
}

/// Whom to run it as: it refuses to run as root.
#[derive(Clone, Copy, Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Postgres {
    /// Starts one on this computer.
    ///
    /// # Errors
    /// When it is not installed, or doesn't start.
    pub fn start() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = env::temp_dir().join(format!("neartalk-pg-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).context("can't make a folder for PostgreSQL")?;
        let owner = owner()?;
        if let Some(Owner { user, group }) = owner {
            chown(&folder, Some(user), Some(group))?;
        }
        let mut server = Self {
            process: None,
            programs: programs()?,
            owner,
            port: 0,
            folder,
        };
        let data = server.data();
        let mut initdb = server.command("initdb");
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        let made = initdb.arg("-U").arg(USER).arg("-D").arg(data).output()?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        server.revive()?;
        server.ask_in("postgres", &format!("CREATE DATABASE {USER}"))?;
        Ok(server)
    }

    /// Starts it again after [`Postgres::kill`], with all that it had.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn revive(&mut self) -> Result<()> {
        let mut problem = None;
        for _ in 0..ATTEMPTS {
            if self.port == 0 {
                self.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            }
            match self.run() {
                Ok(process) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(e) => problem = Some(e),
            }
            if problem
                .as_ref()
                .is_some_and(|e| e.to_string().contains("could not bind"))
            {
                self.port = 0;
            }
        }
        Err(problem.context("no attempt was made")?)
    }

    fn run(&self) -> Result<Process> {
        // What it says goes to its standard error, and a rig listens to the other one.
        let mut command = self.command("sh");
        command.args(["-c", "exec \"$@\" 2>&1", "sh"]);
        command.arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "logging_collector=off",
        ] {
            command.args(["-c", setting]);
        }
        let mut process = Process::start(&mut command)?;
        process.wait_for("PostgreSQL", |line| {
            line.contains("ready to accept connections").then_some(())
        })?;
        Ok(process)
    }

    /// Kills it (SIGKILL) in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// `postgres://…`
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{USER}", self.port)
    }

    /// What a query gives: a line for each row, with `|` between columns.
    ///
    /// # Errors
    /// When the query fails.
    pub fn ask(&self, sql: &str) -> Result<Vec<String>> {
        self.ask_in(USER, sql)
    }

    /// Starts a transaction that does `sql` and then keeps what it has locked until it is dropped.
    ///
    /// # Errors
    /// When `sql` fails.
    pub fn hold(&self, sql: &str) -> Result<Process> {
        let mut psql = self.psql(USER);
        let mut session = Process::start(&mut psql)?;
        session.say(&format!("BEGIN; {sql};"))?;
        session.say("SELECT 'held';")?;
        session.wait_for("the lock", |line| (line == "held").then_some(()))?;
        Ok(session)
    }

    fn ask_in(&self, database: &str, sql: &str) -> Result<Vec<String>> {
        let answer = self.psql(database).args(["-c", sql]).output()?;
        if !answer.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&answer.stderr));
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
        psql.args(["-p", &self.port.to_string(), "-U", USER, "-d", database]);
        psql
    }

    fn command(&self, program: &str) -> Command {
        let own = self.programs.join(program);
        let mut command = if own.is_file() {
            Command::new(own)
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some(Owner { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process = None;
        // Whatever is left there harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where its programs are; Debian has them outside the path, one folder for each version.
fn programs() -> Result<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&on_path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.filter_map(|v| Some(v.ok()?.path().join("bin"))));
    }
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|it| folder.join(it).is_file())
    };
    folders
        .into_iter()
        .find(has_all)
        .context("the tests need PostgreSQL; install the package postgresql")
}

/// Root runs it as the user that Debian's package has for it.
fn owner() -> Result<Option<Owner>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string(Path::new("/etc/passwd"))?;
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields
        .filter(|fields| fields.first() == Some(&"postgres"))
        .find_map(|fields| {
            let number = |n: usize| fields.get(n)?.parse().ok();
            Some(Owner {
                user: number(2)?,
                group: number(3)?,
            })
        });
    found
        .map(Some)
        .context("PostgreSQL does not run as root, and there is no user postgres")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_has_outlives_its_death() {
        let mut server = Postgres::start().unwrap();
        server.ask("CREATE TABLE t (n int)").unwrap();
        server.ask("INSERT INTO t VALUES (7), (8)").unwrap();
        server.kill();
        assert!(server.ask("SELECT 1").is_err());
        server.revive().unwrap();
        assert_eq!(
            server.ask("SELECT n FROM t ORDER BY n").unwrap(),
            ["7", "8"]
        );
    }
}
