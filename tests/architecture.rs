//! The house keeps its arrows: who may import whom, and what the pure core must not bring along.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every room of the library, and the rooms that it may import. All may import `error`.
const ARROWS: [(&str, &[&str]); 10] = [
    ("analysis", &["audio"]),
    ("audio", &[]),
    ("espeak", &[]),
    ("text", &[]),
    ("score", &["analysis", "audio", "text"]),
    ("subnet", &["score", "text"]),
    ("infer", &["audio", "text"]),
    ("hub", &[]),
    ("proxy", &["analysis", "audio", "score", "subnet", "text"]),
    ("python", &["analysis", "audio", "espeak", "hub", "infer", "proxy", "score", "subnet", "text"]),
];

/// Crates that the core, which is built without features, must not contain.
const NOT_IN_CORE: [&str; 7] = ["pyo3", "axum", "tokio", "hyper", "candle-core", "rusqlite", "hf-hub"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files at or below `path`.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().flat_map(|entry| rust_files(&entry.unwrap().path())).collect();
    }
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    if is_rust && path.exists() { vec![path.to_owned()] } else { Vec::new() }
}

/// The code of a file without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names of all paths that begin with `root::`, groups in braces included.
fn imports(code: &str, root: &str) -> BTreeSet<String> {
    let name = |path: &str| path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, prefix) in code.match_indices(&format!("{root}::")) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let mut depth = 1;
        let mut item = String::new();
        for c in group.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 || (depth == 1 && c == ',') {
                found.insert(name(&std::mem::take(&mut item)));
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::audio::{mel, Limits};\nuse crate::{Error, score::{wer, cer}, text};\nlet x = crate::infer::load();\nuse notcrate::proxy;";
    let want = ["Error", "audio", "infer", "score", "text"].map(String::from);
    assert_eq!(imports(code, "crate"), BTreeSet::from(want));
}

#[test]
fn every_room_has_its_arrows() {
    let known: BTreeSet<_> = ARROWS.iter().map(|(room, _)| *room).chain(["error", "lib", "bin"]).collect();
    for entry in fs::read_dir(src()).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap();
        assert!(known.contains(room), "src/{room} has no arrows: name the rooms that it may import in ARROWS");
    }
}

#[test]
fn rooms_import_only_where_their_arrows_point() {
    for (room, allowed) in ARROWS {
        let files = [src().join(room), src().join(format!("{room}.rs"))]
            .iter()
            .flat_map(|path| rust_files(path))
            .collect::<Vec<_>>();
        for file in files {
            for name in imports(&code(&file), "crate") {
                let is_other_room = name != room && ARROWS.iter().any(|(other, _)| *other == name);
                let is_allowed = !is_other_room || allowed.contains(&name.as_str());
                assert!(is_allowed, "{} imports crate::{name}; {room} may import {allowed:?}", file.display());
            }
        }
    }
}

#[test]
fn no_room_climbs_over_its_wall() {
    for (room, _) in ARROWS {
        for file in rust_files(&src().join(room)) {
            let below = file.strip_prefix(src()).unwrap();
            let is_map = below.file_stem().is_some_and(|stem| stem == "mod");
            let depth = below.components().count() - usize::from(is_map);
            let climb = "super::".repeat(depth);
            // A module inside the file, such as `tests`, is one deeper.
            let code = code(&file);
            let outer = code.split("mod tests").next().unwrap_or_default();
            assert!(
                !outer.contains(&climb),
                "{} reaches the crate's root by `{climb}`: write `crate::`",
                file.display()
            );
        }
    }
}

#[test]
fn the_binary_knows_the_proxy_alone() {
    for file in rust_files(&src().join("bin")) {
        for name in imports(&code(&file), "violet") {
            let is_room = ARROWS.iter().any(|(room, _)| *room == name);
            assert!(!is_room || name == "proxy", "{} imports violet::{name}", file.display());
        }
    }
}

#[test]
fn the_core_brings_no_network_database_python_or_tensors() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(crates.contains("violet") && crates.contains("symphonia"), "cargo tree printed {tree}");
    for name in NOT_IN_CORE {
        assert!(!crates.contains(name), "the core contains {name}: `cargo tree -i {name}` shows why");
    }
}
