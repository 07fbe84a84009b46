//! Who is registered: the metagraph file, read again when it changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use serde::Deserialize;

use super::error::{ApiError, ApiResult};
use crate::subnet::task::{Coldkey, Hotkey, Member};
use crate::{Error, Result};

/// Largest metagraph file, bytes: 100 times that of a full subnet.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// One registered neuron.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Neuron {
    pub(crate) uid: u16,
    pub(crate) hotkey: Hotkey,
    pub(crate) coldkey: Coldkey,
    pub(crate) stake: f64,
    pub(crate) validator_permit: bool,
    /// What the chain says of its work, for those who look; a reader may not know it.
    pub(crate) incentive: Option<f64>,
    pub(crate) dividends: Option<f64>,
    pub(crate) emission: Option<f64>,
}

/// The subnet as its chain last said. Fields that the proxy does not need are skipped.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metagraph {
    pub(crate) netuid: u16,
    pub(crate) network: String,
    pub(crate) block: u64,
    pub(crate) synced_at_ms: i64,
    pub(crate) neurons: Vec<Neuron>,
    #[serde(skip)]
    by_hotkey: HashMap<Hotkey, usize>,
}

impl Metagraph {
    fn from_json(json: &[u8]) -> Result<Self, String> {
        let mut metagraph: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if let Some(neuron) = metagraph.neurons.iter().find(|neuron| !neuron.stake.is_finite() || neuron.stake < 0.0) {
            return Err(format!("uid {} has stake {}; expected a number from 0 up", neuron.uid, neuron.stake));
        }
        metagraph.by_hotkey =
            metagraph.neurons.iter().enumerate().map(|(at, neuron)| (neuron.hotkey.clone(), at)).collect();
        Ok(metagraph)
    }

    /// The neuron that signs with this key.
    pub(crate) fn neuron(&self, hotkey: &str) -> Option<&Neuron> {
        self.by_hotkey.get(hotkey).and_then(|&at| self.neurons.get(at))
    }

    /// The validators that judge: a permit, and stake from `min_stake` up.
    pub(crate) fn validators(&self, min_stake: f64) -> impl Iterator<Item = &Neuron> {
        self.neurons.iter().filter(move |neuron| neuron.validator_permit && neuron.stake >= min_stake)
    }

    /// The committee of an evaluation that begins now.
    pub(crate) fn committee(&self, min_stake: f64) -> Vec<Member> {
        self.validators(min_stake).map(|neuron| Member::new(neuron.hotkey.clone(), neuron.stake)).collect()
    }
}

/// The metagraph file and what was last read from it.
pub(crate) struct MetagraphFile {
    path: PathBuf,
    max_age_ms: i64,
    current: RwLock<Option<Arc<Metagraph>>>,
    /// The file's time and length at the last look, so that only a change is read.
    seen: Mutex<Option<(SystemTime, u64)>>,
}

impl MetagraphFile {
    /// Names the file; [`Self::refresh`] reads it.
    pub(crate) fn new(path: PathBuf, max_age_ms: i64) -> Self {
        Self { path, max_age_ms, current: RwLock::new(None), seen: Mutex::new(None) }
    }

    /// Reads the file if it changed. What was read last stays when it cannot be read.
    pub(crate) fn refresh(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(&self.path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
        if stamp.is_none() || *seen == stamp {
            return;
        }
        *seen = stamp;
        match read(&self.path) {
            Ok(metagraph) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Some(Arc::new(metagraph));
            }
            Err(error) => tracing::warn!(%error, "the metagraph file cannot be read; the last one stays in use"),
        }
    }

    /// What was last read, of whatever age.
    pub(crate) fn last(&self) -> Option<Arc<Metagraph>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was last read, if it is young enough to act upon.
    pub(crate) fn fresh(&self, now_ms: i64) -> ApiResult<Arc<Metagraph>> {
        let unready = |message| ApiError::unavailable("metagraph_stale", message);
        let metagraph = self.last().ok_or_else(|| {
            unready("no metagraph has been read yet; the reader beside the proxy writes it".to_owned())
        })?;
        let old_ms = now_ms - metagraph.synced_at_ms;
        if old_ms > self.max_age_ms {
            let (age_s, limit_s) = (old_ms / 1_000, self.max_age_ms / 1_000);
            return Err(unready(format!(
                "the metagraph is {age_s} s old; the limit is {limit_s} s: is its reader running?"
            )));
        }
        Ok(metagraph)
    }
}

fn read(path: &Path) -> Result<Metagraph> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let got_bytes = std::fs::metadata(path).map_err(io)?.len();
    if got_bytes > MAX_FILE_BYTES {
        return Err(Error::TooLarge { what: "the metagraph file", got_bytes, limit_bytes: MAX_FILE_BYTES });
    }
    let json = std::fs::read(path).map_err(io)?;
    Metagraph::from_json(&json).map_err(|reason| Error::InvalidInput(format!("{}: {reason}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(synced_at_ms: i64, hotkeys: &[(&str, f64, bool)]) -> String {
        let neurons: Vec<_> = hotkeys
            .iter()
            .enumerate()
            .map(|(uid, (hotkey, stake, permit))| {
                serde_json::json!({"uid": uid, "hotkey": hotkey, "coldkey": format!("c{uid}"), "stake": stake,
                    "validator_permit": permit, "ip": "0.0.0.0", "port": 0, "incentive": 0.0})
            })
            .collect();
        serde_json::json!({"netuid": 49, "network": "finney", "block": 1, "synced_at_ms": synced_at_ms, "tempo": 360,
            "neurons": neurons})
        .to_string()
    }

    #[test]
    fn the_committee_has_a_permit_and_enough_stake() {
        let json = json(0, &[("a", 10.0, true), ("b", 9.9, true), ("c", 99.0, false)]);
        let metagraph = Metagraph::from_json(json.as_bytes()).unwrap();
        let committee = metagraph.committee(10.0);
        assert_eq!(committee.len(), 1);
        assert_eq!(committee[0].validator, Hotkey::from("a"));
        assert_eq!(metagraph.neuron("c").unwrap().uid, 2);
        assert!(metagraph.neuron("d").is_none());
    }

    #[test]
    fn a_changed_file_is_read_and_a_broken_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metagraph.json");
        let file = MetagraphFile::new(path.clone(), 60_000);
        file.refresh();
        assert!(file.fresh(0).is_err(), "nothing was read yet");
        std::fs::write(&path, json(1_000, &[("a", 1.0, true)])).unwrap();
        file.refresh();
        assert!(file.fresh(61_000).is_ok());
        assert!(file.fresh(61_001).is_err(), "too old");
        std::fs::write(&path, "{").unwrap();
        file.refresh();
        assert!(file.fresh(1_000).unwrap().neuron("a").is_some());
        std::fs::write(&path, json(2_000, &[("a", 1.0, true), ("b", 1.0, true)])).unwrap();
        file.refresh();
        assert!(file.fresh(2_000).unwrap().neuron("b").is_some());
    }
}
