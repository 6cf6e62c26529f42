//! What is counted for those who keep figures.

use super::*;
use crate::{database::Record, figures::AreaHour};

const HOUR_S: u64 = 3_600;

/// The figures among what is to be kept.
fn hours(room: &mut Room<TestLink>, ending: bool, now: Timestamp) -> Vec<AreaHour> {
    let records = room.take_records(ending, now);
    let hours = records.into_iter().filter_map(|record| match record {
        Record::Hour(hour) => Some(hour),
        Record::Ban(_) => None,
    });
    hours.collect()
}

#[test]
fn people_words_and_voice_are_counted_by_the_hour() {
    // An hour begins here.
    let begin = 1_790_000_000 / HOUR_S * HOUR_S + HOUR_S - 1_790_000_000;
    let mut room = room_with(RoomSettings::default());
    room.keep_figures(at(begin));
    let mut people: Vec<_> = (0..10)
        .map(|_| {
            let mut client = TestClient::new(&mut room, at(begin));
            client.locate(&mut room, square(), 500, at(begin));
            client
        })
        .collect();
    people[0].say(&mut room, "one", at(begin));
    people[1].say(&mut room, "two", at(begin));
    for client in &mut people[..2] {
        client.send(&mut room, ClientFrame::VoiceJoin, at(begin));
    }
    // One leaves voice after 10 s, one stays; each second is a tick.
    for second in 1..=30 {
        room.tick(at(begin + second));
        if second == 10 {
            people[0].send(&mut room, ClientFrame::VoiceLeave, at(begin + second));
        }
    }
    let expected = AreaHour {
        hour: at(begin),
        geohash: "u33d".into(),
        people: 10,
        messages: 2,
        voice: Duration::from_secs(40),
    };
    assert_eq!(hours(&mut room, false, at(begin + 30)), []);
    let so_far = hours(&mut room, true, at(begin + 30));
    let next = begin + HOUR_S;
    assert_eq!(hours(&mut room, false, at(next)), [expected]);
    // Nothing has happened in between.
    assert_eq!(so_far.len(), 1);
    assert_eq!(so_far[0].voice, Duration::from_secs(40));
    // Those who stay are there in the next hour, too, without a word.
    let stayed = AreaHour {
        hour: at(next),
        geohash: "u33d".into(),
        people: 10,
        messages: 0,
        voice: Duration::ZERO,
    };
    assert_eq!(hours(&mut room, true, at(next)), [stayed]);
    // With nine there is nothing to tell.
    people[9].disconnect(&mut room, false, at(next));
    room.tick(at(next + 301));
    assert_eq!(hours(&mut room, false, at(next + HOUR_S)).len(), 1);
    assert_eq!(hours(&mut room, true, at(next + HOUR_S)), []);
}

#[test]
fn nothing_is_counted_unless_somebody_keeps_it() {
    let mut room = room_with(RoomSettings::default());
    let mut people: Vec<_> = (0..20).map(|_| TestClient::new(&mut room, at(0))).collect();
    for client in &mut people {
        client.locate(&mut room, square(), 500, at(0));
    }
    assert_eq!(room.take_records(true, at(HOUR_S)), []);
}
