//! Friendly random names: an adjective and an animal.

use rand::{Rng, seq::IndexedRandom};

use crate::username::Username;

/// Kind words that nobody minds being called.
const ADJECTIVES: &[&str] = &[
    "Agile", "Amber", "Autumn", "Blue", "Bold", "Brave", "Bright", "Brisk", "Bronze", "Calm",
    "Candid", "Cheerful", "Clever", "Copper", "Coral", "Cosy", "Crimson", "Curious", "Daring",
    "Dawn", "Deft", "Eager", "Early", "Fair", "Fleet", "Fond", "Free", "Gentle", "Glad", "Golden",
    "Green", "Happy", "Hazel", "Honest", "Humble", "Indigo", "Ivory", "Jade", "Jolly", "Keen",
    "Kind", "Lively", "Lucky", "Lunar", "Maple", "Mellow", "Merry", "Mild", "Misty", "Modest",
    "Nimble", "Noble", "Olive", "Patient", "Pearl", "Polite", "Proud", "Quick", "Quiet", "Ready",
    "Red", "River", "Rosy", "Ruby", "Rustic", "Sandy", "Silent", "Silver", "Snowy", "Solar",
    "Spry", "Steady", "Sunny", "Swift", "Teal", "Tidy", "Velvet", "Violet", "Warm", "Winter",
    "Wise", "Witty", "Young", "Zesty",
];

/// Animals that are at most ten letters long and easy to tell apart.
const ANIMALS: &[&str] = &[
    "Alpaca",
    "Badger",
    "Beaver",
    "Bee",
    "Bison",
    "Bluebird",
    "Bobcat",
    "Buffalo",
    "Camel",
    "Caribou",
    "Cheetah",
    "Condor",
    "Cormorant",
    "Coyote",
    "Crane",
    "Cricket",
    "Curlew",
    "Deer",
    "Dolphin",
    "Dove",
    "Dragonfly",
    "Eagle",
    "Egret",
    "Elk",
    "Falcon",
    "Ferret",
    "Finch",
    "Firefly",
    "Flamingo",
    "Fox",
    "Gazelle",
    "Gecko",
    "Gibbon",
    "Giraffe",
    "Goose",
    "Grouse",
    "Gull",
    "Hare",
    "Hawk",
    "Hedgehog",
    "Heron",
    "Ibex",
    "Ibis",
    "Jackdaw",
    "Jaguar",
    "Jay",
    "Kestrel",
    "Kingfisher",
    "Kiwi",
    "Koala",
    "Lark",
    "Lemur",
    "Leopard",
    "Linnet",
    "Lion",
    "Llama",
    "Lynx",
    "Magpie",
    "Marmot",
    "Marten",
    "Mole",
    "Moose",
    "Narwhal",
    "Newt",
    "Nightjar",
    "Ocelot",
    "Oriole",
    "Osprey",
    "Otter",
    "Owl",
    "Panda",
    "Panther",
    "Parrot",
    "Pelican",
    "Penguin",
    "Petrel",
    "Pigeon",
    "Plover",
    "Polecat",
    "Puffin",
    "Puma",
    "Quail",
    "Rabbit",
    "Raccoon",
    "Raven",
    "Robin",
    "Salmon",
    "Seal",
    "Sparrow",
    "Squirrel",
    "Starling",
    "Stork",
    "Swallow",
    "Swan",
    "Tapir",
    "Tern",
    "Thrush",
    "Tiger",
    "Toucan",
    "Turtle",
    "Walrus",
    "Warbler",
    "Weasel",
    "Whale",
    "Wolf",
    "Wombat",
    "Woodpecker",
    "Wren",
    "Yak",
    "Zebra",
];

/// A friendly name such as "Quiet Otter".
pub fn friendly(rng: &mut impl Rng) -> Username {
    let mut pick = |words: &[&'static str]| *words.choose(rng).expect("the lists are not empty");
    let name = format!("{} {}", pick(ADJECTIVES), pick(ANIMALS));
    Username::parse(&name).expect("every pair is a valid name, as a test checks")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pair_is_a_valid_name() {
        for adjective in ADJECTIVES {
            for animal in ANIMALS {
                let name = format!("{adjective} {animal}");
                assert!(Username::parse(&name).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn no_word_is_listed_twice() {
        for words in [ADJECTIVES, ANIMALS] {
            assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        }
    }
}
