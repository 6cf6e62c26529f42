//! Prepares what Tauri builds in, and says what the window may ask for.

use std::{env, path::Path};

use tauri_build::{AppManifest, Attributes};

/// What the window may call. `capabilities/main.json` allows each of these, and nothing else.
const COMMANDS: &[&str] = &[
    "ask_microphone",
    "change_relay",
    "check_relay",
    "command",
    "install_update",
    "invite_link",
    "look_for_update",
    "notify",
    "open_link",
    "open_system_settings",
    "panic",
    "place_by_hand",
    "save_settings",
    "say_words",
    "start",
    "use_location",
];

fn main() {
    let manifest = AppManifest::new().commands(COMMANDS);
    let attributes = Attributes::new().app_manifest(manifest);
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo:error={error:#}");
    }

    let interface = Path::new("../app/dist");
    println!("cargo:rerun-if-changed={}", interface.display());
    if !interface.join("index.html").exists() {
        // The shell can be checked and tested before the interface has been built.
        println!(
            "cargo:warning=app/dist is missing, so this window will be empty; `npm run build` in app/ makes it"
        );
        println!(r#"cargo:rustc-env=TAURI_CONFIG={{"build":{{"frontendDist":"no-ui"}}}}"#);
        if env::var_os("TAURI_CONFIG").is_some() {
            println!("cargo:error=TAURI_CONFIG is set, and app/dist is missing");
        }
    }
}
