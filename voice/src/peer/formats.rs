//! Which payload types the two sides have agreed on.

/// RTP payload types under which one side takes sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// Of Opus.
    pub opus: u8,
    /// Of redundant Opus (RFC 2198), where it is taken.
    pub red: Option<u8>,
}

impl Formats {
    /// Reads them from a description's first accepted audio section; `None` if that has no Opus.
    pub fn read(sdp: &str) -> Option<Self> {
        let mut opus = None;
        let mut red = Vec::new();
        let mut parameters = Vec::new();
        let audio = sdp
            .lines()
            .skip_while(|line| !line.starts_with("m=audio ") || line.starts_with("m=audio 0 "));
        for (n, line) in audio.enumerate() {
            if n > 0 && line.starts_with("m=") {
                break;
            }
            if let Some((payload_type, name)) = numbered(line, "a=rtpmap:") {
                let name = name.to_ascii_lowercase();
                if name == "opus/48000/2" {
                    opus = opus.or(Some(payload_type));
                } else if name == "red/48000/2" {
                    red.push(payload_type);
                }
            } else if let Some(parameter) = numbered(line, "a=fmtp:") {
                parameters.push(parameter);
            }
        }
        let opus = opus?;
        // RED may be of another codec.
        let of_opus = |of: &str| {
            of.split('/')
                .all(|part| part.trim().parse::<u8>().ok() == Some(opus))
        };
        let red = red.into_iter().find(|&red| {
            parameters
                .iter()
                .any(|&(payload_type, of)| payload_type == red && of_opus(of))
        });
        Some(Self { opus, red })
    }
}

fn numbered<'a>(line: &'a str, name: &str) -> Option<(u8, &'a str)> {
    let (number, rest) = line.strip_prefix(name)?.split_once(' ')?;
    let number: u8 = number.parse().ok().filter(|n| *n < 128)?;
    Some((number, rest.trim()))
}

/// The fingerprint of the certificate with which the description's author proves to be the one who
/// wrote it: another one means another session.
pub(crate) fn fingerprint(sdp: &str) -> Option<&str> {
    sdp.lines()
        .find_map(|line| line.strip_prefix("a=fingerprint:"))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n\
        a=rtpmap:9 G722/8000\r\n";

    #[test]
    fn reads_what_a_browser_offers() {
        let formats = Formats::read(CHROMIUM).unwrap();
        assert_eq!((formats.opus, formats.red), (111, Some(63)));
        let firefox = CHROMIUM.replace("a=rtpmap:63 red/48000/2\r\n", "");
        assert_eq!(Formats::read(&firefox).unwrap().red, None);
    }

    #[test]
    fn redundancy_of_something_else_is_not_taken() {
        let other = CHROMIUM.replace("111/111", "9/9");
        assert_eq!(Formats::read(&other).unwrap().red, None);
        let unexplained = CHROMIUM.replace("a=fmtp:63 111/111\r\n", "");
        assert_eq!(Formats::read(&unexplained).unwrap().red, None);
    }

    #[test]
    fn no_opus_is_nothing() {
        assert_eq!(Formats::read(""), None);
        assert_eq!(Formats::read(&CHROMIUM.replace("opus", "isac")), None);
        assert_eq!(
            Formats::read(&CHROMIUM.replace("m=audio 9", "m=audio 0")),
            None
        );
        assert_eq!(
            Formats::read("m=audio 9 x 300\r\na=rtpmap:300 opus/48000/2"),
            None
        );
    }
}
