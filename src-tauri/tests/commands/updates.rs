//! Newer versions, with a server that the test has: what it is asked, and what is made of its answers.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
};

use neartalk_app::updates::{self, Source};
use serde_json::{Value, json};
use tauri::async_runtime::block_on;

use crate::Shell;

/// One half of a pair that `tauri signer generate` made; the other has been thrown away.
const KEY: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IG1pbmlzaWduIHB1YmxpYyBrZXk6IDM2RDI4MzFCNUFCMEU5MDgKUldRSTZiQmFHNFBTTm4wODJlTWhKTDk3NWZYWmhMY2g4a2FMdjhlbDNSbEg2WnplR2plNnl4ekQK";
/// What the other half made of [`PROGRAM`], as version 9.0.0.
const SIGNATURE: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IHNpZ25hdHVyZSBmcm9tIHRhdXJpIHNlY3JldCBrZXkKUlVRSTZiQmFHNFBTTmpISjNXaStBKytjcDZXMnRJS2x3M3p3MTNDME9xWk5FU1pZZDRwUEFKckdGTlliT0lWSXNLcTdkSHZUVzVhTzJCY1RlQU1aOXAySW5ReGFrM0VmcUFJPQp0cnVzdGVkIGNvbW1lbnQ6IHRpbWVzdGFtcDoxNzk1NjI1MjczCWZpbGU6cC1vdXJzCXZlcnNpb246OS4wLjAKdDRSejBKNlU5UXMxeTNzcDk4VjIxcEZqT3p5U3VsZnNBZmhSVmJBWmNUdnhwTXNHWkp0RkI5ZGhqd3FnZzhaS05KRm90K084eUxsY2oweGxPWEFrQlE9PQo=";
/// What somebody else's made of it.
const OF_ANOTHER: &str = "dW50cnVzdGVkIGNvbW1lbnQ6IHNpZ25hdHVyZSBmcm9tIHRhdXJpIHNlY3JldCBrZXkKUlVTWm1xRlJUOHRnR3pJcEpHRWkzNklLWFBnZHMzKzIrRDRPY0taVzl5MEloYit1dldHcHMzTVZkTU1ta1JBRUFRWU5SanlOWWxXNDhXWXlCVlNML1pBZ2o4dVRNOGdJT3djPQp0cnVzdGVkIGNvbW1lbnQ6IHRpbWVzdGFtcDoxNzk1NjI1MjczCWZpbGU6cC10aGVpcnMJdmVyc2lvbjo5LjAuMApjM1BsOG8wM2ZOdVN4T1Bxem5IQWhzWW4zT1l5YXFNNDF0b2U0VjJ4N3M4ejU4ZHVRRzBLbFZQbVFOU1hMQXdVdmRWck9OZ3ArVDVaNzRiMGE4QUVDUT09Cg==";
const PROGRAM: &str = "NearTalk 9.0.0, as far as this test goes";

/// Where versions are to be had.
struct Server {
    address: SocketAddr,
    /// What it was asked for, in turn.
    asked: Receiver<String>,
}

impl Server {
    /// Has this version, said to be signed so.
    fn with(version: &'static str, signature: &'static str, program: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::channel();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let path = path_of(&socket);
                let body = match &*path {
                    "/latest" => manifest(address, version, signature).to_string(),
                    _ => program.to_owned(),
                };
                // The test may have ended.
                let _ = tell.send(path);
                answer(socket, &body);
            }
        });
        Self { address, asked }
    }

    fn source(&self) -> Source {
        let from = format!("http://{}/latest", self.address);
        Source::new(from.parse().unwrap(), KEY)
    }

    /// What it has been asked for since it was last looked at.
    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

fn path_of(socket: &TcpStream) -> String {
    let mut lines = BufReader::new(socket).lines();
    let first = lines.next().unwrap().unwrap();
    // The rest of the question ends with an empty line.
    let rest = lines.map_while(Result::ok);
    rest.take_while(|line| !line.is_empty()).for_each(drop);
    first.split(' ').nth(1).unwrap().to_owned()
}

fn answer(mut socket: TcpStream, body: &str) {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    // Whoever has asked may be gone.
    let _ = write!(socket, "{head}\r\nContent-Length: {length}\r\n\r\n{body}");
}

/// As <https://v2.tauri.app/plugin/updater/#static-json-file> has it.
fn manifest(here: SocketAddr, version: &str, signature: &str) -> Value {
    let program = json!({ "signature": signature, "url": format!("http://{here}/program") });
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let os = if os == "macos" { "darwin" } else { os };
    json!({ "version": version, "platforms": { format!("{os}-{arch}"): program } })
}

#[test]
fn a_program_that_was_told_of_no_source_offers_no_update_and_asks_nobody() {
    let server = Server::with("9.0.0", SIGNATURE, PROGRAM);
    let shell = Shell::open();
    assert_eq!(shell.start()["can_update"], false);
    for command in ["look_for_update", "install_update"] {
        let refused = shell.ask(command, json!({})).unwrap_err();
        assert_eq!(refused["code"], "unavailable", "{command}: {refused}");
    }
    assert_eq!(server.asked(), [""; 0]);
    // Those who build without a key get such a program.
    let keys = [
        option_env!("NEARTALK_UPDATES"),
        option_env!("NEARTALK_UPDATE_KEY"),
    ];
    assert_eq!(updates::builtin().is_some(), !keys.contains(&None));
}

#[test]
fn one_that_was_asks_when_the_person_does_and_offers_what_is_newer() {
    let server = Server::with("9.0.0", SIGNATURE, PROGRAM);
    let shell = Shell::open_with(server.source());
    assert_eq!(shell.start()["can_update"], true);
    assert_eq!(server.asked(), [""; 0], "nobody wanted to know");
    assert_eq!(shell.ask("look_for_update", json!({})).unwrap(), "9.0.0");
    assert_eq!(server.asked(), ["/latest"]);

    for old in ["0.1.0", "0.0.9"] {
        let server = Server::with(old, SIGNATURE, PROGRAM);
        let shell = Shell::open_with(server.source());
        let found = shell.ask("look_for_update", json!({})).unwrap();
        assert_eq!(found, Value::Null, "{old}");
    }
}

#[test]
fn what_is_signed_for_this_very_version_is_taken_and_nothing_else() {
    let server = Server::with("9.0.0", SIGNATURE, PROGRAM);
    let shell = Shell::open_with(server.source());
    let fetched = block_on(server.source().fetch(shell.app.handle()));
    assert_eq!(fetched.unwrap().unwrap().1, PROGRAM.as_bytes());

    for (what, version, signature, program) in [
        ("another's", "9.0.0", OF_ANOTHER, PROGRAM),
        ("another program", "9.0.0", SIGNATURE, "something else"),
        (
            "an older version under a newer name",
            "9.0.1",
            SIGNATURE,
            PROGRAM,
        ),
        ("not signed", "9.0.0", "", PROGRAM),
    ] {
        let server = Server::with(version, signature, program);
        let shell = Shell::open_with(server.source());
        let refused = shell.ask("install_update", json!({})).unwrap_err();
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("was refused"), "{what}: {message}");
        assert_eq!(server.asked(), ["/latest", "/program"], "{what}");
    }
}

#[test]
fn a_server_that_is_not_there_is_said_to_be() {
    let nowhere = Source::new("http://127.0.0.1:9/".parse().unwrap(), KEY);
    let shell = Shell::open_with(nowhere);
    let refused = shell.ask("look_for_update", json!({})).unwrap_err();
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with("An update was not found"), "{message}");
}
