//! The page that a browser opens to be a person: where it is served, and what it is told to do.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Context, Result};
use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use tokio::{net::TcpListener, task::JoinHandle};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Each file's path, its kind and what is in it.
const FILES: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("../../chromium/index.html")),
    (
        "/counter.js",
        SCRIPT,
        include_str!("../../chromium/counter.js"),
    ),
    ("/ear.js", SCRIPT, include_str!("../../chromium/ear.js")),
    ("/page.js", SCRIPT, include_str!("../../chromium/page.js")),
    ("/peer.js", SCRIPT, include_str!("../../chromium/peer.js")),
    ("/relay.js", SCRIPT, include_str!("../../chromium/relay.js")),
    (
        "/settings.js",
        SCRIPT,
        include_str!("../../chromium/settings.js"),
    ),
    ("/stats.js", SCRIPT, include_str!("../../chromium/stats.js")),
];

/// Begins of ids: a quarter of all are below the first, and a quarter above the second.
const OPEN_IDS: [&str; 2] = ["8", "R"];

/// Serves the page until it is dropped.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Site {
    /// Serves on loopback, which browsers trust with the microphone.
    pub async fn serve() -> Result<Self> {
        Self::serve_on(Ipv4Addr::LOCALHOST.into()).await
    }

    /// Serves on another of this machine's addresses, for browsers in other network namespaces, which
    /// have to be told to trust it ([`Options::trusted_origin`](super::Options::trusted_origin)).
    pub async fn serve_on(host: IpAddr) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr().context("serving the page")?;
        let router = FILES
            .into_iter()
            .fold(Router::new(), |router, (path, kind, text)| {
                router.route(
                    path,
                    get(move || async move { ([(CONTENT_TYPE, kind)], text) }),
                )
            });
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, task })
    }

    /// What the relay has to allow: `--allowed-origin`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address to open for this person.
    pub fn url(&self, visit: &Visit) -> String {
        format!("{}/?{}", self.origin(), visit.query())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offers {
    /// The page, as soon as it hears of somebody.
    #[default]
    AtOnce,
    /// Others: the page only answers.
    Never,
}

/// What the page does with RFC 2198.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redundancy {
    /// Takes it and does not send it, as browsers do by themselves.
    #[default]
    Takes,
    /// Sends it as well.
    Prefers,
    /// Knows nothing of it.
    Lacks,
}

/// Which side gives way when offers cross: the one with the lower id, and ids are random. So the page takes
/// another until it has one that suits, which is hopeless beside the lowest and the highest of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// As it comes.
    #[default]
    Any,
    /// As it comes, but such that it can be chosen by the others: an id in the middle of all.
    Open,
    /// The page gives way to the person of this id.
    PoliteTo(String),
    /// The person of this id gives way to the page.
    ImpoliteTo(String),
}

/// Who the page is to be, and what it is to do.
#[derive(Clone, Debug)]
pub struct Visit {
    /// URL of the relay, `http://…` or `https://…`.
    pub relay: String,
    /// The person's name; the relay makes one up if there is none.
    pub name: Option<String>,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// Of the circle, in metres.
    pub radius: u32,
    /// Whether to join voice at once; else with `neartalk.join()`.
    pub join: bool,
    /// Who offers.
    pub offers: Offers,
    /// What becomes of redundancy.
    pub redundancy: Redundancy,
    /// Who gives way.
    pub role: Role,
    /// Whether to have a microphone.
    pub microphone: bool,
    /// Whether the browser processes the microphone's sound: echo cancellation, noise suppression
    /// and gain control.
    pub processing: bool,
    /// Whether to connect over TURN only.
    pub relay_only: bool,
    /// Whether to count payloads by what is in them, which statistics don't tell. It delays them a little.
    pub count: bool,
    /// A detour: where the others are to be reached in place of their own addresses, which are in
    /// [`PeerReport::hidden`](super::PeerReport::hidden). The page tells nobody its own.
    pub via: Option<SocketAddr>,
}

impl Role {
    /// Whether beside this id each role can be had, as with [`Role::Open`].
    pub fn is_open_beside(id: &str) -> bool {
        let [from, to] = OPEN_IDS;
        (from..to).contains(&id)
    }
}

impl Visit {
    /// Somebody at one place, who speaks as browsers do.
    pub fn new(relay: impl Into<String>, lat: f64, lon: f64) -> Self {
        Self {
            relay: relay.into(),
            name: None,
            lat,
            lon,
            radius: 500,
            join: true,
            offers: Offers::default(),
            redundancy: Redundancy::default(),
            role: Role::default(),
            microphone: true,
            processing: true,
            relay_only: false,
            count: false,
            via: None,
        }
    }

    fn query(&self) -> String {
        let on = |on| if on { "on" } else { "off" }.to_owned();
        let mut fields = vec![
            ("relay", self.relay.clone()),
            ("lat", self.lat.to_string()),
            ("lon", self.lon.to_string()),
            ("radius", self.radius.to_string()),
            ("join", on(self.join)),
            ("microphone", on(self.microphone)),
            ("echo", on(self.processing)),
            ("noise", on(self.processing)),
            ("gain", on(self.processing)),
            ("relay_only", on(self.relay_only)),
            ("count", on(self.count)),
        ];
        let offer = match self.offers {
            Offers::AtOnce => "at_once",
            Offers::Never => "never",
        };
        let red = match self.redundancy {
            Redundancy::Takes => "default",
            Redundancy::Prefers => "prefer",
            Redundancy::Lacks => "remove",
        };
        fields.extend([("offer", offer.to_owned()), ("red", red.to_owned())]);
        match &self.role {
            Role::Any => {}
            Role::Open => {
                let [from, to] = OPEN_IDS.map(str::to_owned);
                fields.extend([("impolite_to", from), ("polite_to", to)]);
            }
            Role::PoliteTo(peer) => fields.push(("polite_to", peer.clone())),
            Role::ImpoliteTo(peer) => fields.push(("impolite_to", peer.clone())),
        }
        if let Some(name) = &self.name {
            fields.push(("name", name.clone()));
        }
        if let Some(via) = self.via {
            fields.push(("via", via.to_string()));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        fields.join("&")
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_to_do() {
        let mut visit = Visit::new("http://127.0.0.1:8080", 52.5, -13.25);
        visit.name = Some("Ö & x".to_owned());
        visit.redundancy = Redundancy::Prefers;
        visit.role = Role::PoliteTo("ABC".to_owned());
        visit.via = Some(([127, 0, 0, 1], 9).into());
        assert_eq!(
            visit.query(),
            "relay=http://127.0.0.1:8080&lat=52.5&lon=-13.25&radius=500&join=on&microphone=on\
             &echo=on&noise=on&gain=on&relay_only=off&count=off&offer=at_once&red=prefer&polite_to=ABC\
             &name=%C3%96%20%26%20x&via=127.0.0.1:9"
        );
    }
}
