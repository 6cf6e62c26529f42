//! Descriptions and candidates that tell nobody this side's address: relay candidates only, and those
//! without what they say of the address behind the relay.
//!
//! What is written anew is written from parsed parts; of the rest, whatever looks like it holds an
//! address is left out rather than mended. All of it is total: any input gives some output.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The candidate as it may be sent: only one over the relay, without its related address; `None` for all
/// others. The empty one, which ends the candidates, stays.
pub fn candidate(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() {
        return Some(String::new());
    }
    let line = line.strip_prefix("a=").unwrap_or(line);
    let parts: Vec<&str> = line
        .strip_prefix("candidate:")?
        .split_ascii_whitespace()
        .collect();
    let [
        foundation,
        component,
        transport,
        priority,
        address,
        port,
        "typ",
        "relay",
        ref extensions @ ..,
    ] = parts[..]
    else {
        return None;
    };
    let address: IpAddr = address.parse().ok()?;
    let component: u16 = component.parse().ok()?;
    let priority: u32 = priority.parse().ok()?;
    let port: u16 = port.parse().ok()?;
    let transport = ["udp", "tcp"]
        .into_iter()
        .find(|known| transport.eq_ignore_ascii_case(known))?;
    if !is_ice_chars(foundation, 32) {
        return None;
    }
    let mut out = format!(
        "candidate:{foundation} {component} {transport} {priority} {address} {port} typ relay \
         raddr 0.0.0.0 rport 9"
    );
    for extension in extensions.chunks_exact(2) {
        let (name, value) = (extension[0], extension[1]);
        if matches!(name, "generation" | "ufrag") && is_ice_chars(value, 256) {
            out.push_str(&format!(" {name} {value}"));
        }
    }
    Some(out)
}

/// The description as it may be sent: see [`candidate`]; connection addresses and the originator's are
/// unspecified ones, default ports are 9 (RFC 8840), and lines that hold another address are left out.
pub fn description(sdp: &str) -> String {
    let mut out = String::with_capacity(sdp.len());
    // Some end a line with a carriage return alone.
    for line in sdp.split(['\r', '\n']).filter_map(description_line) {
        out.push_str(&line);
        out.push_str("\r\n");
    }
    out
}

fn description_line(line: &str) -> Option<String> {
    let line = line.trim_end();
    let (kind, value) = line.split_once('=')?;
    match kind {
        "o" => Some(origin(value)),
        "c" => Some("c=IN IP4 0.0.0.0".to_owned()),
        "s" => Some("s=-".to_owned()),
        "t" => Some("t=0 0".to_owned()),
        "m" => media(value).filter(|line| !holds_address(line)),
        "a" if value.starts_with("candidate:") => {
            candidate(value).map(|candidate| format!("a={candidate}"))
        }
        "a" if value.starts_with("rtcp:") => Some("a=rtcp:9 IN IP4 0.0.0.0".to_owned()),
        // Whose hexadecimal pairs would pass for an IPv6 address.
        "a" if value.starts_with("fingerprint:") => is_fingerprint(value).then(|| line.to_owned()),
        "v" | "b" | "a" => (!holds_address(value)).then(|| line.to_owned()),
        _ => None,
    }
}

fn origin(value: &str) -> String {
    let mut numbers = value
        .split_ascii_whitespace()
        .skip(1)
        .map(|part| part.parse::<u64>().unwrap_or(0));
    let session = numbers.next().unwrap_or(0);
    let version = numbers.next().unwrap_or(0);
    format!("o=- {session} {version} IN IP4 0.0.0.0")
}

fn media(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, ' ');
    let (kind, port, rest) = (parts.next()?, parts.next()?, parts.next()?);
    // Port 0 refuses the section: that must stay.
    let port = if port == "0" { "0" } else { "9" };
    Some(format!("m={kind} {port} {rest}"))
}

fn is_ice_chars(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// `fingerprint:sha-256 AB:CD:…`, with as many pairs as a digest has bytes: at least 20, so that no
/// address passes for one.
fn is_fingerprint(value: &str) -> bool {
    let Some((hash, digest)) = value
        .strip_prefix("fingerprint:")
        .and_then(|rest| rest.split_once(' '))
    else {
        return false;
    };
    hash.starts_with("sha-")
        && hash.len() <= 8
        && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && digest.split(':').count() >= 20
        && digest
            .split(':')
            .all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether an IP address or the name of a local host stands anywhere in a text.
fn holds_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains(".local")
        || lower
            .split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .any(holds_v4)
        || lower
            .split(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.'))
            .any(holds_v6)
}

fn holds_v4(run: &str) -> bool {
    let parts: Vec<&str> = run.split('.').collect();
    // Whatever the numbers: with a digit before it or with leading zeros it can still be read.
    parts
        .windows(4)
        .any(|four| four.iter().all(|part| !part.is_empty()))
}

fn holds_v6(run: &str) -> bool {
    // An address may stand right after another word's colon, or before a port's.
    let ends: Vec<usize> = run
        .match_indices(':')
        .map(|(at, _)| at)
        .chain([run.len()])
        .collect();
    if ends.len() < 3 {
        return false;
    }
    if run.contains("::") {
        return true;
    }
    let starts = std::iter::once(0).chain(run.match_indices(':').map(|(at, _)| at + 1));
    starts.into_iter().any(|start| {
        ends.iter()
            .filter(|&&end| end > start && end - start <= 45)
            .any(|&end| Ipv6Addr::from_str(&run[start..end]).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const RELAY: &str =
        "candidate:3 1 UDP 16777215 203.0.113.7 50000 typ relay raddr 192.168.1.23 rport 51234";

    #[test]
    fn a_relay_candidate_stays_usable_and_forgets_what_is_behind_it() {
        let expected =
            "candidate:3 1 udp 16777215 203.0.113.7 50000 typ relay raddr 0.0.0.0 rport 9";
        assert_eq!(candidate(RELAY).as_deref(), Some(expected));
        assert_eq!(
            candidate(&format!("a={RELAY} generation 0 ufrag a+/Z network-id 3")),
            Some(format!("{expected} generation 0 ufrag a+/Z"))
        );
        let parsed =
            rtc::ice::candidate::unmarshal_candidate(expected.strip_prefix("candidate:").unwrap())
                .unwrap();
        assert_eq!(parsed.address().to_string(), "203.0.113.7");
        assert_eq!(parsed.port(), 50_000);
    }

    #[test]
    fn other_candidates_are_not_sent() {
        for line in [
            "candidate:1 1 udp 2130706431 192.168.1.23 51234 typ host",
            "candidate:2 1 udp 1694498815 198.51.100.9 51234 typ srflx raddr 192.168.1.23 rport 51234",
            "candidate:2 1 udp 1694498815 198.51.100.9 51234 typ prflx raddr 192.168.1.23 rport 51234",
            "candidate:1 1 udp 2130706431 0a1b.local 51234 typ host",
            "candidate:1 1 udp 1 0a1b.local 51234 typ relay",
            "candidate:1 1 udp 1 192.168.1.23 51234 typ host typ relay",
            "candidate:192.168.1.23 1 udp 1 203.0.113.7 50000 typ relay",
            "candidate:1 1 udp 1 203.0.113.7 50000",
            "nonsense",
        ] {
            assert_eq!(candidate(line), None, "{line}");
        }
        assert_eq!(candidate("").as_deref(), Some(""));
    }

    #[test]
    fn a_description_keeps_what_the_session_needs() {
        let sdp = "v=0\r\no=jane 123 4 IN IP4 192.168.1.23\r\ns=jane's phone\r\nt=0 0\r\n\
            a=fingerprint:sha-256 AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89\r\n\
            m=audio 51234 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 192.168.1.23\r\n\
            a=rtcp:51235 IN IP4 192.168.1.23\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:63 111/111\r\n\
            a=candidate:1 1 udp 2130706431 192.168.1.23 51234 typ host\r\n\
            a=candidate:3 1 udp 16777215 203.0.113.7 50000 typ relay raddr 192.168.1.23 rport 51234\r\n\
            a=ssrc:1 cname:jane@192.168.1.23\r\na=x-note:fe80::1\r\na=x-other:2001:db8:0:1:2:3:4:5\r\n\
            a=x-port:192.168.1.23:99\r\na=setup:actpass\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        let expected = "v=0\r\no=- 123 4 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
            a=fingerprint:sha-256 AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 0.0.0.0\r\n\
            a=rtcp:9 IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:63 111/111\r\n\
            a=candidate:3 1 udp 16777215 203.0.113.7 50000 typ relay raddr 0.0.0.0 rport 9\r\n\
            a=setup:actpass\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        assert_eq!(description(sdp), expected);
    }

    fn secret() -> impl Strategy<Value = String> {
        prop_oneof![
            // No secret is the relay's own address.
            any::<[u8; 4]>().prop_map(|[_, b, c, d]| Ipv4Addr::new(10, b, c, d).to_string()),
            any::<[u16; 8]>().prop_map(|mut groups| {
                groups[0] = 0xfd00;
                Ipv6Addr::from(groups).to_string()
            }),
            "[a-f0-9]{8}-[a-f0-9]{4}\\.local",
        ]
    }

    fn line_with(secret: String) -> impl Strategy<Value = String> {
        const TEMPLATES: &[&str] = &[
            "a=candidate:1 1 udp 2130706431 {} 51234 typ host",
            "a=candidate:1 1 udp 2130706431 203.0.113.7 51234 typ srflx raddr {} rport 1",
            "a=candidate:1 1 udp 2130706431 203.0.113.7 51234 typ relay raddr {} rport 1",
            "a=candidate:1 1 udp 2130706431 203.0.113.7 51234 typ relay ufrag {} rport 1",
            "a=candidate:{} 1 udp 2130706431 203.0.113.7 51234 typ relay raddr {} rport 1",
            "candidate:1 1 udp 2130706431 {} 51234 typ host",
            "o={} 1 1 IN IP4 {}",
            "c=IN IP4 {}",
            "c=IN IP6 {}/127",
            "a=rtcp:1 IN IP4 {}",
            "a=source-filter: incl IN IP4 * {}",
            "a=x:{}",
            "a=x:y={}",
            "a=x [{}]:99",
            "a=fingerprint:sha-256 {}",
            "a={}",
            "m=audio 9 UDP/TLS/RTP/SAVPF {}",
            "m={} 9 UDP/TLS/RTP/SAVPF 111",
            "s={}",
            "i={}",
            "b=AS:{}",
            "{}",
            "x={}",
        ];
        prop::sample::select(TEMPLATES).prop_map(move |template| template.replace("{}", &secret))
    }

    proptest! {
        #[test]
        fn no_other_address_ever_remains(
            (secret, lines) in secret().prop_flat_map(|secret| {
                let lines = prop::collection::vec(line_with(secret.clone()), 1..8);
                (Just(secret), lines)
            }),
            end in prop::sample::select(&["\r\n", "\n"][..]),
        ) {
            let sdp = lines.join(end);
            let scrubbed = description(&sdp);
            prop_assert!(!scrubbed.contains(&secret), "{scrubbed}");
            prop_assert_eq!(description(&scrubbed), scrubbed);
            for line in &lines {
                if let Some(candidate) = candidate(line) {
                    prop_assert!(!candidate.contains(&secret), "{candidate}");
                }
            }
        }

        #[test]
        fn any_text_is_scrubbed(text in "(?s).{0,200}", parts in prop::collection::vec("[a-z]=[ -~]{0,60}", 0..8)) {
            for text in [text, parts.join("\r\n")] {
                let scrubbed = description(&text);
                prop_assert_eq!(description(&scrubbed), scrubbed.clone());
                for line in scrubbed.lines().filter(|line| line.starts_with("a=candidate:")) {
                    prop_assert!(line.contains(" typ relay raddr 0.0.0.0 rport 9"));
                }
                if let Some(candidate) = candidate(&text) {
                    prop_assert!(candidate.is_empty() || candidate.contains(" typ relay "));
                }
            }
        }

        #[test]
        fn relay_candidates_stay(address in any::<u32>(), port in any::<u16>(), priority in any::<u32>()) {
            let address = Ipv4Addr::from(address);
            let line = format!("candidate:1 1 udp {priority} {address} {port} typ relay raddr 10.0.0.1 rport 5");
            let scrubbed = candidate(&line).unwrap();
            let read = rtc::ice::candidate::unmarshal_candidate(scrubbed.strip_prefix("candidate:").unwrap()).unwrap();
            prop_assert_eq!((read.address().to_string(), read.port(), read.priority()), (address.to_string(), port, priority));
        }
    }
}
