//! The command line and the environment.

use std::net::TcpListener;

use crate::common::{Person, Relay};

#[tokio::test]
async fn a_bad_setting_is_named_and_explained() {
    for (flag, value) in [
        ("--listen", "somewhere"),
        ("--admin-listen", "somewhere"),
        ("--message-ttl", "soon"),
        ("--session-ttl", "-3s"),
        ("--place-ttl", "5 parsecs"),
        ("--location-interval", "often"),
        ("--location-burst", "many"),
        ("--messages-per-minute", "-1"),
        ("--sessions-per-minute", "x"),
        ("--session-burst", "1.5"),
        ("--requests-per-second", ""),
        ("--request-burst", "x"),
        ("--sockets-per-address", "x"),
        ("--trusted-proxy", "10.0.0.0/99"),
        ("--trusted-proxy", "proxy.example"),
        ("--allowed-origin", "chat.example"),
        ("--allowed-origin", "https://chat.example/path"),
        ("--ice-server", "http://stun.example"),
        ("--turn-url", "turn.example"),
        ("--turn-url", "stun:turn.example"),
        ("--turn-url", "turns:turn.example"),
        ("--turn-url", "turn:turn.example?transport=tcp"),
        // Without a secret it is of no use, and a secret without it is not either.
        ("--turn-url", "turn:turn.example"),
        ("--turn-secret", ""),
        ("--turn-secret-file", "/nonexistent/secret"),
        ("--turn-ttl", "soon"),
        ("--turn-listen", "turn.example:3478"),
        // Every address is none that clients could be told.
        ("--turn-listen", "0.0.0.0:0"),
        ("--turn-external-ip", "turn.example"),
        ("--turn-external-ip", "192.0.2.7"),
        ("--turn-session-allocations", "0"),
        ("--turn-max-allocations", "16001"),
        ("--turn-kbps", "0"),
        ("--turn-total-kbps", "lots"),
        ("--log-format", "xml"),
        ("--report-threshold", "many"),
        ("--ban-time", "long"),
        ("--word-filter", "/nonexistent/words"),
        ("--repeats-per-address", "-1"),
        ("--repeats-per-cell", "x"),
        ("--proof-of-work", "sometimes"),
        ("--proof-bits", "0"),
        ("--proof-bits", "25"),
        ("--admin-token", "too short"),
        // Without a listener there is nowhere to show it.
        ("--admin-token", "long enough to be one"),
        ("--admin-token-file", "/nonexistent/token"),
        ("--database-url", "mysql://db.example/x"),
        ("--database-poll", "now and then"),
        ("--workers", "none"),
        ("--drain-timeout", "x"),
        // Zero of these would be a relay that lets nobody do anything.
        ("--messages-per-minute", "0"),
        ("--location-burst", "0"),
        ("--session-burst", "0"),
        ("--request-burst", "0"),
        ("--sockets-per-address", "0"),
        ("--workers", "0"),
        ("--message-ttl", "0s"),
        ("--log", "neartalk_relay=loud"),
    ] {
        let setting = format!("{flag}={value}");
        let (status, output) = Relay::run_to_end(&[&setting], &[]).await;
        assert!(!status.success(), "{setting}");
        assert!(!output.contains("listening on"), "{setting}: {output}");
        assert!(output.contains(flag), "{setting} is not named: {output}");
        assert!(!output.contains("panicked"), "{setting}: {output}");
    }
}

#[tokio::test]
async fn an_unknown_setting_is_refused() {
    let (status, output) = Relay::run_to_end(&["--colour", "blue"], &[]).await;
    assert!(!status.success());
    assert!(
        output.contains("--colour") && output.contains("--help"),
        "{output}"
    );
}

#[tokio::test]
async fn a_bad_variable_is_named() {
    let env = [("NEARTALK_MESSAGE_TTL", "soon")];
    let (status, output) = Relay::run_to_end(&["--listen", "127.0.0.1:0"], &env).await;
    assert!(!status.success());
    assert!(
        output.contains("soon") && output.contains("--message-ttl"),
        "{output}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, output) = Relay::run_to_end(&["--listen", &address], &[]).await;
    assert!(!status.success());
    assert!(output.contains(&address), "{output}");
    assert!(
        output.contains("--listen"),
        "what to do is missing: {output}"
    );
}

#[tokio::test]
async fn a_variable_does_what_its_flag_does_and_the_flag_wins() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let env = [("NEARTALK_LISTEN", address.as_str())];
    let (status, output) = Relay::run_to_end(&[], &env).await;
    assert!(!status.success());
    assert!(output.contains(&address), "{output}");
    let (status, output) = Relay::run_to_end(&["--listen", "nowhere"], &env).await;
    assert!(!status.success());
    assert!(output.contains("nowhere"), "{output}");
}

#[tokio::test]
async fn help_names_every_flag_and_its_variable() {
    let (status, output) = Relay::run_to_end(&["--help"], &[]).await;
    assert!(status.success());
    for flag in [
        "listen",
        "admin-listen",
        "allowed-origin",
        "trusted-proxy",
        "ice-server",
        "turn-url",
        "turn-secret",
        "turn-secret-file",
        "turn-ttl",
        "turn-listen",
        "turn-external-ip",
        "turn-session-allocations",
        "turn-max-allocations",
        "turn-kbps",
        "turn-total-kbps",
        "redis-url",
        "redis-prefix",
        "redis-lease",
        "message-ttl",
        "session-ttl",
        "place-ttl",
        "messages-per-minute",
        "location-interval",
        "location-burst",
        "sessions-per-minute",
        "session-burst",
        "requests-per-second",
        "request-burst",
        "sockets-per-address",
        "log-format",
        "log",
        "workers",
        "drain-timeout",
    ] {
        let variable = format!("NEARTALK_{}", flag.replace('-', "_").to_uppercase());
        assert!(output.contains(&format!("--{flag}")), "{flag}: {output}");
        assert!(output.contains(&variable), "{variable}: {output}");
    }
}

#[tokio::test]
async fn turn_settings_that_do_not_fit_together_are_explained() {
    let hush = "a-secret-that-nobody-sees";
    let empty = std::env::temp_dir().join(format!("neartalk-empty-secret-{}", std::process::id()));
    std::fs::write(&empty, "\n").unwrap();
    let empty_path = empty.to_str().unwrap();
    let env = ("NEARTALK_TURN_SECRET", hush);
    let url = ("NEARTALK_TURN_URL", "turn:turn.example");
    for (flags, env, named) in [
        (vec![], vec![env], vec!["--turn-url"]),
        (
            vec![],
            vec![url],
            vec!["NEARTALK_TURN_SECRET", "--turn-secret-file"],
        ),
        (
            vec!["--turn-secret-file", empty_path],
            vec![url],
            vec![empty_path, "empty"],
        ),
        (
            vec!["--turn-secret-file", empty_path],
            vec![url, env],
            vec!["not both"],
        ),
        // What is wrong here is something else; the secret is not told with it.
        (vec!["--workers", "0"], vec![url, env], vec!["--workers"]),
        (vec!["--help"], vec![url, env], vec!["--turn-secret"]),
    ] {
        let flags = [vec!["--listen", "127.0.0.1:0"], flags].concat();
        let (status, output) = Relay::run_to_end(&flags, &env).await;
        assert!(!status.success() || flags.contains(&"--help"), "{flags:?}");
        for name in named {
            assert!(
                output.contains(name),
                "{flags:?}: {name} is missing: {output}"
            );
        }
        assert!(!output.contains(hush), "{flags:?}: {output}");
        assert!(!output.contains("panicked"), "{flags:?}: {output}");
    }
    std::fs::remove_file(&empty).unwrap();
}

#[tokio::test]
async fn what_was_chosen_is_what_clients_are_told() {
    let relay = Relay::start(&[
        "--message-ttl",
        "7m",
        "--session-ttl",
        "11m",
        "--place-ttl",
        "2m",
        "--messages-per-minute",
        "13",
        "--location-interval",
        "4s",
        "--location-burst",
        "6",
    ]);
    let api = relay.api();
    let fox = Person::join(&relay, &api, "Fox").await;
    let limits = &fox.welcome.limits;
    assert_eq!(limits.message_ttl_ms, 7 * 60_000);
    assert_eq!(limits.session_ttl_ms, 11 * 60_000);
    assert_eq!(limits.place_ttl_ms, 2 * 60_000);
    assert_eq!(limits.messages_per_minute, 13);
    assert_eq!(limits.location_interval_ms, 4_000);
    assert_eq!(limits.location_burst, 6);
    assert_eq!(fox.created.expires_in_s, 11 * 60);
}

#[tokio::test]
async fn a_secret_that_can_not_be_is_not_repeated() {
    for (flag, variable, value) in [
        (
            "--redis-url",
            "NEARTALK_REDIS_URL",
            "rediz://fox:hush-hush@redis.example",
        ),
        (
            "--database-url",
            "NEARTALK_DATABASE_URL",
            "mysql://fox:hush-hush@db.example/near",
        ),
        ("--admin-token", "NEARTALK_ADMIN_TOKEN", "hush-hush"),
    ] {
        let base = ["--listen", "127.0.0.1:0"];
        let given = [&base[..], &[flag, value]].concat();
        for (flags, env) in [(given, vec![]), (base.to_vec(), vec![(variable, value)])] {
            let (status, output) = Relay::run_to_end(&flags, &env).await;
            assert!(!status.success(), "{flag}");
            assert!(!output.contains("hush"), "{flag}:\n{output}");
            assert!(output.contains(flag), "{flag}:\n{output}");
        }
    }
}
