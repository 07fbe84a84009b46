//! A service account: its key file, and what it signs.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;

use super::Error;

/// Largest key file, bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// How long an assertion holds, s; the longest that Google takes.
const ASSERTION_LIFE_S: i64 = 3_600;

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "token_uri")]
    token_uri: String,
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// A service account whose key the proxy has. Its key never leaves it, not into a log either.
pub(in crate::proxy) struct ServiceAccount {
    pub(super) email: String,
    pub(super) token_uri: String,
    key_id: String,
    key: RsaKeyPair,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

impl ServiceAccount {
    /// Reads a key file as Google's console makes it.
    pub(in crate::proxy) fn load(path: &Path) -> crate::Result<Self> {
        let io = |source| crate::Error::Io { path: path.to_owned(), source };
        let got_bytes = std::fs::metadata(path).map_err(io)?.len();
        if got_bytes > MAX_FILE_BYTES {
            let what = "the file of credentials";
            return Err(crate::Error::TooLarge { what, got_bytes, limit_bytes: MAX_FILE_BYTES });
        }
        let json = std::fs::read_to_string(path).map_err(io)?;
        Self::from_json(&json).map_err(|reason| crate::Error::InvalidInput(format!("{}: {reason}", path.display())))
    }

    fn from_json(json: &str) -> Result<Self, String> {
        let advice = "make a JSON key of a service account in Google's console";
        // What serde says of a value may quote it.
        let file: KeyFile = serde_json::from_str(json)
            .map_err(|_| format!("is not a service account's key with client_email and private_key; {advice}"))?;
        if !file.token_uri.starts_with("https://") && !file.token_uri.starts_with("http://127.0.0.1:") {
            return Err("token_uri must begin with https://".to_owned());
        }
        let body = file.private_key.split("-----").nth(2).unwrap_or_default();
        let packed: String = body.split_whitespace().collect();
        let key = BASE64_STANDARD.decode(packed).ok().and_then(|der| RsaKeyPair::from_pkcs8(&der).ok());
        let key = key.ok_or_else(|| format!("private_key is not an RSA key in PEM (PKCS #8); {advice}"))?;
        Ok(Self { email: file.client_email, token_uri: file.token_uri, key_id: file.private_key_id, key })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::Account("the service account's key does not sign".to_owned()))?;
        Ok(signature)
    }

    /// The JSON Web Token that is given for an access token (RFC 7523).
    pub(super) fn assertion(&self, scope: &str, now_s: i64) -> Result<String, Error> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims = json!({
            "iss": self.email, "scope": scope, "aud": self.token_uri, "iat": now_s, "exp": now_s + ASSERTION_LIFE_S,
        });
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", encode(&signature)))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    pub(super) const KEY: &str = include_str!("../../../tests/data/google/service_account.json");

    #[test]
    fn the_assertion_is_signed_and_says_who_asks_for_what() {
        let account = ServiceAccount::from_json(KEY).unwrap();
        let token = account.assertion("scope", 1_000).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let json =
            |part: &str| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(json(parts[0])["alg"], "RS256");
        assert_eq!(
            json(parts[1]),
            json!({"iss": account.email, "scope": "scope", "aud": account.token_uri, "iat": 1_000, "exp": 4_600})
        );
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.key.public_key());
        let message = format!("{}.{}", parts[0], parts[1]);
        public.verify(message.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_without_being_shown() {
        let refused = |json: &str| ServiceAccount::from_json(json).unwrap_err();
        assert!(refused("{}").contains("client_email"));
        let broken =
            r#"{"client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END-----"}"#;
        assert!(refused(broken).contains("PKCS #8") && !refused(broken).contains("c2VjcmV0"));
        assert!(refused(r#"{"client_email": 7, "private_key": "hidden"}"#).contains("client_email"));
        assert!(!refused(r#"{"client_email": "a", "private_key": {"hidden": 1}}"#).contains("hidden"));
        assert!(refused(&KEY.replace("https://oauth2", "ftp://oauth2")).contains("token_uri"));
        assert!(!format!("{:?}", ServiceAccount::from_json(KEY).unwrap()).contains("PRIVATE"));
    }
}
