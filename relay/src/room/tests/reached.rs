//! How many people somebody is told to have reached, where there are several relays.

use super::{town::Town, *};
use crate::store::region::Region;

/// Who gets a message is decided on the relay where they are, by where they are then. How many these
/// are its sender is told at once, by what their own relay has heard until then: it is wrong about who
/// moves at that very moment, and about nobody else.
#[test]
fn reached_counts_people_of_other_relays_by_what_is_known_of_them() {
    let mut town = Town::new(2, 4);
    let mut fox = TestClient::new(town.room(0), at(0));
    let mut owl = TestClient::new(town.room(1), at(0));
    let far = square().destination(1.0, 1_500.0);
    for place in [square(), far] {
        let around = Region::around(&Spot::new(place, Radius::new(500).unwrap()));
        for room in 0..2 {
            town.attend(room, &around, at(0));
        }
    }
    fox.locate(town.room(0), square(), 500, at(0));
    let mut walk_and_talk = |to: Place, second: u64| {
        owl.locate(town.room(1), to, 500, at(second));
        let mut told_and_got = Vec::new();
        for text in ["at that very moment", "later"] {
            owl.messages.clear();
            fox.say(town.room(0), text, at(second));
            town.settle(at(second));
            fox.read();
            owl.read();
            told_and_got.push((fox.sent.last().unwrap().1, owl.messages.len()));
        }
        told_and_got
    };
    assert_eq!(walk_and_talk(square(), 10), [(0, 1), (1, 1)]);
    assert_eq!(walk_and_talk(far, 100), [(1, 0), (0, 0)]);
    assert_eq!(walk_and_talk(square(), 200), [(0, 1), (1, 1)]);
}
