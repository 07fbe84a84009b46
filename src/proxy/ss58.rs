//! SS58 addresses: a public key in base 58 with a checksum. Source: Substrate's `sp-core`, `crypto.rs`.

use blake2::{Blake2b512, Digest};

/// Address type of Bittensor: "any Substrate network".
const PREFIX: u8 = 42;

/// What is hashed before the address, so that the checksum fits nothing else.
const CONTEXT: &[u8] = b"SS58PRE";

/// The public key in an address; `None` if it is not one of this network.
pub(crate) fn decode(address: &str) -> Option<[u8; 32]> {
    // The longest address of 35 bytes has 48 characters; base 58 costs quadratic time, so look first.
    if address.len() > 50 {
        return None;
    }
    let bytes = bs58::decode(address).into_vec().ok()?;
    let (body, checksum) = bytes.split_at_checked(33)?;
    let (&prefix, key) = body.split_first()?;
    let is_valid = prefix == PREFIX && checksum == &hash(body)[..2];
    if is_valid { key.try_into().ok() } else { None }
}

/// The address of a public key.
pub(crate) fn encode(key: &[u8; 32]) -> String {
    let mut bytes = vec![PREFIX];
    bytes.extend_from_slice(key);
    let checksum = hash(&bytes);
    bytes.extend_from_slice(&checksum[..2]);
    bs58::encode(bytes).into_string()
}

fn hash(body: &[u8]) -> [u8; 64] {
    Blake2b512::new().chain_update(CONTEXT).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Substrate's well-known development account "Alice".
    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    const ALICE_KEY: &str = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

    #[test]
    fn a_well_known_account_has_its_address() {
        let key: [u8; 32] = hex::decode(ALICE_KEY).unwrap().try_into().unwrap();
        assert_eq!(encode(&key), ALICE);
        assert_eq!(decode(ALICE), Some(key));
    }

    #[test]
    fn a_wrong_checksum_prefix_or_length_is_no_address() {
        let mistyped = ALICE.replace("KutQY", "KutQZ");
        let polkadot = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";
        for address in [mistyped.as_str(), polkadot, "", "5", &ALICE[1..], &ALICE.repeat(3), "0OIl"] {
            assert_eq!(decode(address), None, "{address}");
        }
    }
}
