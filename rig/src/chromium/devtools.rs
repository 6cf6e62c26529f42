//! As much of the DevTools protocol as it takes to open pages and to ask them things, over the pipe
//! that a browser ends with.

use std::{
    collections::HashMap,
    process::{ChildStdin, ChildStdout},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process,
    sync::{mpsc, oneshot},
    time::timeout,
};

/// A browser that does not answer for so long has gone wrong.
pub(super) const GUARD: Duration = Duration::from_secs(60);

/// What is between two messages.
const END: u8 = 0;

type Answer = oneshot::Sender<Result<Value>>;

#[derive(Debug)]
enum Ask {
    Call {
        /// A page's; `None` is the browser's.
        session: Option<String>,
        method: &'static str,
        params: Value,
        answer: Answer,
    },
    /// The next event of this name in this session.
    Event {
        session: String,
        method: &'static str,
        answer: Answer,
    },
}

/// What a browser says.
#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    #[serde(rename = "sessionId")]
    session: Option<String>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

/// A browser to ask. Clones ask the same one.
#[derive(Clone, Debug)]
pub(super) struct DevTools {
    asks: mpsc::Sender<Ask>,
}

impl DevTools {
    /// Talks with a browser over these pipes until they close. Must be called within a runtime.
    pub(super) fn start(to: ChildStdin, from: ChildStdout) -> Result<Self> {
        let to = process::ChildStdin::from_std(to)?;
        let from = process::ChildStdout::from_std(from)?;
        let (asks, queue) = mpsc::channel(64);
        tokio::spawn(talk(to, from, queue));
        Ok(Self { asks })
    }

    /// Has a method done, in a page or the browser, within `guard`.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &'static str,
        params: Value,
        guard: Duration,
    ) -> Result<Value> {
        let (answer, answered) = oneshot::channel();
        let session = session.map(str::to_owned);
        let ask = Ask::Call {
            session,
            method,
            params,
            answer,
        };
        self.ask(ask, answered, method, guard).await
    }

    /// Does something, and waits for an event that comes of it.
    pub(super) async fn until(
        &self,
        session: &str,
        event: &'static str,
        done: impl Future<Output = Result<Value>>,
    ) -> Result<Value> {
        let (answer, answered) = oneshot::channel();
        let session = session.to_owned();
        let ask = Ask::Event {
            session,
            method: event,
            answer,
        };
        let (_, done) = tokio::try_join!(self.ask(ask, answered, event, GUARD), done)?;
        Ok(done)
    }

    async fn ask(
        &self,
        ask: Ask,
        answered: oneshot::Receiver<Result<Value>>,
        what: &str,
        guard: Duration,
    ) -> Result<Value> {
        let gone = || anyhow!("Chromium has ended");
        self.asks.send(ask).await.map_err(|_| gone())?;
        timeout(guard, answered)
            .await
            .with_context(|| format!("{what} took more than {guard:?}"))?
            .map_err(|_| gone())?
            .context(what.to_owned())
    }
}

async fn talk(
    mut to: process::ChildStdin,
    from: process::ChildStdout,
    mut queue: mpsc::Receiver<Ask>,
) {
    let mut from = BufReader::new(from);
    let mut calls: HashMap<u64, Answer> = HashMap::new();
    let mut events: Vec<(String, &'static str, Answer)> = Vec::new();
    let mut number = 0;
    let mut bytes = Vec::new();
    loop {
        tokio::select! {
            ask = queue.recv() => match ask {
                None => return,
                Some(Ask::Event { session, method, answer }) => events.push((session, method, answer)),
                Some(Ask::Call { session, method, params, answer }) => {
                    number += 1;
                    let mut call = json!({ "id": number, "method": method, "params": params });
                    if let Some(session) = session {
                        call["sessionId"] = session.into();
                    }
                    let mut line = call.to_string().into_bytes();
                    line.push(END);
                    calls.insert(number, answer);
                    if to.write_all(&line).await.is_err() {
                        return;
                    }
                }
            },
            // What was read before it is cancelled stays in `bytes`.
            read = from.read_until(END, &mut bytes) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                if bytes.pop() == Some(END) && let Ok(message) = serde_json::from_slice(&bytes) {
                    pass_on(message, &mut calls, &mut events);
                }
                bytes.clear();
            }
        }
    }
}

/// Whoever has stopped waiting is no one's concern.
fn pass_on(
    message: Message,
    calls: &mut HashMap<u64, Answer>,
    events: &mut Vec<(String, &'static str, Answer)>,
) {
    if let Some(answer) = message.id.and_then(|id| calls.remove(&id)) {
        let _ = answer.send(match message.error {
            Some(failure) => Err(anyhow!(failure.message)),
            None => Ok(message.result),
        });
    } else if let (Some(session), Some(method)) = (message.session, message.method) {
        let found = events
            .iter()
            .position(|(of, name, _)| *of == session && *name == method);
        if let Some(at) = found {
            let (_, _, answer) = events.swap_remove(at);
            let _ = answer.send(Ok(message.params));
        }
    }
}

/// What a script came to.
pub(super) fn outcome(evaluated: &Value) -> Result<&Value> {
    if let Some(exception) = evaluated.get("exceptionDetails") {
        let thrown = exception.pointer("/exception/description");
        let text = thrown.or_else(|| exception.get("text"));
        bail!("{}", text.and_then(Value::as_str).unwrap_or("it threw"));
    }
    // What is undefined has no value.
    Ok(evaluated.pointer("/result/value").unwrap_or(&Value::Null))
}
