//! The icon in the tray.

use neartalk_rig::{bus::Bus, desk::Desk, tray::Tray};
use serde_json::{Value, json};

use crate::desktop::{Desktop, Start, TITLE, begin, choose};

#[test]
fn the_tray_has_an_icon_that_hides_and_shows_the_window_and_ends_the_program() {
    let desktop = Desktop::start();
    let bus = Bus::start().unwrap();
    let tray = Tray::start(&bus).unwrap();
    let anna = desktop.open(Start {
        settings: json!({ "voice_explained": true }),
        ..Start::on(bus)
    });
    let desk = Desk::open(&desktop.screen).unwrap();
    begin(&anna);
    let mut ben = desktop.somebody();
    anna.reads("500 m · 1 person").unwrap();

    let icon = tray.icon().unwrap();
    assert_eq!(icon.width().unwrap(), 32);
    icon.offers(&["Hide NearTalk", "Quit"]).unwrap();
    desk.shows(TITLE, true).unwrap();
    icon.choose("Hide NearTalk").unwrap();
    desk.shows(TITLE, false).unwrap();
    icon.offers(&["Show NearTalk", "Quit"]).unwrap();
    icon.choose("Show NearTalk").unwrap();
    desk.shows(TITLE, true).unwrap();

    // Without a sound server one joins voice to listen, which is enough to leave it.
    anna.press("button", "Talk.*").unwrap();
    icon.offers(&["Hide NearTalk", "Mute", "Leave voice", "Quit"])
        .unwrap();
    icon.choose("Mute").unwrap();
    icon.offers(&["Hide NearTalk", "Unmute", "Leave voice", "Quit"])
        .unwrap();
    icon.choose("Leave voice").unwrap();
    icon.offers(&["Hide NearTalk", "Quit"]).unwrap();

    // Whoever wants that closes the window without ending anything.
    choose(&anna, "General", "Keep running when I close the window*");
    desk.close(TITLE).unwrap();
    desk.shows(TITLE, false).unwrap();
    ben.say("Are you still there?").unwrap();
    icon.click().unwrap();
    desk.shows(TITLE, true).unwrap();
    anna.reads("Are you still there?").unwrap();

    // When the tray goes away, the window must not be lost.
    desk.close(TITLE).unwrap();
    desk.shows(TITLE, false).unwrap();
    let bus = anna.bus();
    tray.leave().unwrap();
    desk.shows(TITLE, true).unwrap();
    let tray = Tray::start(bus).unwrap();
    let icon = tray.icon().unwrap();
    icon.offers(&["Hide NearTalk", "Quit"]).unwrap();
    icon.choose("Quit").unwrap();
    let gone = |event: &Value| {
        let left = event["type"] == "person_left" && event["reason"] == "left";
        left.then_some(())
    };
    ben.wait("Anna's goodbye", gone).unwrap();
    anna.has_ended().unwrap();
}
