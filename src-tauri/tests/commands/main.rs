//! What the window asks for, asked without one: by the same messages, with a real engine behind them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

#[cfg(all(desktop, feature = "updater"))]
mod updates;

use neartalk_app::{builder, furnish, store::Store, updates::Source};
use serde_json::{Value, json};
use tauri::{
    App, WebviewWindow, WebviewWindowBuilder,
    ipc::{CallbackFn, InvokeBody},
    test::{MockRuntime, get_ipc_response, mock_context, noop_assets},
    webview::InvokeRequest,
};
use tempfile::TempDir;

/// Nothing listens there, so nobody is told anything.
const RELAY: &str = "http://127.0.0.1:9";

struct Shell {
    window: WebviewWindow<MockRuntime>,
    app: App<MockRuntime>,
    folder: TempDir,
}

impl Shell {
    fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap())
    }

    /// With what was kept in a folder earlier.
    fn open_in(folder: TempDir) -> Self {
        Self::open_as_built(folder, None)
    }

    /// Where newer versions are to be had.
    #[cfg(all(desktop, feature = "updater"))]
    fn open_with(source: Source) -> Self {
        Self::open_as_built(tempfile::tempdir().unwrap(), Some(source))
    }

    fn open_as_built(folder: TempDir, source: Option<Source>) -> Self {
        let mut context = mock_context(noop_assets());
        context.config_mut().version = Some(env!("CARGO_PKG_VERSION").into());
        // As in the program itself.
        let config: Value = serde_json::from_str(include_str!("../../tauri.conf.json")).unwrap();
        let plugins = &mut context.config_mut().plugins.0;
        plugins.insert("updater".into(), config["plugins"]["updater"].clone());
        let app = builder::<MockRuntime>();
        #[cfg(all(desktop, feature = "updater"))]
        let app = app.plugin(tauri_plugin_updater::Builder::new().build());
        let app = app.build(context).unwrap();
        let store = Store::new(folder.path().to_owned());
        let relay = RELAY.parse().unwrap();
        furnish(app.handle(), store, Some(relay), source);
        let window = WebviewWindowBuilder::new(&app, "main", Default::default())
            .build()
            .unwrap();
        Self {
            window,
            app,
            folder,
        }
    }

    /// What comes of asking for something, or what is said in place of it.
    fn ask(&self, command: &str, arguments: Value) -> Result<Value, Value> {
        let request = InvokeRequest {
            cmd: command.into(),
            callback: CallbackFn(0),
            error: CallbackFn(1),
            url: "tauri://localhost".parse().unwrap(),
            body: InvokeBody::Json(arguments),
            headers: Default::default(),
            invoke_key: self.app.invoke_key().to_owned(),
        };
        get_ipc_response(&self.window, request).map(|body| body.deserialize().unwrap())
    }

    fn start(&self) -> Value {
        self.ask("start", json!({})).unwrap()
    }
}

#[test]
fn what_is_chosen_is_there_at_the_next_start_and_gone_after_a_panic() {
    let shell = Shell::open();
    let start = shell.start();
    assert_eq!(start["settings"]["relay"], RELAY);
    assert_eq!(start["settings"]["voice"]["mode"], "push_to_talk");
    assert_eq!(start["place"], json!({ "state": "unasked" }));
    let patch = json!({ "patch": { "theme": "dark", "radius": 1_000, "talk_key": "F9" } });
    let settings = shell.ask("save_settings", patch).unwrap();
    assert_eq!(settings["theme"], "dark");

    let shell = Shell::open_in(shell.folder);
    assert_eq!(shell.start()["settings"], settings);
    let place = json!({ "lat": 52.5, "lon": 13.4, "label": "Berlin" });
    shell.ask("place_by_hand", place).unwrap();
    assert_eq!(shell.start()["place"]["label"], "Berlin");

    let after = shell.ask("panic", json!({})).unwrap();
    assert_eq!(after["settings"]["theme"], "system");
    assert_eq!(after["settings"]["talk_key"], Value::Null);
    assert_eq!(after["place"], json!({ "state": "unasked" }));
    assert_eq!(shell.folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_is_no_good_is_refused_by_name_and_changes_nothing() {
    let shell = Shell::open();
    let before = shell.start();
    for (command, arguments, code) in [
        (
            "place_by_hand",
            json!({ "lat": 91.0, "lon": 0.0, "label": null }),
            "invalid_location",
        ),
        (
            "place_by_hand",
            json!({ "lat": 1.0, "lon": 1.0, "label": "x".repeat(201) }),
            "invalid_location",
        ),
        (
            "change_relay",
            json!({ "address": "two words" }),
            "invalid_relay",
        ),
        (
            "open_link",
            json!({ "url": "file:///etc/passwd" }),
            "invalid_link",
        ),
        (
            "open_link",
            json!({ "url": "javascript:alert(1)" }),
            "invalid_link",
        ),
        // With or without a system that takes keys: nobody could write it any more.
        (
            "save_settings",
            json!({ "patch": { "talk_key": "Shift+T" } }),
            "invalid_settings",
        ),
    ] {
        let refused = shell.ask(command, arguments).unwrap_err();
        assert_eq!(refused["code"], code, "{command}: {refused}");
        assert!(!refused["message"].as_str().unwrap().is_empty());
    }
    // What is not even of the right shape.
    for (command, arguments) in [
        ("save_settings", json!({ "patch": { "radius": 7 } })),
        (
            "save_settings",
            json!({ "patch": { "relay": "https://example.org" } }),
        ),
        (
            "command",
            json!({ "command": { "type": "say", "id": "x", "text": "" } }),
        ),
        ("command", json!({ "command": { "type": "no_such" } })),
        ("place_by_hand", json!({ "lat": "here" })),
    ] {
        assert!(
            shell.ask(command, arguments.clone()).is_err(),
            "{command} {arguments}"
        );
    }
    assert_eq!(shell.start(), before);
}

#[test]
fn whoever_moves_to_another_relay_invites_there() {
    let shell = Shell::open();
    let invitation = |shell: &Shell| shell.ask("invite_link", json!({})).unwrap();
    assert_eq!(
        invitation(&shell),
        "neartalk://join?relay=http%3A%2F%2F127.0.0.1%3A9"
    );
    let other = json!({ "address": "http://127.0.0.1:10/near" });
    shell.ask("change_relay", other).unwrap();
    assert_eq!(
        invitation(&shell),
        "neartalk://join?relay=http%3A%2F%2F127.0.0.1%3A10%2Fnear"
    );
    assert_eq!(
        shell.start()["settings"]["relay"],
        "http://127.0.0.1:10/near"
    );
    let check = json!({ "address": "http://127.0.0.1:10" });
    assert_eq!(
        shell.ask("check_relay", check).unwrap()["result"],
        "unreachable"
    );
}
