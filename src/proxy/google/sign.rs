//! Signed URLs of Cloud Storage, version 4.

use sha2::{Digest, Sha256};

use super::account::ServiceAccount;
use super::{Error, time};

/// What a URL is to be signed for.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Signed<'a> {
    /// Scheme and host, such as `https://storage.googleapis.com`.
    pub(in crate::proxy) endpoint: &'a str,
    pub(in crate::proxy) method: &'a str,
    pub(in crate::proxy) bucket: &'a str,
    pub(in crate::proxy) object: &'a str,
    pub(in crate::proxy) life_s: i64,
    /// Media type that a `PUT` must have.
    pub(in crate::proxy) content_type: Option<&'a str>,
}

impl Signed<'_> {
    /// The URL, as google-cloud-storage's signer makes it, byte for byte.
    pub(in crate::proxy) fn url(&self, account: &ServiceAccount, now_ms: i64) -> Result<String, Error> {
        let date = time::basic(now_ms);
        let scope = format!("{}/auto/storage/goog4_request", &date[..8]);
        let host = self.endpoint.split_once("://").map_or(self.endpoint, |(_, host)| host);
        let resource = format!("/{}/{}", self.bucket, encode(self.object, b"/~"));
        let (type_line, type_name) = match self.content_type {
            Some(media_type) => (format!("content-type:{media_type}\n"), "content-type;"),
            None => (String::new(), ""),
        };
        let signed_headers = format!("{type_name}host");
        let query = [
            ("X-Goog-Algorithm", "GOOG4-RSA-SHA256"),
            ("X-Goog-Credential", &format!("{}/{scope}", account.email)),
            ("X-Goog-Date", &date),
            ("X-Goog-Expires", &self.life_s.to_string()),
            ("X-Goog-SignedHeaders", &signed_headers),
        ]
        .map(|(name, value)| format!("{name}={}", encode(value, b"~")))
        .join("&");
        let canonical = format!(
            "{}\n{resource}\n{query}\n{type_line}host:{host}\n\n{signed_headers}\nUNSIGNED-PAYLOAD",
            self.method
        );
        let to_sign = format!("GOOG4-RSA-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let signature = hex::encode(account.sign(to_sign.as_bytes())?);
        Ok(format!("{}{resource}?{query}&X-Goog-Signature={signature}", self.endpoint))
    }
}

/// Percent-encoding that leaves letters, digits, `_.-` and `also` as they are.
fn encode(text: &str, also: &[u8]) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b) || also.contains(&b);
    text.bytes().map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn urls_equal_those_of_googles_own_signer() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/google");
        let account = ServiceAccount::load(&dir.join("service_account.json")).unwrap();
        let golden = std::fs::read_to_string(dir.join("signed_urls.json")).unwrap();
        let golden: Vec<Value> = serde_json::from_str(&golden).unwrap();
        assert!(golden.len() >= 5);
        for case in &golden {
            let text = |name: &str| case[name].as_str().unwrap();
            let signed = Signed {
                endpoint: text("endpoint"),
                method: text("method"),
                bucket: text("bucket"),
                object: text("object"),
                life_s: case["life_s"].as_i64().unwrap(),
                content_type: case["content_type"].as_str(),
            };
            assert_eq!(signed.url(&account, case["now_ms"].as_i64().unwrap()).unwrap(), text("url"), "{case}");
        }
    }
}
