//! WebSocket frames (RFC 6455) as a load generator needs them: the relay's are found in what was
//! read without copying them, the generator's own are built once and patched.

use memchr::memmem::Finder;

/// Opcode of a text frame.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 0x2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 0x8;
/// Opcode of a ping frame.
pub const PING: u8 = 0x9;
/// Opcode of a pong frame.
pub const PONG: u8 = 0xA;

/// A relay sends nothing longer, in bytes; a header that says otherwise is not one.
const LONGEST: u64 = 4 << 20;

/// One whole frame from the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: u8,
    /// What is in it.
    pub payload: &'a [u8],
}

/// Bytes that no relay sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent something that is no unmasked, unfragmented frame of at most 4 MiB")]
pub struct BadFrame;

/// The frame that `bytes` begin with and how many bytes it takes; `None` while it is incomplete.
#[inline]
pub fn first_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, BadFrame> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    // Final, no extension bits; not masked.
    if first & 0xF0 != 0x80 || second & 0x80 != 0 {
        return Err(BadFrame);
    }
    let (start, length) = match (second, rest) {
        (126, &[a, b, ..]) => (4, u64::from(u16::from_be_bytes([a, b]))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, u64::from(length)),
    };
    if length > LONGEST {
        return Err(BadFrame);
    }
    let end = start + length as usize;
    Ok(bytes.get(start..end).map(|payload| {
        let opcode = first & 0x0F;
        (Frame { opcode, payload }, end)
    }))
}

/// The MQTT packet that `bytes` begin with, header and all, as a binary frame, and how many bytes
/// it takes; `None` while it is incomplete.
#[inline]
pub fn first_packet(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, BadFrame> {
    let Some((length, start)) = variable_length(bytes.get(1..).unwrap_or_default())? else {
        return Ok(None);
    };
    let end = 1 + start + length;
    Ok(bytes.get(..end).map(|payload| {
        let opcode = BINARY;
        (Frame { opcode, payload }, end)
    }))
}

/// The variable byte integer that `bytes` begin with (MQTT 5, section 1.5.5) and how many bytes it
/// takes; `None` while it is incomplete.
#[inline]
pub fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadFrame> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return if value as u64 > LONGEST {
                Err(BadFrame)
            } else {
                Ok(Some((value, at + 1)))
            };
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(BadFrame)
    }
}

/// Builds a client's frame. Its mask is zero: the relay unmasks it all the same, and the payload
/// can be patched in place.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
        longer => {
            frame.push(0x80 | 127);
            frame.extend((longer as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// What a text begins with, before [`DIGITS`] digits.
const STAMP: &[u8] = b"t=";
/// Digits of a stamp: nanoseconds up to almost three hours.
const DIGITS: usize = 13;

/// A `say` frame, built once; each use patches its message id and its stamp.
pub struct Say {
    frame: Vec<u8>,
    id_at: usize,
    stamp_at: usize,
}

impl Say {
    /// One whose text has `text_bytes` bytes, at least as many as its stamp needs.
    pub fn new(text_bytes: usize) -> Self {
        let filler = "the quick brown fox jumps over the lazy dog ";
        let mut text = format!("t={:0width$} ", 0, width = DIGITS);
        text.extend(
            filler
                .chars()
                .cycle()
                .take(text_bytes.saturating_sub(text.len() + 1)),
        );
        // White space at the end would be trimmed.
        text.push('.');
        let id = uuid_text(0);
        let json = format!(r#"{{"type":"say","id":"{id}","text":"{text}"}}"#);
        let frame = client_frame(TEXT, json.as_bytes());
        let header = frame.len() - json.len();
        let at = |needle: &str| header + json.find(needle).unwrap_or_default();
        Self {
            id_at: at(&id),
            stamp_at: at("t=") + STAMP.len(),
            frame,
        }
    }

    /// The frame that says message number `number`, due at `due` nanoseconds.
    pub fn patched(&mut self, number: u64, due: u64) -> &[u8] {
        let id = uuid_text(number);
        self.frame[self.id_at..][..id.len()].copy_from_slice(id.as_bytes());
        let mut rest = due;
        for digit in self.frame[self.stamp_at..][..DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.frame
    }
}

/// A version 4 UUID, different for each number and spread like a random one.
pub fn uuid_text(number: u64) -> String {
    let a = mix(number);
    let b = mix(a ^ 0x5851_F42D_4C95_7F2D);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xFFFF,
        a & 0xFFF,
        b >> 48 & 0xFFF,
        b & 0xFFFF_FFFF_FFFF
    )
}

/// One round of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), a bijection.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The `type` of a frame from the relay; empty when it has none.
#[inline]
pub fn frame_type(json: &[u8]) -> &[u8] {
    const KEY: &[u8] = br#""type":""#;
    let rest = match json
        .strip_prefix(b"{")
        .and_then(|json| json.strip_prefix(KEY))
    {
        Some(rest) => rest,
        // Never the case with a relay that writes the tag first.
        None => match memchr::memmem::find(json, KEY) {
            Some(at) => &json[at + KEY.len()..],
            None => return b"",
        },
    };
    let end = memchr::memchr(b'"', rest).unwrap_or_default();
    &rest[..end]
}

/// Reads the stamps out of `message` frames. Names of one length put them at one offset, so it
/// looks where the last one was before it searches.
pub struct Stamps {
    finder: Finder<'static>,
    offset: usize,
}

impl Default for Stamps {
    fn default() -> Self {
        Self {
            finder: Finder::new(br#""text":"t="#),
            offset: 0,
        }
    }
}

impl Stamps {
    /// When, in nanoseconds, the message in this frame was due; `None` if it has no stamp.
    #[inline]
    pub fn due(&mut self, json: &[u8]) -> Option<u64> {
        let needle = self.finder.needle();
        let here = json
            .get(self.offset..)
            .is_some_and(|rest| rest.starts_with(needle));
        if !here {
            self.offset = self.finder.find(json)?;
        }
        let digits = json.get(self.offset + needle.len()..)?.get(..DIGITS)?;
        digits.iter().try_fold(0, |number, digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit < 10).then(|| number * 10 + u64::from(digit))
        })
    }
}

/// The unsigned number that follows `key` (given with quotes and colon) in a frame.
pub fn number_after(json: &[u8], key: &str) -> Option<u64> {
    let at = memchr::memmem::find(json, key.as_bytes())? + key.len();
    let digits = json[at..].iter().take_while(|c| c.is_ascii_digit());
    digits
        .map(|c| u64::from(c - b'0'))
        .reduce(|number, digit| number.saturating_mul(10) + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it.
    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = client_frame(opcode, payload);
        let mask = frame.len() - payload.len() - 4;
        frame.drain(mask..mask + 4);
        frame[1] &= 0x7F;
        frame
    }

    #[test]
    fn finds_frames_of_every_length_form() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload = vec![b'x'; length];
            let mut bytes = server_frame(TEXT, &payload);
            let whole = bytes.len();
            bytes.extend(b"next");
            let (frame, taken) = first_frame(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload), (TEXT, &payload[..]));
            assert_eq!(taken, whole);
            for cut in [0, 1, 2, 3, 9, whole - 1] {
                if cut < whole {
                    assert_eq!(
                        first_frame(&bytes[..cut]),
                        Ok(None),
                        "{length} cut at {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn finds_packets_of_every_length_form() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
            let mut bytes = vec![0x30];
            let mut rest = length;
            while rest > 127 {
                bytes.push(0x80 | (rest % 128) as u8);
                rest /= 128;
            }
            bytes.push(rest as u8);
            bytes.extend(vec![b'x'; length]);
            let whole = bytes.len();
            bytes.push(0xD0);
            let (frame, taken) = first_packet(&bytes).unwrap().unwrap();
            assert_eq!((frame.payload, taken), (&bytes[..whole], whole));
            for cut in 0..whole.min(5) {
                assert_eq!(
                    first_packet(&bytes[..cut]),
                    Ok(None),
                    "{length} cut at {cut}"
                );
            }
            assert_eq!(first_packet(&bytes[..whole - 1]), Ok(None));
        }
        assert_eq!(first_packet(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]), Err(BadFrame));
        assert_eq!(first_packet(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), Err(BadFrame));
    }

    #[test]
    fn refuses_what_no_relay_sends() {
        let masked = client_frame(TEXT, b"hi");
        assert_eq!(first_frame(&masked), Err(BadFrame));
        let fragment = [0x01, 0x02, b'h', b'i'];
        assert_eq!(first_frame(&fragment), Err(BadFrame));
        let giant = [0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(first_frame(&giant), Err(BadFrame));
    }

    #[test]
    fn a_patched_say_is_a_valid_frame() {
        let mut say = Say::new(120);
        let mut seen = std::collections::HashSet::new();
        for number in 0..1_000 {
            let due = number * 1_234_567;
            let frame = say.patched(number, due);
            assert_eq!(frame[..2], [0x81, 0x80 | 126]);
            assert_eq!(frame[4..8], [0; 4]);
            let json = std::str::from_utf8(&frame[8..]).unwrap();
            let neartalk_shared::ClientFrame::Say { id, text } =
                neartalk_shared::ClientFrame::parse(json).unwrap()
            else {
                panic!("{json}");
            };
            assert!(seen.insert(id));
            assert_eq!(text.as_str().len(), 120);
            assert_eq!(text.as_str()[..16], format!("t={due:013} "));
            assert_eq!(Stamps::default().due(json.as_bytes()), Some(due));
        }
    }

    #[test]
    fn stamps_are_found_wherever_they_are() {
        let mut stamps = Stamps::default();
        for (name, due) in [
            ("Load 00001", 7),
            ("Load 00002", 8),
            ("Al", 9),
            ("Load 00003", 10),
        ] {
            let json =
                format!(r#"{{"type":"message","username":"{name}","text":"t={due:013} x"}}"#);
            assert_eq!(stamps.due(json.as_bytes()), Some(due));
        }
        assert_eq!(stamps.due(br#"{"type":"message","text":"hello"}"#), None);
        assert_eq!(
            stamps.due(br#"{"type":"message","text":"t=00000000000x0 "}"#),
            None
        );
        assert_eq!(stamps.due(br#"{"text":"t=123"#), None);
        assert_eq!(stamps.due(b""), None);
    }

    #[test]
    fn types_and_numbers() {
        assert_eq!(frame_type(br#"{"type":"sent","reached":50}"#), b"sent");
        assert_eq!(frame_type(br#"{"reached":50,"type":"sent"}"#), b"sent");
        assert_eq!(frame_type(b"{}"), b"");
        assert_eq!(frame_type(br#"{"type":"cut"#), b"");
        assert_eq!(
            number_after(br#"{"reached":50}"#, r#""reached":"#),
            Some(50)
        );
        assert_eq!(number_after(br#"{"reached":"no"}"#, r#""reached":"#), None);
        assert_eq!(number_after(b"{}", r#""reached":"#), None);
    }
}
