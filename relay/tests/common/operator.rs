//! Whoever runs a relay, who knows the token of its admin listener.

use reqwest::Method;
use serde_json::Value;

use super::{Answer, Relay};

/// Opens a relay's `/api/admin`.
pub const TOKEN: &str = "correct horse battery staple";

/// Asks `/api/admin/…` as somebody who knows the token.
pub async fn ask(relay: &Relay, method: Method, path: &str, body: Option<Value>) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let path = format!("/api/admin/{path}");
    let body = body.map(|body| body.to_string());
    relay.admin_api().send(method, &path, &headers, body).await
}
