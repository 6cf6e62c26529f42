//! From nothing to an open socket: a session over HTTP, then the socket, then `hello`.

use std::{error::Error as _, time::Duration};

use futures_util::SinkExt;
use neartalk_shared::{
    ClientFrame, ErrorCode, Username,
    http::{CreateSession, CreatedSession, ErrorBody},
    limits::PROTOCOL_VERSION,
    proof::Challenge,
};
use reqwest::StatusCode;
use tokio::{
    net::{TcpStream, lookup_host},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    Connector, client_async_tls_with_config,
    tungstenite::{self, Message, http::header::RETRY_AFTER, protocol::WebSocketConfig},
};

use super::{Credentials, LinkEnd, LinkEvent, Network, Socket, not_a_relay};
use crate::{
    event::{OfflineReason, StopReason},
    relay_url::RelayUrl,
};

/// No frame of a relay is larger: the largest is a list of the people in range.
const FRAME_MAX: usize = 4 * 1024 * 1024;
/// No answer over HTTP is larger.
const BODY_MAX: usize = 64 * 1024;
/// A host with several addresses gets this long for each.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes a session if there is none, opens the socket, and says `hello`.
pub(super) async fn connect(
    network: &Network,
    credentials: Credentials,
    incoming: &mpsc::Sender<LinkEvent>,
) -> Result<Socket, LinkEnd> {
    let unreachable = |detail: String| {
        let relay = network.host();
        LinkEnd::Offline(OfflineReason::Unreachable { relay, detail }, None)
    };
    let (http, connector) = match &network.tools {
        Ok((http, connector)) => (http, connector.clone()),
        Err(e) => return Err(unreachable(e.clone())),
    };
    let session_id = match credentials {
        Credentials::Session(id) => id,
        Credentials::New(username) => {
            let created = create_session(http, &network.relay, username)
                .await
                .map_err(|e| match e {
                    CreateError::Http(e) => unreachable(innermost(&e)),
                    CreateError::End(end) => end,
                    CreateError::Proof(_) => not_a_relay("it asks for work twice".into()),
                })?;
            let id = created.session_id;
            // If nobody listens any more, the select around this ends it.
            let _ = incoming.send(LinkEvent::Created(created)).await;
            id
        }
    };
    let opened = timeout(network.timing.connect, open(&network.relay, connector)).await;
    let mut socket = match opened {
        Err(_) => return Err(unreachable("it does not answer in time".into())),
        Ok(Err(tungstenite::Error::Io(e))) => return Err(unreachable(plain(&e.to_string()))),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let after = response.headers().get(RETRY_AFTER);
            let after = after.and_then(|v| v.to_str().ok()?.parse().ok());
            let body = response.body().as_deref().unwrap_or_default();
            return Err(refused(response.status(), after, body));
        }
        Ok(Err(e)) => return Err(not_a_relay(e.to_string())),
        Ok(Ok(socket)) => socket,
    };
    let hello = ClientFrame::Hello {
        session_id,
        protocol: PROTOCOL_VERSION,
    };
    match timeout(
        network.timing.connect,
        socket.send(Message::text(hello.to_json())),
    )
    .await
    {
        Ok(Ok(())) => Ok(socket),
        Ok(Err(_)) => Err(LinkEnd::lost()),
        Err(_) => Err(LinkEnd::Offline(OfflineReason::Silent, None)),
    }
}

async fn open(relay: &RelayUrl, connector: Connector) -> Result<Socket, tungstenite::Error> {
    let (host, port) = relay.socket_address();
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Frames are small and wait for nothing.
                stream.set_nodelay(true)?;
                let config = WebSocketConfig::default()
                    .max_message_size(Some(FRAME_MAX))
                    .max_frame_size(Some(FRAME_MAX))
                    .read_buffer_size(16 * 1024);
                let url = relay.socket();
                let (socket, _) =
                    client_async_tls_with_config(url, stream, Some(config), Some(connector))
                        .await?;
                return Ok(socket);
            }
            Ok(Err(e)) => last = e,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last.into())
}

enum CreateError {
    Http(reqwest::Error),
    /// Some work first.
    Proof(Challenge),
    End(LinkEnd),
}

/// Makes a session; does the work for it that a relay under attack asks for, once.
async fn create_session(
    http: &reqwest::Client,
    relay: &RelayUrl,
    username: Option<Username>,
) -> Result<CreatedSession, CreateError> {
    let mut create = CreateSession {
        username,
        proof: None,
    };
    match ask_session(http, relay, &create).await {
        Err(CreateError::Proof(challenge)) => {
            // It may take seconds, which the network's threads don't have.
            let solved = tokio::task::spawn_blocking(move || challenge.solve()).await;
            create.proof = solved.ok().flatten();
        }
        done => return done,
    }
    match ask_session(http, relay, &create).await {
        Err(CreateError::Proof(_)) => {
            let detail = "it asks newcomers for more than this device can do".into();
            let busy = OfflineReason::Busy { detail };
            Err(CreateError::End(LinkEnd::Offline(busy, None)))
        }
        done => done,
    }
}

async fn ask_session(
    http: &reqwest::Client,
    relay: &RelayUrl,
    create: &CreateSession,
) -> Result<CreatedSession, CreateError> {
    let request = http.post(relay.create_session()).json(create);
    let response = request.send().await.map_err(CreateError::Http)?;
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|v| v.to_str().ok()?.parse().ok());
    let Some(body) = read(response).await.map_err(CreateError::Http)? else {
        return Err(CreateError::End(not_a_relay(
            "its answer is too long".into(),
        )));
    };
    if !status.is_success() {
        if let Ok(ErrorBody {
            proof: Some(challenge),
            ..
        }) = serde_json::from_slice(&body)
        {
            return Err(CreateError::Proof(challenge));
        }
        return Err(CreateError::End(refused(status, after, &body)));
    }
    serde_json::from_slice(&body)
        .map_err(|_| CreateError::End(not_a_relay("its answer is not that of a relay".into())))
}

/// Asks whether a relay is well. The body of what is longer than any relay's answer is left out.
pub(super) async fn ask_health(
    http: &reqwest::Client,
    relay: &RelayUrl,
) -> Result<(StatusCode, Vec<u8>), String> {
    let response = http.get(relay.health()).send().await;
    let response = response.map_err(|e| innermost(&e))?;
    let status = response.status();
    let body = read(response).await.map_err(|e| innermost(&e))?;
    Ok((status, body.unwrap_or_default()))
}

/// The body, unless it is longer than any that a relay sends.
async fn read(mut response: reqwest::Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_MAX {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// What an answer over HTTP means that is no success.
fn refused(status: StatusCode, retry_after_s: Option<u64>, body: &[u8]) -> LinkEnd {
    let said = serde_json::from_slice::<ErrorBody>(body).ok();
    let said = said.map(|body| body.error);
    let retry_after = said
        .as_ref()
        .and_then(|e| e.retry_after_ms)
        .map(Duration::from_millis)
        .or(retry_after_s.map(Duration::from_secs));
    match (status.as_u16(), said) {
        (_, Some(error)) if error.code == ErrorCode::Banned => {
            LinkEnd::Stopped(StopReason::Banned {
                retry_after_ms: error.retry_after_ms,
            })
        }
        (_, Some(error)) if error.code == ErrorCode::InvalidUsername => LinkEnd::NameRefused(error),
        (401, _) => LinkEnd::Unauthorized,
        (429 | 503, said) => {
            let detail = said.map_or_else(|| status.to_string(), |e| e.message);
            LinkEnd::Offline(OfflineReason::Busy { detail }, retry_after)
        }
        (_, Some(error)) => not_a_relay(error.message),
        (_, None) => not_a_relay(format!("it answers {status}")),
    }
}

/// What went wrong at the bottom, such as "Connection refused (os error 111)": the layers above
/// repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".into();
    }
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    plain(&text)
}

/// "Connection refused (os error 111)" without its number, which is of no use to people.
fn plain(error: &str) -> String {
    let end = error.find(" (os error ").unwrap_or(error.len());
    error[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use neartalk_shared::ApiError;

    use super::*;

    #[test]
    fn http_answers() {
        let body = |code, ms| {
            let error = ApiError {
                retry_after_ms: ms,
                ..ApiError::new(code, "No.")
            };
            serde_json::to_vec(&ErrorBody::from(error)).unwrap()
        };
        let busy = OfflineReason::Busy {
            detail: "No.".into(),
        };
        assert_eq!(
            refused(
                StatusCode::TOO_MANY_REQUESTS,
                Some(3),
                &body(ErrorCode::RateLimited, Some(2_500))
            ),
            LinkEnd::Offline(busy.clone(), Some(Duration::from_millis(2_500)))
        );
        assert_eq!(
            refused(
                StatusCode::TOO_MANY_REQUESTS,
                Some(3),
                &body(ErrorCode::RateLimited, None)
            ),
            LinkEnd::Offline(busy, Some(Duration::from_secs(3)))
        );
        assert_eq!(
            refused(
                StatusCode::FORBIDDEN,
                None,
                &body(ErrorCode::Banned, Some(60_000))
            ),
            LinkEnd::Stopped(StopReason::Banned {
                retry_after_ms: Some(60_000)
            })
        );
        assert!(matches!(
            refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                None,
                &body(ErrorCode::InvalidUsername, None)
            ),
            LinkEnd::NameRefused(_)
        ));
        assert_eq!(
            refused(StatusCode::NOT_FOUND, None, b"<html>"),
            not_a_relay("it answers 404 Not Found".into())
        );
    }
}
