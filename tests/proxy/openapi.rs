//! The document of the routes says what the router does.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::http::{get, send};
use crate::network::Network;

/// Every operation of the router, read from its source: method and path.
fn routed() -> BTreeSet<(String, String)> {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/proxy/routes/mod.rs")).unwrap();
    let mut found = BTreeSet::new();
    for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, handlers) = line.split_once('"').unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                found.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    found
}

const PAGES: [(&str, &str); 6] = [
    ("/", "text/html"),
    ("/docs", "text/html"),
    ("/sw.js", "text/javascript"),
    ("/web/app.js", "text/javascript"),
    ("/web/docs.css", "text/css"),
    ("/web/icon.svg", "image/svg+xml"),
];

fn document() -> Value {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_document_lists_the_operations_of_the_router_and_no_others() {
    let document = document();
    let listed: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| operations.as_object().unwrap().keys().map(|m| (m.clone(), path.clone())))
        .collect();
    let routed = routed();
    assert!(routed.len() > 25, "{routed:?}");
    assert_eq!(listed, routed);
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(path) = members.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(path.trim_start_matches('#')).is_some(), "{path}");
                }
                members.values().for_each(|member| walk(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_document_and_its_page_are_served() {
    let network = Network::start(&[]);
    let served = get(network.url(), "/openapi.json");
    assert_eq!(served.status, 200);
    assert_eq!(served.json(), document());
    for (path, kind) in PAGES {
        let reply = get(network.url(), path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").unwrap().starts_with(kind), "{path}");
        let known = [("If-None-Match", reply.header("etag").unwrap())];
        assert_eq!(send(network.url(), "GET", path, &known, b"").status, 304, "{path}");
        // What a page loads is ruled by that page.
        if !path.starts_with("/web/") {
            let policy = reply.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        }
    }
    assert_eq!(get(network.url(), "/web/no.js").error(404), "no_such_route");
    assert_eq!(send(network.url(), "POST", "/openapi.json", &[], b"").status, 405);
}

/// The files of the page in its directory.
fn files_of_the_page() -> BTreeSet<String> {
    let directory = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/proxy/web")).unwrap();
    directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_file_of_the_page_is_served_and_small() {
    let network = Network::start(&[]);
    let mut bytes = 0;
    for name in files_of_the_page() {
        let path = match name.as_str() {
            "index.html" => "/".to_owned(),
            "docs.html" => "/docs".to_owned(),
            "sw.js" => "/sw.js".to_owned(),
            other => format!("/web/{other}"),
        };
        let reply = get(network.url(), &path);
        assert_eq!(reply.status, 200, "{path}");
        bytes += reply.body.len();
    }
    assert!(bytes < 150_000, "{bytes}");
}

#[test]
fn the_worker_keeps_all_that_the_page_needs_without_a_network() {
    let worker = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/proxy/web/sw.js")).unwrap();
    for name in files_of_the_page() {
        if !["index.html", "docs.html", "docs.css", "docs.js", "icon-512.png", "sw.js"].contains(&name.as_str()) {
            assert!(worker.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
