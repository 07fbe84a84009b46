//! API keys of users: a file of names and hashes; the keys themselves are shown once, when they are made.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use axum::http::{HeaderMap, header};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::proxy::error::{ApiError, ApiResult};
use crate::{Error, Result};

/// What every key begins with.
const PREFIX: &str = "vk_";

/// Largest file of keys, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// See what is there.
    Read,
    /// Make, change and erase.
    Write,
}

impl Scope {
    pub(crate) const ALL: [Self; 2] = [Self::Read, Self::Write];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A key, as far as the proxy knows it.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    /// Whose it is.
    pub(crate) name: String,
    sha256: [u8; 32],
    pub(crate) scopes: BTreeSet<Scope>,
}

impl ApiKey {
    /// The key with this hash in hex; `None` if that is none.
    pub(crate) fn new(name: String, sha256: &str, scopes: BTreeSet<Scope>) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(sha256, &mut bytes).ok()?;
        Some(Self { name, sha256: bytes, scopes })
    }
}

/// Names of users and hashes of their keys.
///
/// A key has 256 random bits, so a plain SHA-256 cannot be searched; a slow hash would only slow the proxy down.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiKeys {
    keys: Vec<ApiKey>,
}

impl ApiKeys {
    /// Reads `NAME SHA256HEX` lines; `#` begins a comment.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let got_bytes = std::fs::metadata(path).map_err(io)?.len();
        if got_bytes > MAX_FILE_BYTES {
            return Err(Error::TooLarge { what: "the file of API keys", got_bytes, limit_bytes: MAX_FILE_BYTES });
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            keys.push(parse(line).ok_or_else(|| {
                let (path, n) = (path.display(), n + 1);
                Error::InvalidInput(format!(
                    "{path}:{n}: expected NAME SHA256HEX; make lines with violet-proxy new-key"
                ))
            })?);
        }
        Ok(Self { keys })
    }

    /// Adds a key.
    pub(crate) fn push(&mut self, key: ApiKey) {
        self.keys.push(key);
    }

    /// The key that the request carries.
    pub(crate) fn find(&self, headers: &HeaderMap) -> ApiResult<&ApiKey> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, key)) = value.and_then(|value| value.split_once(' ')) else {
            return Err(
                ApiError::unauthenticated("missing_api_key", "send Authorization: Bearer KEY").at("authorization")
            );
        };
        let hash: [u8; 32] = Sha256::digest(key.trim()).into();
        // All entries are compared, each in constant time, so that the time tells nothing about them.
        let mut found = None;
        for known in &self.keys {
            if bool::from(known.sha256[..].ct_eq(&hash[..])) {
                found = Some(known);
            }
        }
        found.filter(|_| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(|| {
            ApiError::unauthenticated(
                "invalid_api_key",
                "the API key is not known here; ask the proxy's operator for one",
            )
            .at("authorization")
        })
    }
}

/// A new key, and its hash in hex.
pub(crate) fn random() -> std::io::Result<(String, String)> {
    let mut random = [0; 32];
    OsRng.try_fill_bytes(&mut random).map_err(std::io::Error::other)?;
    let key = format!("{PREFIX}{}", bs58::encode(random).into_string());
    let hash = hex::encode(Sha256::digest(&key));
    Ok((key, hash))
}

/// Makes a key for `name`, adds its hash to the file and returns the key.
pub(crate) fn create(path: &Path, name: &str) -> Result<String> {
    if !is_name(name) {
        return Err(Error::InvalidInput(format!("NAME is {name:?}; expected 1 to 64 of a-z A-Z 0-9 . _ -")));
    }
    if path.exists() && ApiKeys::load(path)?.keys.iter().any(|taken| taken.name == name) {
        let path = path.display();
        return Err(Error::Conflict(format!(
            "{path} has a key for {name} already; remove its line or choose another NAME"
        )));
    }
    let io = |source| Error::Io { path: path.to_owned(), source };
    let (key, hash) = random().map_err(io)?;
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(format!("{name} {hash}\n").as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)?;
    Ok(key)
}

fn parse(line: &str) -> Option<ApiKey> {
    let (name, hash) = line.split_once(char::is_whitespace)?;
    is_name(name).then(|| ApiKey::new(name.to_owned(), hash.trim(), Scope::ALL.into_iter().collect()))?
}

/// Whether a text can be a user's name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_new_key_opens_and_is_not_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let ann = create(&path, "ann").unwrap();
        let bob = create(&path, "bob").unwrap();
        let keys = ApiKeys::load(&path).unwrap();
        assert_eq!(keys.find(&headers(&format!("Bearer {ann}"))).unwrap().name, "ann");
        assert_eq!(keys.find(&headers(&format!("bearer {bob}"))).unwrap().name, "bob");
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&ann));
    }

    #[test]
    fn anything_else_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let key = create(&path, "ann").unwrap();
        let keys = ApiKeys::load(&path).unwrap();
        assert!(keys.find(&HeaderMap::new()).is_err());
        for value in ["Bearer", "Bearer ", "Bearer vk_x", &format!("Basic {key}"), &key] {
            assert!(keys.find(&headers(value)).is_err(), "{value}");
        }
    }

    #[test]
    fn a_name_has_one_key_and_a_damaged_file_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        create(&path, "ann").unwrap();
        assert!(create(&path, "ann").unwrap_err().to_string().contains("already"));
        assert!(create(&path, "a b").is_err());
        std::fs::write(&path, "# comment\n\nann zz\n").unwrap();
        assert!(ApiKeys::load(&path).err().unwrap().to_string().contains("keys:3:"));
    }
}
