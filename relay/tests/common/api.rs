//! A client of the HTTP API.

use neartalk_shared::{
    ErrorCode, Place,
    http::{CreatedSession, ErrorBody},
};
use reqwest::{Method, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{GUARD, within};

/// A client of one relay's HTTP API.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    forwarded_for: Option<String>,
}

/// What a relay answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    /// A client of the API at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(base: String) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            // Everything is on this machine, in the clear.
            .tls_built_in_root_certs(false)
            .timeout(GUARD)
            .build()
            .unwrap();
        Self {
            client,
            base,
            forwarded_for: None,
        }
    }

    /// The same, as a reverse proxy that speaks for `address`.
    pub fn forwarding(&self, address: &str) -> Self {
        Self {
            forwarded_for: Some(address.to_owned()),
            ..self.clone()
        }
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(address) = &self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        within("an answer", async {
            let response = request.send().await.unwrap();
            Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                text: response.text().await.unwrap(),
            }
        })
        .await
    }

    /// `GET` without a session.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// `POST /api/session/create`.
    pub async fn create(&self, body: Value) -> Answer {
        let body = Some(body.to_string());
        self.send(Method::POST, "/api/session/create", &[], body)
            .await
    }

    /// A new session with this name.
    pub async fn session(&self, username: &str) -> CreatedSession {
        self.create(json!({ "username": username }))
            .await
            .expect(201)
    }

    /// `PATCH /api/session/username`.
    pub async fn rename(&self, session: &CreatedSession, username: &str) -> Answer {
        self.send(
            Method::PATCH,
            "/api/session/username",
            &[("authorization", &bearer(session))],
            Some(json!({ "username": username }).to_string()),
        )
        .await
    }

    /// `POST /api/location/update`.
    pub async fn locate(&self, session: &CreatedSession, place: Place, metres: u32) -> Answer {
        let body = json!({ "lat": place.lat(), "lon": place.lon(), "radius": metres });
        self.send(
            Method::POST,
            "/api/location/update",
            &[("authorization", &bearer(session))],
            Some(body.to_string()),
        )
        .await
    }

    /// `GET /api/nearby`.
    pub async fn nearby(&self, session: &CreatedSession) -> Answer {
        self.send(
            Method::GET,
            "/api/nearby",
            &[("authorization", &bearer(session))],
            None,
        )
        .await
    }
}

/// The value of the `Authorization` header for a session.
pub fn bearer(session: &CreatedSession) -> String {
    format!("Bearer {}", session.session_id.expose())
}

impl Answer {
    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.text).unwrap()
    }

    /// Checks that this is an error of this status and code, in the shape that every error has.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: ErrorCode) -> ErrorBody {
        let body: ErrorBody = self.expect(status);
        assert_eq!(body.error.code, code, "{}", self.text);
        assert!(!body.error.message.is_empty());
        assert_eq!(
            serde_json::from_str::<Value>(&self.text).unwrap(),
            serde_json::to_value(&body).unwrap(),
            "an error body has nothing else in it"
        );
        body
    }

    /// Checks that this is a 429 whose header and body say when to try again.
    #[track_caller]
    pub fn expect_rate_limited(&self) -> u64 {
        let body = self.expect_error(429, ErrorCode::RateLimited);
        let millis = body.error.retry_after_ms.expect("a 429 says when again");
        let seconds: u64 = self.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(millis > 0);
        assert_eq!(seconds, millis.div_ceil(1_000));
        millis
    }
}
