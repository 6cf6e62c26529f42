//! What is said while nobody looks.

use neartalk_rig::{
    bus::Bus,
    desk::Desk,
    notifications::{Asked, Notifications},
};

use crate::desktop::{Desktop, Start, TITLE, begin, choose, press_panic};

#[test]
fn what_is_said_while_the_window_is_out_of_sight_is_told_as_was_chosen() {
    let desktop = Desktop::start();
    let bus = Bus::start().unwrap();
    let notifications = Notifications::start(&bus).unwrap();
    let anna = desktop.open(Start::on(bus));
    begin(&anna);
    let mut ben = desktop.somebody();
    anna.reads("500 m · 1 person").unwrap();
    let name = anna.eval("document.querySelector('header bdi').textContent");
    let name = name.unwrap().as_str().unwrap().to_owned();

    // Whoever looks needs no notification, and whoever looks away wants them for mentions alone.
    let desk = Desk::open(&desktop.screen).unwrap();
    desk.look_at(TITLE).unwrap();
    anna.has_attention().unwrap();
    ben.say(&format!("@{name} can you see me?")).unwrap();
    anna.reads("can you see me?").unwrap();
    desk.take_focus().unwrap();
    anna.has_no_attention().unwrap();
    ben.say("Nobody in particular").unwrap();
    anna.reads("Nobody in particular").unwrap();
    ben.say(&format!("@{name} over here")).unwrap();
    let first = notifications.shown().unwrap();
    assert_eq!(first.summary, "Somebody nearby mentions you");
    assert_eq!(first.body, "Open NearTalk to read it.");
    assert_eq!(first.actions, ["default", ""]);
    // By which the desktop finds its name, its icon, and whether the person wants any of it.
    assert_eq!(first.desktop_entry, "neartalk");

    // A click brings the window up, and whoever sees it needs no notification any more.
    notifications.click(first.id).unwrap();
    desk.loses_focus().unwrap();
    anna.has_attention().unwrap();

    choose(&anna, "Notifications", "With every message");
    choose(&anna, "Notifications", "Show what was said*");
    desk.take_focus().unwrap();
    anna.has_no_attention().unwrap();
    ben.say(r#"Look: <a href="http://a.example">here</a> & there"#)
        .unwrap();
    let second = notifications.shown().unwrap();
    assert_eq!(second.summary, ben.username());
    assert_eq!(
        second.body,
        r#"Look: &lt;a href="http://a.example"&gt;here&lt;/a&gt; &amp; there"#
    );
    // The next of the same person takes the place of the one before.
    ben.say(&format!("@{name} did you see?")).unwrap();
    let third = notifications.shown().unwrap();
    assert_eq!((third.id, third.replaces), (second.id, second.id));
    assert_eq!(third.summary, format!("{} mentions you", ben.username()));

    // Nothing that was said is left anywhere after a panic.
    press_panic(&anna);
    assert_eq!(notifications.next().unwrap(), Asked::TakeBack(third.id));
}
