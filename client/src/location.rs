//! Where the device is: a stream that whoever runs the engine hands in.

use futures_util::{Stream, stream};
use neartalk_shared::Place;
use tokio::sync::watch;

/// Where the device is, at the moment of being handed in. It stays on the device: the relay is
/// told the centre of a cell (see [`cloak`](crate::cloak)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// The place itself.
    pub place: Place,
    /// Chosen by hand rather than measured: told at once, as there is no path to hide.
    pub by_hand: bool,
}

impl Fix {
    /// A place that was measured.
    pub const fn measured(place: Place) -> Self {
        Self {
            place,
            by_hand: false,
        }
    }

    /// A place that was chosen by hand.
    pub const fn by_hand(place: Place) -> Self {
        Self {
            place,
            by_hand: true,
        }
    }
}

/// The sending end of a stream of fixes. The latest wins: a fix that was not taken before the next
/// came is of no use to anyone.
#[derive(Debug)]
pub struct FixSender(watch::Sender<Option<Fix>>);

impl FixSender {
    /// Hands in where the device is now.
    pub fn send(&self, fix: Fix) {
        self.0.send_replace(Some(fix));
    }
}

/// A way to hand in fixes one by one. The stream goes on without an end of its own; when the
/// sender is dropped, the last place stays.
pub fn channel() -> (FixSender, impl Stream<Item = Fix> + Send + Unpin + 'static) {
    let (sender, receiver) = watch::channel(None);
    let fixes = stream::unfold(receiver, |mut receiver| async move {
        loop {
            receiver.changed().await.ok()?;
            let fix = *receiver.borrow_and_update();
            if let Some(fix) = fix {
                return Some((fix, receiver));
            }
        }
    });
    (FixSender(sender), Box::pin(fixes))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn the_latest_wins_and_nothing_is_lost_at_the_end() {
        let (sender, mut fixes) = channel();
        let at = |lat| Fix::measured(Place::new(lat, 0.0).unwrap());
        sender.send(at(1.0));
        sender.send(at(2.0));
        assert_eq!(fixes.next().await, Some(at(2.0)));
        sender.send(at(3.0));
        drop(sender);
        assert_eq!(fixes.next().await, Some(at(3.0)));
        assert_eq!(fixes.next().await, None);
    }
}
