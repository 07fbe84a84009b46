//! `firestore.rules`, as Google's emulator enforces them: a signed-in user reads the views of its own tasks alone.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::proxy::tests::emulators;

const PROJECT: &str = "rules";

/// The token of a user who signed in; the emulator takes it unsigned.
fn token(uid: &str) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"sub": uid, "user_id": uid, "iss": format!("https://securetoken.google.com/{PROJECT}"),
        "aud": PROJECT, "iat": 1, "exp": 4_102_444_800_i64});
    format!("{}.{}.", part(json!({"alg": "none", "typ": "JWT"})), part(claims))
}

/// Sends a request below the database's documents; its status.
async fn status(host: &str, token: Option<&str>, path: &str, body: Option<Value>) -> u16 {
    let url = format!("http://{host}/v1/projects/{PROJECT}/databases/(default)/documents{path}");
    let http = reqwest::Client::new();
    let request = match body {
        Some(body) => http.post(url).header("content-type", "application/json").body(body.to_string()),
        None => http.get(url),
    };
    let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    request.send().await.unwrap().status().as_u16()
}

fn write(path: &str, owner: &str) -> Value {
    let name = format!("projects/{PROJECT}/databases/(default)/documents/{path}");
    json!({"update": {"name": name, "fields": {"owner": {"stringValue": owner}}}})
}

fn views(owner: Option<&str>) -> Value {
    let mut query = json!({"from": [{"collectionId": "views"}]});
    if let Some(owner) = owner {
        let value = json!({"stringValue": owner});
        query["where"] = json!({"fieldFilter": {"field": {"fieldPath": "owner"}, "op": "EQUAL", "value": value}});
    }
    json!({"structuredQuery": query})
}

#[tokio::test]
async fn a_user_sees_its_own_tasks_and_nothing_else() {
    let Some(host) = emulators::firestore() else { return };
    let all = ["views/a", "tasks/a", "tasks/a/events/1", "responses/r", "miners/m", "proxy/secret_url"];
    let writes: Vec<Value> = all.iter().map(|path| write(path, "ann")).chain([write("views/e", "")]).collect();
    assert_eq!(status(host, Some("owner"), ":commit", Some(json!({"writes": writes}))).await, 200);
    let (ann, bob, nobody) = (token("ann"), token("bob"), token(""));
    assert_eq!(status(host, Some(&ann), "/views/a", None).await, 200);
    assert_eq!(status(host, Some(&ann), ":runQuery", Some(views(Some("ann")))).await, 200, "and may listen to them");
    for who in [Some(bob.as_str()), Some(nobody.as_str()), None] {
        assert_eq!(status(host, who, "/views/a", None).await, 403, "{who:?}");
        assert_eq!(status(host, who, "/views/e", None).await, 403, "{who:?}: a task without an owner is nobody's");
        assert_eq!(status(host, who, ":runQuery", Some(views(Some("ann")))).await, 403, "{who:?}");
    }
    assert_eq!(status(host, Some(&ann), ":runQuery", Some(views(None))).await, 403, "not everybody's");
    for path in all.iter().filter(|path| **path != "views/a") {
        assert_eq!(status(host, Some(&ann), &format!("/{path}"), None).await, 403, "{path}");
    }
    for path in all {
        let body = json!({"writes": [write(path, "ann")]});
        assert_eq!(status(host, Some(&ann), ":commit", Some(body)).await, 403, "{path} is not written");
    }
}
