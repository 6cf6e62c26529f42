//! Requests that are refused: each with its status and its code.

use neartalk_shared::{
    ErrorCode, SessionId,
    http::{CreatedSession, ErrorBody, LocationUpdated, Nearby, UsernameChanged},
    limits::BODY_MAX_BYTES,
};
use reqwest::Method;
use serde_json::json;

use crate::common::{Relay, bearer, beside, within};

/// A request, and what is wrong with it.
#[derive(Debug)]
struct Case<'a> {
    method: Method,
    path: &'a str,
    session: Option<&'a str>,
    body: Option<String>,
    status: u16,
    code: ErrorCode,
}

#[tokio::test]
async fn every_bad_request_gets_its_status_and_code() {
    use ErrorCode::*;
    let relay = Relay::start(&["--location-burst", "1000"]);
    let api = relay.api();
    let fox = api.session("Fox").await;
    let bearer = bearer(&fox);
    let session = Some(bearer.as_str());
    let (create, rename) = ("/api/session/create", "/api/session/username");
    let (locate, nearby) = ("/api/location/update", "/api/nearby");
    let bodies = |path: &'static str, session, cases: &[(&str, u16, ErrorCode)]| {
        let method = if path == rename {
            Method::PATCH
        } else {
            Method::POST
        };
        cases
            .iter()
            .map(|&(body, status, code)| Case {
                method: method.clone(),
                path,
                session,
                body: Some(body.to_owned()),
                status,
                code,
            })
            .collect::<Vec<_>>()
    };
    let bare = |method: &Method, path, session, status, code| Case {
        method: method.clone(),
        path,
        session,
        body: None,
        status,
        code,
    };
    let long_name = json!({ "username": "x".repeat(21) }).to_string();
    let deep = "[".repeat(10_000);
    let large = " ".repeat(BODY_MAX_BYTES + 1);
    let mut cases = bodies(
        create,
        None,
        &[
            (r#"{"username":"ab"}"#, 422, InvalidUsername),
            (r#"{"username":""}"#, 422, InvalidUsername),
            (r#"{"username":" Fox"}"#, 422, InvalidUsername),
            (r#"{"username":"a  fox"}"#, 422, InvalidUsername),
            (r#"{"username":"<fox>"}"#, 422, InvalidUsername),
            (r#"{"username":"fox\u0000"}"#, 422, InvalidUsername),
            (r#"{"username":"fox\u202e"}"#, 422, InvalidUsername),
            (&long_name, 422, InvalidUsername),
            (r#"{"username":7}"#, 422, InvalidBody),
            ("not json", 422, InvalidBody),
            ("[]", 422, InvalidBody),
            (&deep, 422, InvalidBody),
            (&large, 413, BodyTooLarge),
        ],
    );
    cases.extend(bodies(
        rename,
        session,
        &[
            (r#"{"username":"ow"}"#, 422, InvalidUsername),
            ("{}", 422, InvalidBody),
            ("", 422, InvalidBody),
            (&large, 413, BodyTooLarge),
        ],
    ));
    cases.extend(bodies(
        locate,
        session,
        &[
            (r#"{"lat":90.1,"lon":2,"radius":500}"#, 422, InvalidLocation),
            (
                r#"{"lat":-90.1,"lon":2,"radius":500}"#,
                422,
                InvalidLocation,
            ),
            (
                r#"{"lat":1,"lon":180.1,"radius":500}"#,
                422,
                InvalidLocation,
            ),
            (
                r#"{"lat":1,"lon":-180.1,"radius":500}"#,
                422,
                InvalidLocation,
            ),
            (
                r#"{"lat":1e999,"lon":2,"radius":500}"#,
                422,
                InvalidLocation,
            ),
            (
                r#"{"lat":1,"lon":-1e999,"radius":500}"#,
                422,
                InvalidLocation,
            ),
            (r#"{"lat":NaN,"lon":2,"radius":500}"#, 422, InvalidBody),
            (r#"{"lat":Infinity,"lon":2,"radius":500}"#, 422, InvalidBody),
            (r#"{"lat":null,"lon":2,"radius":500}"#, 422, InvalidBody),
            (r#"{"lat":"1","lon":2,"radius":500}"#, 422, InvalidBody),
            (r#"{"lon":2,"radius":500}"#, 422, InvalidBody),
            (r#"{"lat":1,"lon":2}"#, 422, InvalidBody),
            (r#"{"lat":1,"lon":2,"radius":99}"#, 422, InvalidRadius),
            (r#"{"lat":1,"lon":2,"radius":2001}"#, 422, InvalidRadius),
            (r#"{"lat":1,"lon":2,"radius":0}"#, 422, InvalidRadius),
            (r#"{"lat":1,"lon":2,"radius":-500}"#, 422, InvalidRadius),
            (r#"{"lat":1,"lon":2,"radius":500.5}"#, 422, InvalidRadius),
            (r#"{"lat":1,"lon":2,"radius":1e999}"#, 422, InvalidRadius),
            (&large, 413, BodyTooLarge),
        ],
    ));
    // Who are you?
    cases.extend(bodies(
        rename,
        None,
        &[(r#"{"username":"Owl"}"#, 401, Unauthorized)],
    ));
    cases.extend(bodies(
        locate,
        None,
        &[(r#"{"lat":1,"lon":2,"radius":500}"#, 401, Unauthorized)],
    ));
    cases.push(bare(&Method::GET, nearby, None, 401, Unauthorized));
    cases.push(bare(&Method::GET, nearby, session, 409, NoLocation));
    for (method, path) in [
        (Method::GET, create),
        (Method::DELETE, create),
        (Method::POST, rename),
        (Method::GET, rename),
        (Method::GET, locate),
        (Method::PUT, locate),
        (Method::POST, nearby),
        (Method::POST, "/api/health"),
        (Method::POST, "/ws"),
    ] {
        cases.push(bare(&method, path, session, 405, MethodNotAllowed));
    }
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/session",
        "/api/session/create/",
        "/api/nearby/1",
        "/metrics",
        "/ws/",
        "/%2e%2e/etc/passwd",
        "/%ff",
    ] {
        for method in [Method::GET, Method::POST] {
            cases.push(bare(&method, path, session, 404, NotFound));
        }
    }
    for case in cases {
        let headers: Vec<_> = case
            .session
            .map(|bearer| ("authorization", bearer))
            .into_iter()
            .collect();
        let answer = api
            .send(case.method.clone(), case.path, &headers, case.body.clone())
            .await;
        let got = format!("{:.200?}: {}", case, answer.text);
        assert_eq!(answer.status, case.status, "{got}");
        let error = answer.expect::<ErrorBody>(case.status).error;
        assert_eq!(error.code, case.code, "{got}");
        answer.expect_error(case.status, case.code);
        assert_eq!(
            answer.headers.contains_key("allow"),
            case.status == 405,
            "{got}"
        );
    }
    // None of that has hurt the session.
    let updated = api.locate(&fox, beside(0), 500).await;
    assert_eq!(updated.expect::<LocationUpdated>(200).nearby, 0);
}

#[tokio::test]
async fn a_body_that_is_no_utf_8_is_refused() {
    let relay = Relay::start(&[]);
    let answer = within(
        "an answer",
        reqwest::Client::new()
            .post(format!("{}/api/session/create", relay.url()))
            .body(b"{\"username\":\"\xff\xfe\xfd\"}".to_vec())
            .send(),
    )
    .await
    .unwrap();
    assert_eq!(answer.status(), 422);
}

#[tokio::test]
async fn a_body_of_the_allowed_size_is_read() {
    let relay = Relay::start(&[]);
    let body = format!("{:>width$}", "{}", width = BODY_MAX_BYTES);
    let answer = relay
        .api()
        .send(Method::POST, "/api/session/create", &[], Some(body))
        .await;
    answer.expect::<CreatedSession>(201);
}

#[tokio::test]
async fn the_session_is_read_from_the_bearer_header_and_nowhere_else() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let session = api.session("Fox").await;
    api.locate(&session, beside(0), 500)
        .await
        .expect::<LocationUpdated>(200);
    let id = session.session_id.expose();
    let guess = SessionId::random().expose();

    // The scheme's name is case-insensitive (RFC 9110, 11.1).
    for good in [format!("Bearer {id}"), format!("bearer {id}")] {
        let headers = [("authorization", good.as_str())];
        let answer = api.send(Method::GET, "/api/nearby", &headers, None).await;
        answer.expect::<Nearby>(200);
    }
    for bad in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        id.clone(),
        format!("Basic {id}"),
        format!("Bearer{id}"),
        format!("Bearer {id} {id}"),
        format!("Bearer {id},{id}"),
        format!("Bearer {}", id.replace('-', "")),
        format!("Bearer {{{id}}}"),
        format!("Bearer {}", &id[..35]),
        format!("Bearer {}", session.peer_id),
        format!("Bearer {guess}"),
    ] {
        let headers = [("authorization", bad.as_str())];
        let answer = api.send(Method::GET, "/api/nearby", &headers, None).await;
        let error = answer.expect_error(401, ErrorCode::Unauthorized);
        assert!(
            !error.error.message.contains(&id),
            "an answer tells a secret"
        );
    }
    for (path, headers) in [
        (format!("/api/nearby?session_id={id}"), vec![]),
        (format!("/api/nearby?access_token={id}"), vec![]),
        (
            "/api/nearby".to_owned(),
            vec![("cookie", format!("session_id={id}"))],
        ),
        ("/api/nearby".to_owned(), vec![("x-session-id", id.clone())]),
    ] {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = api.send(Method::GET, &path, &headers, None).await;
        answer.expect_error(401, ErrorCode::Unauthorized);
    }
}

#[tokio::test]
async fn a_refused_name_costs_no_change() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let fox = api.session("Fox").await;
    for _ in 0..5 {
        api.rename(&fox, "o")
            .await
            .expect_error(422, ErrorCode::InvalidUsername);
    }
    let changed: UsernameChanged = api.rename(&fox, "Owl").await.expect(200);
    assert_eq!(changed.username_changes_left, 2);
}
