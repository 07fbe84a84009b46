//! Who asks: signatures of neurons, API keys of users.

pub(crate) mod api_keys;
pub(crate) mod btauth;
mod replay;

pub(crate) use api_keys::{ApiKeys, Scope};
pub(crate) use replay::{NOTE_LIFE_MS, Replays, replayed};

use schnorrkel::{PublicKey, Signature};

use super::ss58;

/// Context of every sr25519 signature that wallets make.
const CONTEXT: &[u8] = b"substrate";

/// Whether `signature` (`0x` + hex) is this hotkey's over `message`.
pub(crate) fn is_signed_by(hotkey: &str, message: &[u8], signature: &str) -> bool {
    let verify = || {
        let key = PublicKey::from_bytes(&ss58::decode(hotkey)?).ok()?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature.strip_prefix("0x")?, &mut bytes).ok()?;
        key.verify_simple(CONTEXT, message, &Signature::from_bytes(&bytes).ok()?).ok()
    };
    verify().is_some()
}
