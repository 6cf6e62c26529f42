//! Signals that are malformed, too large, or for somebody they have no business with.

use neartalk_shared::{ErrorCode, PeerId, ServerFrame, limits};
use rand::SeedableRng;
use serde_json::{Value, json};

use crate::common::{Person, Relay, beside, east};

#[tokio::test]
async fn a_signal_to_somebody_out_of_range_is_answered_as_one_to_nobody() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let nobody = PeerId::random(&mut rand::rngs::StdRng::seed_from_u64(1)).to_string();
    let bye = |to: &str| json!({ "type": "signal", "to": to, "data": { "kind": "bye" } });

    // Somebody in voice, out of range; in range, not in voice; who has left voice; who has gone;
    // who was never anywhere.
    let mut far = Person::at(&relay, &api, "Far", east(beside(0), 1_500.0), 2_000).await;
    far.join_voice().await;
    let silent = Person::at(&relay, &api, "Silent", beside(0), 500).await;
    let mut hoarse = Person::at(&relay, &api, "Hoarse", beside(0), 500).await;
    hoarse.join_voice().await;
    hoarse.send(&neartalk_shared::ClientFrame::VoiceLeave).await;
    hoarse.settle().await;
    let mut gone = Person::at(&relay, &api, "Gone", beside(0), 500).await;
    gone.join_voice().await;
    fox.sees(gone.id()).await;
    gone.leave().await;
    fox.misses(gone.id()).await;
    let nowhere = Person::join(&relay, &api, "Nowhere").await;
    fox.join_voice().await;

    let ids = [
        nobody,
        far.id().to_string(),
        silent.id().to_string(),
        hoarse.id().to_string(),
        gone.id().to_string(),
        nowhere.id().to_string(),
        fox.id().to_string(),
        "not an id".to_owned(),
        String::new(),
        fox.id().to_string().to_lowercase(),
    ];
    let mut answers = Vec::new();
    for id in &ids {
        fox.settle().await;
        let before = fox.seen.len();
        fox.send_text(bye(id).to_string()).await;
        fox.expect_error(ErrorCode::NotInRange).await;
        let answer: Vec<_> = fox.seen[before..]
            .iter()
            .filter(|frame| frame.contains(r#""type":"error""#))
            .cloned()
            .collect();
        assert_eq!(answer.len(), 1);
        answers.extend(answer);
    }
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:#?}");
    // The same from somebody who is not in voice themselves.
    let mut outsider = silent;
    outsider.send_text(bye(&ids[1]).to_string()).await;
    outsider.expect_error(ErrorCode::NotInRange).await;
    assert!(outsider.seen.contains(&answers[0]));
    for unaware in [&mut far, &mut hoarse] {
        let frames = unaware.settle().await;
        assert!(
            !frames
                .iter()
                .any(|f| matches!(f, ServerFrame::Signal { .. })),
            "{frames:?}"
        );
    }
}

#[tokio::test]
async fn a_signal_of_the_wrong_shape_or_size_goes_nowhere() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    fox.join_voice().await;
    owl.join_voice().await;
    fox.meets_in_voice(owl.id()).await;
    owl.meets_in_voice(fox.id()).await;
    owl.settle().await;

    let offer = |sdp: Value| json!({ "kind": "description", "sdp_type": "offer", "sdp": sdp });
    let candidate = |candidate: Value, mid: Value, index: Value| {
        json!({
            "kind": "candidate",
            "candidate": candidate,
            "sdp_mid": mid,
            "sdp_m_line_index": index,
        })
    };
    let sdp_max = limits::SDP_MAX_BYTES;
    for data in [
        offer(json!("x".repeat(sdp_max + 1))),
        // As many characters, but twice as many bytes.
        offer(json!("ü".repeat(sdp_max / 2 + 1))),
        offer(json!(7)),
        offer(Value::Null),
        json!({ "kind": "description", "sdp_type": "pranswer", "sdp": "v=0" }),
        json!({ "kind": "description", "sdp": "v=0" }),
        candidate(
            json!("c".repeat(limits::CANDIDATE_MAX_BYTES + 1)),
            json!("0"),
            json!(0),
        ),
        candidate(
            json!("candidate:1"),
            json!("m".repeat(limits::SDP_MID_MAX_BYTES + 1)),
            json!(0),
        ),
        candidate(json!("candidate:1"), json!("0"), json!(-1)),
        candidate(json!("candidate:1"), json!("0"), json!(65_536)),
        candidate(json!("candidate:1"), json!("0"), json!(0.5)),
        candidate(Value::Null, json!("0"), json!(0)),
        json!({ "kind": "candidate" }),
        json!({ "kind": "file", "name": "x" }),
        json!({ "sdp": "v=0" }),
        json!({}),
        json!([]),
        json!("bye"),
        Value::Null,
    ] {
        let signal = json!({ "type": "signal", "to": owl.id(), "data": data });
        fox.send_text(signal.to_string()).await;
        let (error, _) = fox.error().await;
        assert_eq!(error.code, ErrorCode::InvalidSignal, "{data:.80}");
    }
    fox.send_text(json!({ "type": "signal", "to": owl.id() }).to_string())
        .await;
    fox.expect_error(ErrorCode::InvalidFrame).await;
    let frames = owl.settle().await;
    assert!(
        !frames
            .iter()
            .any(|f| matches!(f, ServerFrame::Signal { .. })),
        "{frames:?}"
    );
}
