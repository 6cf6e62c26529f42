//! What the icon in the tray offers.

use serde::Deserialize;
use specta::Type;

/// In the language of the window, which says them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Type)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in `Choice`")]
pub struct TrayWords {
    pub show: String,
    pub hide: String,
    pub mute: String,
    pub unmute: String,
    pub leave_voice: String,
    pub quit: String,
}

/// Something that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The window, before all others.
    Show,
    /// No window.
    Hide,
    /// Nobody hears one.
    Mute,
    /// They do again.
    Unmute,
    /// Nobody hears one, and one hears nobody.
    LeaveVoice,
    /// Nothing.
    Quit,
}

/// What the icon's menu depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks {
    /// Whether the window is hidden.
    pub hidden: bool,
    /// Whether one is in voice.
    pub in_voice: bool,
    /// Whether nobody hears one.
    pub muted: bool,
}

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it does.
    pub choice: Choice,
    /// What it says.
    pub label: String,
}

/// What is offered now.
pub fn entries(words: &TrayWords, looks: Looks) -> Vec<Entry> {
    let entry = |choice, label: &String| Entry {
        choice,
        label: label.clone(),
    };
    let mut all = vec![if looks.hidden {
        entry(Choice::Show, &words.show)
    } else {
        entry(Choice::Hide, &words.hide)
    }];
    if looks.in_voice {
        all.push(if looks.muted {
            entry(Choice::Unmute, &words.unmute)
        } else {
            entry(Choice::Mute, &words.mute)
        });
        all.push(entry(Choice::LeaveVoice, &words.leave_voice));
    }
    all.push(entry(Choice::Quit, &words.quit));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_a_difference_is_offered() {
        let words: TrayWords = serde_json::from_str(
            r#"{"show": "Show", "hide": "Hide", "mute": "Mute", "unmute": "Unmute",
                "leave_voice": "Leave", "quit": "Quit"}"#,
        )
        .unwrap();
        let offered = |hidden, in_voice, muted| {
            let looks = Looks {
                hidden,
                in_voice,
                muted,
            };
            let entries = entries(&words, looks).into_iter();
            entries.map(|it| it.label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(offered(false, false, false), "Hide Quit");
        assert_eq!(offered(true, false, true), "Show Quit");
        assert_eq!(offered(true, true, false), "Show Mute Leave Quit");
        assert_eq!(offered(false, true, true), "Hide Unmute Leave Quit");
    }
}
