//! The proxy's own secrets, made at the first start and kept in its data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::TryRngCore;
use rand::rngs::OsRng;
use schnorrkel::{ExpansionMode, MiniSecretKey};

use super::store::{self, TaskStore};
use super::{admin, ss58};
use crate::{Error, Result};

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Who the proxy is.
pub(crate) struct Identity {
    /// Its SS58 address: the receiver of signed requests.
    pub(crate) hotkey: String,
    seed: [u8; SECRET_BYTES],
    /// Key of the signatures on blob URLs.
    pub(crate) url_secret: [u8; SECRET_BYTES],
    /// What the operator's requests carry.
    pub(crate) admin_token: String,
    /// Held as long as the process uses the data directory.
    _lock: File,
}

impl Identity {
    /// The same proxy as the others of its store: whoever came first gave its secrets to all.
    pub(crate) async fn shared_by(self, records: &dyn TaskStore) -> Result<Self, store::Error> {
        let seed = records.secret("hotkey", self.seed).await?;
        let url_secret = records.secret("url", self.url_secret).await?;
        let hotkey = address(&seed).map_err(|error| store::Error::Fault(format!("the shared hotkey: {error}")))?;
        Ok(Self { hotkey, seed, url_secret, ..self })
    }

    /// Opens or makes the secrets of `data_dir` and takes the directory for this process.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let lock = take(data_dir)?;
        let seed = secret(&data_dir.join("hotkey.seed"))?;
        let url_secret = secret(&data_dir.join("url.secret"))?;
        let hotkey = address(&seed)
            .map_err(|error| Error::InvalidInput(format!("{}: {error}", data_dir.join("hotkey.seed").display())))?;
        let admin_token = token(&data_dir.join(admin::TOKEN_FILE))?;
        Ok(Self { hotkey, seed, url_secret, admin_token, _lock: lock })
    }
}

fn address(seed: &[u8; SECRET_BYTES]) -> Result<String, schnorrkel::SignatureError> {
    let public = MiniSecretKey::from_bytes(seed)?.expand_to_public(ExpansionMode::Ed25519);
    Ok(ss58::encode(&public.to_bytes()))
}

/// Two writers in one directory would not see each other's open tasks.
fn take(data_dir: &Path) -> Result<File> {
    let io = |source| Error::Io { path: data_dir.to_owned(), source };
    std::fs::create_dir_all(data_dir).map_err(io)?;
    let path = data_dir.join("lock");
    let io = |source| Error::Io { path: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let dir = data_dir.display();
            Err(Error::Conflict(format!("{dir} is used by another proxy; stop that one or give another --data-dir")))
        }
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// The token in a file that only its owner reads; made when it is not there.
fn token(path: &Path) -> Result<String> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= SECRET_BYTES => Ok(text.trim().to_owned()),
        Ok(_) => {
            let path = path.display();
            Err(Error::InvalidInput(format!(
                "{path} has less than {SECRET_BYTES} characters; delete it for a new token"
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = hex::encode(random().map_err(io)?);
            write(path, made.as_bytes()).map_err(io)?;
            Ok(made)
        }
        Err(error) => Err(io(error)),
    }
}

fn random() -> std::io::Result<[u8; SECRET_BYTES]> {
    let mut bytes = [0; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

/// Whole or not at all: a crash in the middle must not leave a short secret.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
    file.write_all(bytes).and_then(|()| file.sync_all())?;
    std::fs::rename(&part, path)
}

/// The secret in a file that only its owner reads; made when it is not there.
fn secret(path: &Path) -> Result<[u8; SECRET_BYTES]> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
            bytes.try_into().map_err(|bytes: Vec<u8>| {
                let path = path.display();
                Error::InvalidInput(format!(
                    "{path} has {} bytes instead of {SECRET_BYTES}; restore it from a backup",
                    bytes.len()
                ))
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = random().map_err(io)?;
            write(path, &bytes).map_err(io)?;
            Ok(bytes)
        }
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_identity_survives_a_restart_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(dir.path()).unwrap();
        let (hotkey, url_secret) = (first.hotkey.clone(), first.url_secret);
        assert!(ss58::decode(&hotkey).is_some());
        drop(first);
        let second = Identity::open(dir.path()).unwrap();
        assert_eq!((second.hotkey.clone(), second.url_secret), (hotkey, url_secret));
        assert_eq!(second.admin_token.len(), 64);
        for name in ["hotkey.seed", "url.secret", "admin.token"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Identity::open(dir.path()).unwrap();
        let error = Identity::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("used by another proxy"), "{error}");
    }

    #[test]
    fn a_damaged_secret_is_named() {
        let dir = tempfile::tempdir().unwrap();
        drop(Identity::open(dir.path()).unwrap());
        std::fs::write(dir.path().join("hotkey.seed"), b"short").unwrap();
        let error = Identity::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("hotkey.seed has 5 bytes"), "{error}");
    }
}
