//! How it is started: again, by a link, with the system, and where it was.

use std::fs;

use neartalk_rig::{bus::Bus, desk::Desk, relay::Relay, window::Home};

use crate::desktop::{
    Desktop, Start, TITLE, begin, choose, comes_true, press_panic, program, somebody_on,
    start_again,
};

#[test]
fn a_second_start_brings_the_window_up_and_a_link_moves_nobody_unasked() {
    let desktop = Desktop::start();
    let other = Relay::start(&[]).unwrap();
    let link = |relay: &str| {
        format!(
            "neartalk://join?relay={}",
            relay.replace("://", "%3A%2F%2F")
        )
    };
    let host = |relay: &Relay| relay.url().trim_start_matches("http://").to_owned();
    let (here, there) = (host(&desktop.relay), host(&other));

    // NearTalk was closed when the link was opened.
    let bus = Bus::start().unwrap();
    let anna = desktop.open(Start {
        link: Some(link(other.url())),
        ..Start::on(bus)
    });
    anna.reads(&format!(
        "This invitation leads to {there}. You leave {here}"
    ))
    .unwrap();
    anna.press("button", "Stay here").unwrap();
    anna.sees_no_more("dialog", "*").unwrap();
    begin(&anna);
    let mut ben = desktop.somebody();
    anna.reads("500 m · 1 person").unwrap();

    // And once more: it is there already, behind another window.
    let desk = Desk::open(&desktop.screen).unwrap();
    anna.has_no_attention().unwrap();
    start_again(&anna, None);
    desk.loses_focus().unwrap();
    anna.has_attention().unwrap();
    ben.say("You are still here").unwrap();
    anna.reads("You are still here").unwrap();

    // Opened while it is there. A link to where one is asks nothing, so the next is about the other.
    start_again(&anna, Some("neartalk://join?relay=file:///etc/passwd"));
    anna.reads("the link names no relay").unwrap();
    start_again(&anna, Some(&link(desktop.relay.url())));
    desk.take_focus().unwrap();
    start_again(&anna, Some(&link(other.url())));
    desk.loses_focus().unwrap();
    anna.press("button", &format!("Go to {there}")).unwrap();
    anna.reads("500 m · nobody").unwrap();
    let _cleo = somebody_on(&other);
    anna.reads("500 m · 1 person").unwrap();
}

#[test]
fn it_opens_where_it_was_and_with_the_system_if_one_wants_until_a_panic() {
    const PLACE: (i16, i16, u16, u16) = (120, 60, 640, 580);
    let desktop = Desktop::start();
    let desk = Desk::open(&desktop.screen).unwrap();
    let home = Home::create().unwrap();
    let start = || Start {
        home: home.clone(),
        ..Start::on(Bus::start().unwrap())
    };
    let anna = desktop.open(start());
    let entry = home
        .config()
        .join("autostart/org.neartalk.NearTalk.desktop");
    assert!(!entry.exists());
    choose(&anna, "General", "Start with the system");
    comes_true("it is written down", || entry.exists());
    let written = fs::read_to_string(&entry).unwrap();
    let exec = format!("Exec=\"{}\"", program().display());
    assert!(written.lines().any(|line| line == exec), "{written}");

    desk.put(TITLE, PLACE).unwrap();
    desk.shows_at(TITLE, PLACE).unwrap();
    // The width that its interface knows of follows.
    anna.sees("button", "Chat").unwrap();
    desk.close(TITLE).unwrap();
    anna.has_ended().unwrap();
    drop(anna);

    // Turned off in the desktop's own settings, it is off in NearTalk's too.
    fs::write(
        &entry,
        format!("{written}X-GNOME-Autostart-enabled=false\n"),
    )
    .unwrap();
    let anna = desktop.open(start());
    desk.shows_at(TITLE, PLACE).unwrap();
    choose(&anna, "General", "Start with the system");
    comes_true("it is on again", || {
        fs::read_to_string(&entry).is_ok_and(|now| now == written)
    });
    press_panic(&anna);
    comes_true("it is forgotten", || !entry.exists());
}
