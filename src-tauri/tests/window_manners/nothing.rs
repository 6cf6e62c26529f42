//! A desktop that has none of that: what can't be had is said, or not offered.

use neartalk_rig::{
    bus::Bus,
    desk::{Desk, key},
    window,
};
use serde_json::{Value, json};

use crate::desktop::{Desktop, Start, TITLE, begin};

#[test]
fn what_a_desktop_does_not_have_is_said_or_not_offered() {
    let desktop = Desktop::start();
    // A desktop of Wayland without a portal, a tray or anything that shows notifications.
    let anna = desktop.open(Start {
        settings: json!({ "talk_key": "F9", "notify_messages": true, "close_to_tray": true }),
        wayland: true,
        ..Start::on(Bus::start().unwrap())
    });
    begin(&anna);
    let mut ben = desktop.somebody();
    anna.reads("500 m · 1 person").unwrap();
    let desk = Desk::open(&desktop.screen).unwrap();
    anna.has_no_attention().unwrap();
    ben.say("Hello?").unwrap();
    anna.reads("Nothing on this desktop shows notifications")
        .unwrap();

    anna.press("button", "Settings").unwrap();
    anna.reads("Version").unwrap();
    anna.reads_no_more("Keep running").unwrap();
    anna.press("button", "Voice").unwrap();
    anna.reads("Works in this window, also while you type")
        .unwrap();

    // It would be lost if it were hidden, so it is closed whatever was chosen.
    desk.close(TITLE).unwrap();
    let left = |event: &Value| (event["type"] == "person_left").then_some(());
    ben.wait("Anna's goodbye", left).unwrap();
    anna.has_ended().unwrap();
}

#[test]
fn a_key_that_another_program_has_is_refused_and_said_so() {
    let desktop = Desktop::start();
    let desk = Desk::open(&desktop.screen).unwrap();
    desk.takes(key::F9).unwrap();
    let anna = desktop.open(Start {
        settings: json!({ "talk_key": "F9" }),
        ..Start::on(Bus::start().unwrap())
    });
    let refused = "This key can't be had; perhaps another program has it";
    anna.reads(refused).unwrap();
    drop(anna);

    // So is one that is wanted in place of another, which stays.
    let ben = desktop.open(Start {
        settings: json!({ "talk_key": "F8" }),
        ..Start::on(Bus::start().unwrap())
    });
    begin(&ben);
    ben.reads("500 m · nobody").unwrap();
    ben.press("button", "Settings").unwrap();
    ben.reads("Version").unwrap();
    ben.press("button", "Voice").unwrap();
    ben.reads("Works while other windows are in front").unwrap();
    ben.press("button", "F8").unwrap();
    ben.types("button", "Press the keys…", window::key::F9)
        .unwrap();
    ben.reads(refused).unwrap();
    ben.sees("button", "F8").unwrap();
    assert!(desk.takes(key::F8).is_err(), "he has lost his own");
}
