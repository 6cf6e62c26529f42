//! Starts the window.

// No console beside it on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    match neartalk_app::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("NearTalk can't start: {error:#}");
            ExitCode::FAILURE
        }
    }
}
