//! Frames of clients and of relays, and what relays tell each other, from any text.

use neartalk_relay::store::wire::{Event, Letter};
use neartalk_shared::{ClientFrame, ServerFrame};
use serde::{Serialize, de::DeserializeOwned};

/// Reads a text as each of them: whatever is taken must come out as it would go in again.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match ClientFrame::parse(text) {
        Ok(frame) => {
            let json = frame.to_json();
            let again = ClientFrame::parse(&json).expect("what was taken is taken again");
            assert_eq!(again.to_json(), json);
        }
        Err(refused) => assert!(!refused.error.message.is_empty(), "it says why"),
    }
    if let Ok(Some(frame)) = ServerFrame::parse(text) {
        let json = frame.to_json();
        let again = ServerFrame::parse(&json).expect("what was taken is taken again");
        assert_eq!(again.map(|frame| frame.to_json()), Some(json));
    }
    unchanged::<Event>(text);
    unchanged::<Letter>(text);
}

fn unchanged<T: Serialize + DeserializeOwned>(text: &str) {
    if let Ok(read) = serde_json::from_str::<T>(text) {
        let json = serde_json::to_string(&read).expect("it can be written");
        let again: T = serde_json::from_str(&json).expect("what was taken is taken again");
        assert_eq!(
            serde_json::to_string(&again).expect("it can be written"),
            json
        );
    }
}
