//! Bodies of HTTP requests, those of whoever runs the relay included.

use std::time::Duration;

use neartalk_relay::admin::{AnnounceOrder, BanOrder, CloseOrder};
use neartalk_shared::{
    ApiError, Spot,
    frame::Locate,
    http::{ChangeUsername, CreateSession},
    limits,
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Reads a body as each of them: whatever is taken keeps to the limits, and whatever is not is
/// told why.
pub fn check(data: &[u8]) {
    if let Some(CreateSession {
        username: Some(username),
        ..
    }) = read(CreateSession::parse(data))
    {
        named(username.as_str());
    }
    if let Some(ChangeUsername { username }) = read(ChangeUsername::parse(data)) {
        named(username.as_str());
    }
    if let Some(Locate { place, radius }) = read(Locate::parse(data)) {
        assert!((-90.0..=90.0).contains(&place.lat()) && (-180.0..=180.0).contains(&place.lon()));
        assert!((limits::RADIUS_MIN_M..=limits::RADIUS_MAX_M).contains(&radius.metres()));
        let spot = Spot::new(place, radius);
        assert_eq!(Spot::new(spot.centre(), radius), spot, "snapped is snapped");
    }
    if let Some(BanOrder { time, .. }) = read(BanOrder::parse(data)) {
        lasts(time);
    }
    if let Some(CloseOrder { cell, time }) = read(CloseOrder::parse(data)) {
        lasts(time);
        assert_eq!(cell.as_str().len(), 5);
    }
    if let Some(AnnounceOrder { text, time, cell }) = read(AnnounceOrder::parse(data)) {
        lasts(time);
        let characters = text.as_str().chars().count();
        assert!((1..=limits::MESSAGE_MAX_CHARS).contains(&characters));
        assert!(cell.is_none_or(|cell| cell.as_str().is_ascii()));
    }
}

fn read<T>(body: Result<T, ApiError>) -> Option<T> {
    body.inspect_err(|refused| assert!(!refused.message.is_empty(), "it says why"))
        .ok()
}

fn lasts(time: Duration) {
    assert!(!time.is_zero() && time <= YEAR);
}

fn named(name: &str) {
    let characters = name.chars().count();
    let allowed = limits::USERNAME_MIN_CHARS..=limits::USERNAME_MAX_CHARS;
    assert!(allowed.contains(&characters), "{name:?}");
}
