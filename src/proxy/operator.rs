//! What the operator decides while the proxy runs: API keys, hotkeys that are shut out, whether work is lent.
//!
//! It is in the store, so that every proxy of it does as it says; each has it in memory and looks again now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::auth::api_keys::{self, ApiKey, ApiKeys, Scope};
use super::clock;
use super::error::{ApiError, ApiResult};
use super::store::{self, Entry, EntryKind, Store, TaskStore};
use crate::subnet::task::Hotkey;

/// Most keys, and most bans.
const MOST: usize = 1_000;

/// The switches.
const PAUSED: &str = "paused";
const ASKS_FOR_KEYS: &str = "asks_for_keys";

/// An API key as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// Whose it is: the owner of what is made with it.
    pub(crate) name: String,
    sha256: String,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) created_at_ms: i64,
}

/// Why a hotkey is shut out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ban {
    pub(crate) reason: String,
    pub(crate) since_ms: i64,
}

/// All that the operator decided.
#[derive(Default)]
pub(crate) struct Said {
    /// The keys that are good; none where everybody may use the proxy.
    pub(crate) keys: Option<ApiKeys>,
    pub(crate) bans: BTreeMap<Hotkey, Ban>,
    /// Whether miners get no work.
    pub(crate) is_paused: bool,
}

impl Said {
    /// Refuses a hotkey that is shut out.
    pub(crate) fn refuse_banned(&self, hotkey: &str) -> ApiResult<()> {
        let Some(ban) = self.bans.get(&Hotkey::from(hotkey)) else { return Ok(()) };
        let message = format!("hotkey {hotkey} is shut out by the operator of this proxy: {}", ban.reason);
        Err(ApiError::forbidden("banned", message).at("x-bittensor-hotkey"))
    }
}

/// The operator's decisions, as last seen.
pub(crate) struct Operator {
    /// Keys of the file that the configuration names.
    file: Option<ApiKeys>,
    said: RwLock<Arc<Said>>,
}

impl Operator {
    /// Reads what is in the store.
    pub(crate) async fn open(file: Option<ApiKeys>, records: &dyn TaskStore) -> Result<Self, store::Error> {
        let operator = Self { file, said: RwLock::default() };
        operator.refresh(records).await?;
        Ok(operator)
    }

    /// What was said, as last seen.
    pub(crate) fn said(&self) -> Arc<Said> {
        Arc::clone(&self.said.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks again.
    pub(crate) async fn refresh(&self, records: &dyn TaskStore) -> Result<(), store::Error> {
        let settings = records.entries(EntryKind::Setting, i64::MAX, MOST).await?;
        let is_set = |name: &str| settings.iter().any(|setting| setting.name == name);
        let made = keys(records).await?;
        // With no key left nobody gets in, rather than everybody.
        let mut known = self.file.clone().or_else(|| is_set(ASKS_FOR_KEYS).then(ApiKeys::default));
        if let Some(known) = &mut known {
            let hashed = made.into_iter().filter_map(|(_, key)| ApiKey::new(key.name, &key.sha256, key.scopes));
            hashed.for_each(|key| known.push(key));
        }
        let bans = records.entries(EntryKind::Ban, i64::MAX, MOST).await?;
        let bans = bans.into_iter().map(|ban| Ok((Hotkey::from(ban.name), serde_json::from_str(&ban.record)?)));
        let bans = bans.collect::<Result<_, store::Error>>()?;
        let said = Said { keys: known, bans, is_paused: is_set(PAUSED) };
        *self.said.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(said);
        Ok(())
    }

    /// Makes a key; gives its name in the list and the key itself, which is kept nowhere.
    pub(crate) async fn create_key(
        &self,
        store: &Store,
        name: &str,
        scopes: BTreeSet<Scope>,
    ) -> ApiResult<(String, String)> {
        if !api_keys::is_name(name) {
            let message = format!("name is {name:.80}; expected 1 to 64 of a-z A-Z 0-9 . _ -");
            return Err(ApiError::invalid("invalid_value", message).at("name"));
        }
        if scopes.is_empty() {
            return Err(
                ApiError::invalid("invalid_value", "scopes is empty; expected read, write or both").at("scopes")
            );
        }
        refuse_too_many(&store.records().entries(EntryKind::Key, i64::MAX, MOST).await?)?;
        let (key, sha256) = api_keys::random().map_err(ApiError::internal)?;
        let id = format!("key_{}", ulid::Ulid::new().to_string().to_ascii_lowercase());
        let record = KeyRecord { name: name.to_owned(), sha256, scopes, created_at_ms: clock::now_ms() };
        store.set_entry(entry(EntryKind::Key, &id, &record)?).await?;
        store.set_entry(entry(EntryKind::Setting, ASKS_FOR_KEYS, &true)?).await?;
        self.refresh(store.records()).await?;
        tracing::info!(id, name, "the operator made an API key");
        Ok((id, key))
    }

    /// Ends a key; whether there was one.
    pub(crate) async fn revoke_key(&self, store: &Store, id: &str) -> ApiResult<bool> {
        let is_gone = store.drop_entry(EntryKind::Key, id).await?;
        self.refresh(store.records()).await?;
        tracing::info!(id, is_gone, "the operator revoked an API key");
        Ok(is_gone)
    }

    /// Shuts a hotkey out.
    pub(crate) async fn ban(&self, store: &Store, hotkey: &str, reason: &str) -> ApiResult<()> {
        refuse_too_many(&store.records().entries(EntryKind::Ban, i64::MAX, MOST).await?)?;
        let ban = Ban { reason: reason.to_owned(), since_ms: clock::now_ms() };
        store.set_entry(entry(EntryKind::Ban, hotkey, &ban)?).await?;
        self.refresh(store.records()).await?;
        tracing::info!(hotkey, reason, "the operator shut a hotkey out");
        Ok(())
    }

    /// Lets a hotkey in again; whether it was shut out.
    pub(crate) async fn unban(&self, store: &Store, hotkey: &str) -> ApiResult<bool> {
        let was_out = store.drop_entry(EntryKind::Ban, hotkey).await?;
        self.refresh(store.records()).await?;
        tracing::info!(hotkey, was_out, "the operator let a hotkey in");
        Ok(was_out)
    }

    /// Stops the lending of work, or lets it go on.
    pub(crate) async fn pause(&self, store: &Store, is_paused: bool) -> ApiResult<()> {
        if is_paused {
            store.set_entry(entry(EntryKind::Setting, PAUSED, &true)?).await?;
        } else {
            store.drop_entry(EntryKind::Setting, PAUSED).await?;
        }
        self.refresh(store.records()).await?;
        tracing::info!(is_paused, "the operator turned the lending of work");
        Ok(())
    }
}

/// The keys of the store, by their names in the list.
pub(crate) async fn keys(records: &dyn TaskStore) -> Result<Vec<(String, KeyRecord)>, store::Error> {
    let entries = records.entries(EntryKind::Key, i64::MAX, MOST).await?;
    entries.into_iter().map(|entry| Ok((entry.name, serde_json::from_str(&entry.record)?))).collect()
}

fn entry(kind: EntryKind, name: &str, record: &impl Serialize) -> Result<Entry, store::Error> {
    let record = serde_json::to_string(record)?;
    Ok(Entry { kind, name: name.to_owned(), belongs_to: String::new(), due_ms: 0, version: 1, record })
}

fn refuse_too_many(there: &[Entry]) -> ApiResult<()> {
    if there.len() < MOST {
        return Ok(());
    }
    Err(ApiError::conflict("too_many", format!("there are {MOST} already, which is the most; remove some")))
}
