//! `neartalk-relay`: reads the settings, starts the logs, runs the server.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use neartalk_relay::{Config, Server, config::LogFormat};
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let config = Config::from_environment();
    start_logs(&config)?;
    // Each connection is a file descriptor, and many systems start programs with only 1,024.
    if let Err(e) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(error = %e, "can't raise the limit of open files");
    }
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let mut runtime = match config.workers.unwrap_or_else(cores) {
        1 => {
            // One core serves its sockets strictly in turn, which keeps the slowest from waiting
            // long, and looks often for what has arrived meanwhile.
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.event_interval(16);
            runtime
        }
        workers => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            runtime.worker_threads(workers);
            runtime
        }
    };
    runtime
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let shutdown = asked_to_end()?;
    let server = Server::bind(config).await?;
    announce("listening on", server.address()?);
    if let Some(address) = server.admin_address() {
        announce("admin on", address?);
    }
    for address in server.turn_addresses() {
        // Whoever started the relay may not want to read this either.
        let _ = writeln!(std::io::stdout(), "TURN and STUN on udp://{address}");
    }
    server.run(shutdown).await.context("the relay can't go on")
}

/// Listens from now on, and is over when somebody asks this process to end.
#[cfg(unix)]
fn asked_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("can't listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Listens from now on, and is over when somebody asks this process to end.
#[cfg(windows)]
fn asked_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c().context("can't listen for Ctrl-C")?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// Says where the relay is, for people and for scripts that let it choose its port.
fn announce(what: &str, address: std::net::SocketAddr) {
    // Whoever started the relay may not want to read this.
    let _ = writeln!(std::io::stdout(), "{what} http://{address}");
}

fn start_logs(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log).with_context(|| {
        format!(
            "--log {:?} is no filter; give a level such as info or debug",
            config.log
        )
    })?;
    // They tell about every packet that a stranger sends, and whose it is.
    let filter = ["stun_types=off", "turn_types=off"]
        .into_iter()
        .try_fold(filter, |filter, off| {
            off.parse().map(|off| filter.add_directive(off))
        })
        .context("turning off logs")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}
