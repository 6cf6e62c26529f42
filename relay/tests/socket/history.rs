//! What somebody who looks now is told of what was said before.

use neartalk_shared::frame::Message;

use crate::common::{Person, Relay, beside, centre, east, spot};

/// People who were where they said it, with the circle that they had, are heard by whoever is in
/// mutual range of that now.
#[tokio::test]
async fn history_is_what_was_said_in_mutual_range_of_here() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 2_000);
    let mut said = Vec::new();
    for (metres, radius) in [
        (0.0, 100),
        (0.0, 500),
        (400.0, 500),
        (400.0, 2_000),
        (1_500.0, 2_000),
        (3_000.0, 2_000),
    ] {
        let there = east(here, metres);
        let mut speaker = Person::at(&relay, &api, "Speaker", there, radius).await;
        let text = format!("{radius} m around {metres}");
        let sent = speaker.say(&text).await;
        said.push((text, speaker.id(), sent, spot(there, radius)));
        // Gone before anybody looks.
        speaker.leave().await;
    }
    let mut counts = Vec::new();
    for (metres, radius) in [
        (0.0, 2_000),
        (0.0, 500),
        (0.0, 100),
        (200.0, 700),
        (1_000.0, 2_000),
        (-2_500.0, 2_000),
    ] {
        let mut late = Person::join(&relay, &api, "Late").await;
        let mine = spot(east(here, metres), radius);
        let history = late.locate(east(here, metres), radius).await.history;
        let expected: Vec<_> = said
            .iter()
            .filter_map(|(text, from, sent, spot)| {
                let distance = mine.band_in_range(spot)?;
                Some((
                    text.as_str(),
                    *from,
                    sent.id,
                    sent.sent_at,
                    sent.expires_at,
                    distance,
                ))
            })
            .collect();
        let got: Vec<_> = history
            .iter()
            .map(|m: &Message| {
                (
                    m.text.as_str(),
                    m.from,
                    m.id,
                    m.sent_at,
                    m.expires_at,
                    m.distance,
                )
            })
            .collect();
        assert_eq!(got, expected, "{radius} m around {metres}");
        counts.push(got.len());
        late.leave().await;
    }
    assert!(counts.contains(&0) && counts.contains(&5), "{counts:?}");
}

#[tokio::test]
async fn history_stays_where_it_was_said_when_the_speaker_walks_on() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    fox.say("said at the old place").await;
    fox.locate(beside(1), 500).await;
    fox.say("said at the new place").await;
    for (i, text) in [(0, "said at the old place"), (1, "said at the new place")] {
        let mut late = Person::join(&relay, &api, "Late").await;
        assert_eq!(late.locate(beside(i), 500).await.texts(), [text]);
    }
}

#[tokio::test]
async fn whoever_walks_on_gets_the_history_of_the_new_place() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    for (i, text) in [(0, "here"), (1, "there")] {
        let mut speaker = Person::at(&relay, &api, "Speaker", beside(i), 500).await;
        speaker.say(text).await;
    }
    let mut walker = Person::join(&relay, &api, "Walker").await;
    assert_eq!(walker.locate(beside(0), 500).await.texts(), ["here"]);
    assert_eq!(walker.locate(beside(1), 500).await.texts(), ["there"]);
}

#[tokio::test]
async fn a_smaller_circle_has_a_smaller_history() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 2_000);
    for (metres, text) in [(0.0, "near"), (700.0, "far")] {
        let mut speaker = Person::at(&relay, &api, "Speaker", east(here, metres), 2_000).await;
        speaker.say(text).await;
    }
    let mut late = Person::join(&relay, &api, "Late").await;
    assert_eq!(late.locate(here, 2_000).await.texts(), ["near", "far"]);
    assert_eq!(late.locate(here, 300).await.texts(), ["near"]);
}

#[tokio::test]
async fn history_is_oldest_first_and_has_ones_own_words() {
    let relay = Relay::start(&["--messages-per-minute", "200"]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut expected = Vec::new();
    for n in 0..150 {
        let speaker = if n % 3 == 0 { &mut owl } else { &mut fox };
        speaker.say(&format!("number {n}")).await;
        expected.push(format!("number {n}"));
    }
    let history = fox.locate(beside(0), 500).await.history;
    let texts: Vec<_> = history.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, expected);
    assert!(history.is_sorted_by_key(|m| m.sent_at));
    let own = history.iter().filter(|m| m.from == fox.id()).count();
    assert_eq!(own, 100);
}

#[tokio::test]
async fn the_longest_history_there_can_be_reaches_whoever_reads() {
    let relay = Relay::start(&["--messages-per-minute", "1000"]);
    let api = relay.api();
    // As many as are replayed, in the widest characters there are: more than 2 MB.
    let wide = "\u{1f98a}".repeat(495);
    let mut speakers = Vec::new();
    for name in ["One", "Two", "Three", "Four"] {
        speakers.push(Person::at(&relay, &api, name, beside(0), 500).await);
    }
    let saying = speakers.iter_mut().map(|speaker| async {
        for n in 0..250 {
            speaker.say(&format!("{n} {wide}")).await;
            // Reads what the others say.
            speaker.heard().await;
        }
    });
    futures_util::future::join_all(saying).await;
    let mut late = Person::join(&relay, &api, "Late").await;
    let located = late.locate(beside(0), 500).await;
    assert_eq!(located.history.len(), 1_000);
    assert!(
        located
            .history
            .iter()
            .all(|m| m.text.as_str().ends_with(&wide))
    );
}
