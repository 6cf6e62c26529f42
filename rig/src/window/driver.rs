//! WebDriver, as much of it as is needed: <https://www.w3.org/TR/webdriver2/>.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::process::GUARD;

/// The key under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Something in the window.
#[derive(Clone, Debug)]
pub struct Element(String);

impl Element {
    pub fn of(value: &Value) -> Option<Self> {
        let id = value.get(ELEMENT)?.as_str()?;
        Some(Self(id.to_owned()))
    }

    fn path(&self, rest: &str) -> String {
        format!("element/{}/{rest}", self.0)
    }
}

/// A window that does what it is told.
#[derive(Debug)]
pub struct Session {
    client: Client,
    url: String,
}

impl Session {
    /// Lets a driver start a program. `None` while the driver does not listen yet.
    pub async fn start(port: u16, program: &str, arguments: &[String]) -> Result<Option<Self>> {
        // The first thing that a driver does is to start the program, which takes its time.
        let client = Client::builder().timeout(GUARD * 3).no_proxy().build()?;
        let url = format!("http://127.0.0.1:{port}/session");
        let options = json!({ "binary": program, "args": arguments });
        let options = json!({ "webkitgtk:browserOptions": options });
        let capabilities = json!({ "capabilities": { "alwaysMatch": options } });
        let answer = match client.post(&url).json(&capabilities).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Ok(None),
            Err(error) => return Err(error).context("starting a session"),
        };
        let value = outcome(answer.json().await?)?;
        let id = value.get("sessionId").and_then(Value::as_str);
        let id = id.context("a session has an id")?;
        let it = Self {
            client,
            url: format!("{url}/{id}"),
        };
        let patience = json!({ "script": (GUARD * 3).as_millis() });
        it.post("timeouts", patience).await?;
        Ok(Some(it))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let url = format!("{}/{path}", self.url);
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| path.to_owned())?;
        outcome(answer.json().await?).with_context(|| path.to_owned())
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// What a script comes to.
    pub async fn eval(&self, script: &str, arguments: Value) -> Result<Value> {
        let body = json!({ "script": script, "args": arguments });
        self.post("execute/sync", body).await
    }

    /// What a script hands to its last argument.
    pub async fn eval_async(&self, script: &str, arguments: Value) -> Result<Value> {
        let body = json!({ "script": script, "args": arguments });
        self.post("execute/async", body).await
    }

    /// Presses with the middle of the mouse's way on it; fails where something else lies over it.
    pub async fn click(&self, element: &Element) -> Result<()> {
        let done = self.post(&element.path("click"), json!({})).await;
        done.map(drop)
    }

    /// What assistive technology is told: what it is, and what it is called.
    pub async fn computed(&self, element: &Element) -> Result<(String, String)> {
        let role = self.get(&element.path("computedrole")).await?;
        let label = self.get(&element.path("computedlabel")).await?;
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        Ok((text(role), text(label)))
    }

    /// Types.
    pub async fn keys(&self, element: &Element, text: &str) -> Result<()> {
        let body = json!({ "text": text });
        self.post(&element.path("value"), body).await.map(drop)
    }

    /// Moves the mouse to an element and holds its button, or lets go.
    pub async fn mouse(&self, action: Mouse<'_>) -> Result<()> {
        let steps = match action {
            Mouse::Press(element) => json!([
                { "type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": { ELEMENT: element.0 } },
                { "type": "pointerDown", "button": 0 },
            ]),
            Mouse::Release => json!([{ "type": "pointerUp", "button": 0 }]),
        };
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": steps });
        let body = json!({ "actions": [mouse] });
        self.post("actions", body).await.map(drop)
    }

    /// Makes the window so large.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let body = json!({ "x": 0, "y": 0, "width": width, "height": height });
        self.post("window/rect", body).await.map(drop)
    }

    /// Ends the session, and the program with it.
    pub async fn end(&self) -> Result<()> {
        let request = self.client.delete(&self.url);
        request.timeout(Duration::from_secs(5)).send().await?;
        Ok(())
    }
}

/// What a mouse does.
#[derive(Clone, Copy, Debug)]
pub enum Mouse<'a> {
    Press(&'a Element),
    Release,
}

fn outcome(mut answer: Value) -> Result<Value> {
    let value = answer.get_mut("value").map(Value::take);
    let value = value.ok_or_else(|| anyhow!("no answer of a driver: {answer}"))?;
    if let Some(error) = value.get("error") {
        let message = value.get("message").and_then(Value::as_str);
        bail!("{error}: {}", message.unwrap_or_default());
    }
    Ok(value)
}
