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

/// Who is told of which events of which page.
type Subscription = (String, &'static str, mpsc::UnboundedSender<Value>);

#[derive(Debug)]
enum Ask {
    Call {
        /// A page's; `None` is the browser's.
        session: Option<String>,
        method: &'static str,
        params: Value,
        answer: Answer,
    },
    /// Every event of this name in this session from now on.
    Events {
        session: String,
        method: &'static str,
        events: mpsc::UnboundedSender<Value>,
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
        self.asks.send(ask).await.map_err(|_| gone())?;
        timeout(guard, answered)
            .await
            .with_context(|| format!("{method} took more than {guard:?}"))?
            .map_err(|_| gone())?
            .context(method)
    }

    /// What events of one kind in one page tell from now on.
    pub(super) async fn events(&self, session: &str, method: &'static str) -> Result<Events> {
        let (events, receiver) = mpsc::unbounded_channel();
        let session = session.to_owned();
        let ask = Ask::Events {
            session,
            method,
            events,
        };
        self.asks.send(ask).await.map_err(|_| gone())?;
        Ok(Events { method, receiver })
    }
}

/// Events of one kind in one page.
#[derive(Debug)]
pub(super) struct Events {
    method: &'static str,
    receiver: mpsc::UnboundedReceiver<Value>,
}

impl Events {
    /// Waits for the first that is the one.
    pub(super) async fn until(&mut self, is_the_one: impl Fn(&Value) -> bool) -> Result<()> {
        let wait = async {
            loop {
                let params = self.receiver.recv().await.ok_or_else(gone)?;
                if is_the_one(&params) {
                    return Ok(());
                }
            }
        };
        timeout(GUARD, wait)
            .await
            .with_context(|| format!("{} took more than {GUARD:?}", self.method))?
    }
}

fn gone() -> anyhow::Error {
    anyhow!("Chromium has ended")
}

async fn talk(
    mut to: process::ChildStdin,
    from: process::ChildStdout,
    mut queue: mpsc::Receiver<Ask>,
) {
    let mut from = BufReader::new(from);
    let mut calls: HashMap<u64, Answer> = HashMap::new();
    let mut events: Vec<Subscription> = Vec::new();
    let mut number = 0;
    let mut bytes = Vec::new();
    loop {
        tokio::select! {
            ask = queue.recv() => match ask {
                None => return,
                Some(Ask::Events { session, method, events: to }) => events.push((session, method, to)),
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
fn pass_on(message: Message, calls: &mut HashMap<u64, Answer>, events: &mut Vec<Subscription>) {
    if let Some(answer) = message.id.and_then(|id| calls.remove(&id)) {
        let _ = answer.send(match message.error {
            Some(failure) => Err(anyhow!(failure.message)),
            None => Ok(message.result),
        });
    } else if let (Some(session), Some(method)) = (message.session, message.method) {
        events.retain(|(of, name, to)| {
            *of != session || *name != method || to.send(message.params.clone()).is_ok()
        });
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
