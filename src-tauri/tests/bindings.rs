//! Keeps the window's types fresh. `UPDATE_GOLDEN=1` writes them anew.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{env, fs};

use neartalk_app::ipc::ipc;
use specta_typescript::Typescript;
use tauri::test::MockRuntime;

#[test]
fn bindings_are_fresh() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../app/src/backend/bindings.ts"
    );
    let made = tempfile::tempdir().unwrap();
    let made = made.path().join("bindings.ts");
    let header = "// Made from the Rust types by the test `bindings` of src-tauri/; do not edit.\n";
    let language = Typescript::default().header(header);
    ipc::<MockRuntime>().export(language, &made).unwrap();
    let fresh = fs::read_to_string(made).unwrap();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, &fresh).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == fresh,
        "{path} is stale; run the tests with UPDATE_GOLDEN=1 and commit it"
    );
}
