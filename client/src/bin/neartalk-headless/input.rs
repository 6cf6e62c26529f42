//! What a person types, parsed.

use neartalk_client::voice::{DeviceDirection, Volume};
use neartalk_shared::{MessageText, Place, Radius, Username, frame::ReportReason};

/// What can be typed.
pub const HELP: &str = "\
Type to talk to everyone within your circle. Also:
  /who                   who is in range
  /name NAME             call yourself something else
  /radius METRES         choose another circle, 100 to 2000
  /move LAT,LON          be somewhere else
  /block NAME or TAG     see nothing of somebody any more; /unblock ends it, /blocked lists them
  /report NAME or TAG REASON
                         tell the relay: spam, abuse, illegal or other
  /retry                 try the relay again now
  /voice                 join voice: talk and listen; /leave-voice leaves it
  /mute, /unmute         whether others hear you; /deafen, /undeafen: whether you hear them
  /ptt                   with --talk push: talk from now on, or no longer
  /volume NAME or TAG PERCENT
                         0 to 200: how loud somebody is for you
  /devices               microphones and loudspeakers; /input NUMBER and /output NUMBER choose
  /quit                  leave
To say something that begins with a slash, begin it with two. The relay forgets every message after
its time; what this terminal has shown stays until you clear it.";

/// One line, understood.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// An empty line.
    Nothing,
    Say(MessageText),
    Who,
    Name(Username),
    Radius(Radius),
    Move(Place),
    /// By name or tag.
    Block(String),
    Unblock(String),
    Blocked,
    Report(String, ReportReason),
    Retry,
    Voice,
    LeaveVoice,
    Mute(bool),
    Deafen(bool),
    /// Press the key to talk, or let it go, whatever it was not.
    Talk,
    /// By name or tag.
    Volume(String, Volume),
    Devices,
    /// By number in the list.
    ChooseDevice(DeviceDirection, usize),
    Help,
    Quit,
}

/// A place typed as `LAT,LON` or `LAT LON`.
pub fn place(s: &str) -> Result<Place, String> {
    let problem = || "a place is written LAT,LON in degrees, such as 52.5163,13.3777".to_owned();
    let mut numbers = s
        .split([',', ' '])
        .filter(|s| !s.is_empty())
        .map(str::parse::<f64>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(lat)), Some(Ok(lon)), None) => Place::new(lat, lon).map_err(|e| e.to_string()),
        _ => Err(problem()),
    }
}

/// Understands a line, or says what is wrong with it.
pub fn parse(line: &str) -> Result<Input, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Input::Nothing);
    }
    let Some(command) = line.strip_prefix('/') else {
        return say(line);
    };
    if command.starts_with('/') {
        return say(command);
    }
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim();
    let some = |rest: &str| match rest {
        "" => Err(format!(
            "/{name} needs to know who, such as /{name} Quiet Otter"
        )),
        who => Ok(who.to_owned()),
    };
    match name {
        "who" => Ok(Input::Who),
        "name" => Username::parse(rest)
            .map(Input::Name)
            .map_err(|e| e.to_string()),
        "radius" => rest
            .parse()
            .map(Input::Radius)
            .map_err(|e: neartalk_shared::radius::InvalidRadius| e.to_string()),
        "move" => place(rest).map(Input::Move),
        "block" => some(rest).map(Input::Block),
        "unblock" => some(rest).map(Input::Unblock),
        "blocked" => Ok(Input::Blocked),
        "report" => report(rest),
        "retry" => Ok(Input::Retry),
        "voice" => Ok(Input::Voice),
        "leave-voice" => Ok(Input::LeaveVoice),
        "mute" => Ok(Input::Mute(true)),
        "unmute" => Ok(Input::Mute(false)),
        "deafen" => Ok(Input::Deafen(true)),
        "undeafen" => Ok(Input::Deafen(false)),
        "ptt" => Ok(Input::Talk),
        "volume" => volume(rest),
        "devices" => Ok(Input::Devices),
        "input" => device(DeviceDirection::Input, rest),
        "output" => device(DeviceDirection::Output, rest),
        "help" => Ok(Input::Help),
        "quit" | "exit" => Ok(Input::Quit),
        _ => Err(format!("there is no /{name}; /help lists what there is")),
    }
}

fn say(text: &str) -> Result<Input, String> {
    // A tab is no part of a message, but of many a line that is pasted.
    MessageText::parse(&text.replace('\t', " "))
        .map(Input::Say)
        .map_err(|e| e.to_string())
}

fn report(rest: &str) -> Result<Input, String> {
    let (who, reason) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    let reason = match reason {
        "spam" => ReportReason::Spam,
        "abuse" => ReportReason::Abuse,
        "illegal" => ReportReason::Illegal,
        "other" => ReportReason::Other,
        _ => {
            return Err(
                "a report needs a name and a reason: spam, abuse, illegal or other, such as \
                 /report Quiet Otter spam"
                    .to_owned(),
            );
        }
    };
    Ok(Input::Report(who.trim().to_owned(), reason))
}

fn volume(rest: &str) -> Result<Input, String> {
    let (who, percent) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    let percent = percent.trim_end_matches('%').parse();
    match percent.map(Volume::new) {
        Ok(Ok(volume)) => Ok(Input::Volume(who.trim().to_owned(), volume)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(
            "a volume needs a name and a number from 0 to 200, such as /volume Quiet Otter 150"
                .to_owned(),
        ),
    }
}

fn device(direction: DeviceDirection, rest: &str) -> Result<Input, String> {
    rest.parse()
        .map(|number| Input::ChooseDevice(direction, number))
        .map_err(|_| "give the number that /devices shows; 0 is the system's choice".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = |s| Ok(Input::Say(MessageText::parse(s).unwrap()));
        assert_eq!(parse("  "), Ok(Input::Nothing));
        assert_eq!(parse("hello"), text("hello"));
        assert_eq!(parse("a\tb"), text("a b"));
        assert_eq!(parse("//shrug"), text("/shrug"));
        assert_eq!(parse("/who"), Ok(Input::Who));
        assert_eq!(
            parse("/name  Red Fox "),
            Ok(Input::Name(Username::parse("Red Fox").unwrap()))
        );
        assert_eq!(
            parse("/radius 300m"),
            Ok(Input::Radius(Radius::new(300).unwrap()))
        );
        let there = Place::new(-33.9, 18.4).unwrap();
        for move_ in ["/move -33.9,18.4", "/move -33.9, 18.4", "/move -33.9 18.4"] {
            assert_eq!(parse(move_), Ok(Input::Move(there)), "{move_}");
        }
        assert_eq!(
            parse("/report Red Fox spam"),
            Ok(Input::Report("Red Fox".into(), ReportReason::Spam))
        );
        assert_eq!(parse("/block 7KQ"), Ok(Input::Block("7KQ".into())));
        assert_eq!(
            parse("/volume Red Fox 150%"),
            Ok(Input::Volume("Red Fox".into(), Volume::new(150).unwrap()))
        );
        assert_eq!(
            parse("/output 2"),
            Ok(Input::ChooseDevice(DeviceDirection::Output, 2))
        );
        assert_eq!(parse("/quit"), Ok(Input::Quit));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, why) in [
            ("/dance", "there is no /dance"),
            ("/name x", "at least 3"),
            ("/radius 5", "100 to 2000"),
            ("/move here", "LAT,LON"),
            ("/move 91,0", "latitude"),
            ("/move 1,2,3", "LAT,LON"),
            ("/move nan,0", "latitude"),
            ("/block", "who"),
            ("/volume Fox", "0 to 200"),
            ("/volume Fox 201", "0 to 200"),
            ("/input mine", "/devices"),
            ("/report Fox", "reason"),
            ("/report Fox nonsense", "reason"),
        ] {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(why), "{line}: {problem}");
        }
        assert!(parse(&"x".repeat(501)).unwrap_err().contains("500"));
    }
}
