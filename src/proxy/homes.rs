//! Where the data is: the store and the blobs that the configuration names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::blobs::{BlobStore, LocalBlobs};
use super::config::Config;
use super::store::TaskStore;
use super::store::sqlite::{self, Sqlite};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where tasks and what belongs to them are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreHome {
    /// A file of this machine's, used by this proxy alone.
    Sqlite(PathBuf),
    /// A project of Google Cloud's, shared by its proxies.
    Firestore(String),
}

impl FromStr for StoreHome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("firestore", project)) if is_word(project) => Ok(Self::Firestore(project.to_owned())),
            _ => Err("expected sqlite:PATH or firestore:PROJECT".to_owned()),
        }
    }
}

/// Where blobs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlobsHome {
    /// A directory of this machine's.
    Directory(PathBuf),
    /// A bucket of Google Cloud's or Firebase's.
    Bucket(String),
}

impl FromStr for BlobsHome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(bucket) = text.strip_prefix("gs://").filter(|bucket| is_word(bucket)) {
            return Ok(Self::Bucket(bucket.to_owned()));
        }
        match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Ok(Self::Directory(PathBuf::from(path))),
            _ => Err("expected file:DIR or gs://BUCKET".to_owned()),
        }
    }
}

/// What names of projects and buckets are made of.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

impl fmt::Display for StoreHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Firestore(project) => write!(f, "firestore:{project}"),
        }
    }
}

impl fmt::Display for BlobsHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "file:{}", path.display()),
            Self::Bucket(name) => write!(f, "gs://{name}"),
        }
    }
}

/// The homes that a configuration names, opened when they are asked for.
pub(crate) struct Homes<'a> {
    config: &'a Config,
    #[cfg(feature = "firebase")]
    cloud: cloud::Cloud,
}

impl<'a> Homes<'a> {
    /// Reads the credentials, where a home needs any.
    pub(crate) fn new(config: &'a Config) -> Result<Self, Failure> {
        #[cfg(feature = "firebase")]
        return Ok(Self { config, cloud: cloud::Cloud::new(config)? });
        #[cfg(not(feature = "firebase"))]
        Ok(Self { config })
    }

    /// Opens the store, if this build knows its kind and reads its version.
    pub(crate) async fn store(&self) -> Result<Arc<dyn TaskStore>, Failure> {
        match self.config.store_home() {
            StoreHome::Sqlite(path) => {
                let opened = tokio::task::spawn_blocking(move || Sqlite::open(&path)).await?;
                Ok(Arc::new(opened?))
            }
            #[cfg(feature = "firebase")]
            StoreHome::Firestore(project) => Ok(Arc::new(self.cloud.firestore(&project, self.config).await?)),
            #[cfg(not(feature = "firebase"))]
            StoreHome::Firestore(_) => Err(not_built("--store firestore:")),
        }
    }

    /// Opens the blobs.
    pub(crate) async fn blobs(&self) -> Result<Arc<dyn BlobStore>, Failure> {
        match self.config.blobs_home() {
            BlobsHome::Directory(dir) => Ok(Arc::new(LocalBlobs::open(&dir)?)),
            #[cfg(feature = "firebase")]
            BlobsHome::Bucket(name) => Ok(Arc::new(self.cloud.bucket(&name).await?)),
            #[cfg(not(feature = "firebase"))]
            BlobsHome::Bucket(_) => Err(not_built("--blobs gs://")),
        }
    }

    /// Whether the store could be opened, without making anything.
    pub(crate) async fn check_store(&self) -> Result<(), Failure> {
        match self.config.store_home() {
            StoreHome::Sqlite(path) => Ok(tokio::task::spawn_blocking(move || sqlite::check(&path)).await??),
            #[cfg(feature = "firebase")]
            StoreHome::Firestore(project) => Ok(self.cloud.firestore(&project, self.config).await.map(|_| ())?),
            #[cfg(not(feature = "firebase"))]
            StoreHome::Firestore(_) => Err(not_built("--store firestore:")),
        }
    }

    /// Whether the blobs could be opened, without making anything.
    pub(crate) async fn check_blobs(&self) -> Result<(), Failure> {
        match self.config.blobs_home() {
            BlobsHome::Directory(dir) if dir.exists() && !dir.is_dir() => {
                Err(format!("--blobs file:{}: is no directory", dir.display()).into())
            }
            BlobsHome::Directory(_) => Ok(()),
            BlobsHome::Bucket(_) => self.blobs().await.map(|_| ()),
        }
    }

    /// Brings the store to this build's version; the versions before and after.
    pub(crate) async fn migrate(&self) -> Result<(i64, i64), Failure> {
        match self.config.store_home() {
            StoreHome::Sqlite(path) => Ok(tokio::task::spawn_blocking(move || sqlite::migrate(&path)).await??),
            #[cfg(feature = "firebase")]
            StoreHome::Firestore(project) => Ok(self.cloud.migrate(&project, self.config).await?),
            #[cfg(not(feature = "firebase"))]
            StoreHome::Firestore(_) => Err(not_built("--store firestore:")),
        }
    }
}

#[cfg(not(feature = "firebase"))]
fn not_built(flag: &str) -> Failure {
    format!("{flag} needs a build with the feature firebase").into()
}

#[cfg(feature = "firebase")]
mod cloud {
    use std::sync::Arc;

    use super::{BlobsHome, Config, Failure, StoreHome};
    use crate::proxy::blobs::Bucket;
    use crate::proxy::config::ms;
    use crate::proxy::google::{Caller, Google, ServiceAccount};
    use crate::proxy::store::firestore::Firestore;

    /// Where Firestore is instead of at Google, `host:port`; Google's own libraries read the same variable.
    const FIRESTORE_EMULATOR: &str = "FIRESTORE_EMULATOR_HOST";

    /// Where Cloud Storage is instead of at Google, a URL.
    const STORAGE_EMULATOR: &str = "STORAGE_EMULATOR_HOST";

    /// Clients of Google's, where a home needs one.
    pub(super) struct Cloud {
        firestore: Option<Arc<Google>>,
        storage: Option<Arc<Google>>,
    }

    impl Cloud {
        pub(super) fn new(config: &Config) -> Result<Self, Failure> {
            let account = config.credentials.as_deref().map(ServiceAccount::load).transpose()?.map(Box::new);
            let mut shared: Option<Arc<Google>> = None;
            let mut account = account;
            let mut client = |flag: &str, emulator: Option<String>| -> Result<Arc<Google>, Failure> {
                if emulator.is_some() {
                    return Ok(Arc::new(Google::new(Caller::Emulator)?));
                }
                if let Some(google) = &shared {
                    return Ok(Arc::clone(google));
                }
                let account = account.take().ok_or_else(|| -> Failure {
                    format!("{flag} needs --credentials FILE, the JSON key of a service account").into()
                })?;
                let google = Arc::new(Google::new(Caller::Account(account))?);
                shared = Some(Arc::clone(&google));
                Ok(google)
            };
            let firestore = match config.store_home() {
                StoreHome::Firestore(_) => Some(client("--store firestore:", emulator(FIRESTORE_EMULATOR))?),
                StoreHome::Sqlite(_) => None,
            };
            let storage = match config.blobs_home() {
                BlobsHome::Bucket(_) => Some(client("--blobs gs://", emulator(STORAGE_EMULATOR))?),
                BlobsHome::Directory(_) => None,
            };
            Ok(Self { firestore, storage })
        }

        pub(super) async fn firestore(&self, project: &str, config: &Config) -> Result<Firestore, Failure> {
            let store = self.database(project, config)?;
            store.open().await?;
            Ok(store)
        }

        pub(super) async fn migrate(&self, project: &str, config: &Config) -> Result<(i64, i64), Failure> {
            let store = self.database(project, config)?;
            let version = store.version().await?;
            store.open().await?;
            Ok((version, version))
        }

        pub(super) async fn bucket(&self, name: &str) -> Result<Bucket, Failure> {
            let google = self.storage.clone().ok_or("no client for the bucket")?;
            let bucket = Bucket::new(google, name, emulator(STORAGE_EMULATOR).as_deref());
            bucket.check().await?;
            Ok(bucket)
        }

        fn database(&self, project: &str, config: &Config) -> Result<Firestore, Failure> {
            let google = self.firestore.clone().ok_or("no client for the project")?;
            Ok(Firestore::new(google, project, emulator(FIRESTORE_EMULATOR).as_deref(), ms(config.retention_s)))
        }
    }

    fn emulator(variable: &str) -> Option<String> {
        std::env::var(variable).ok().filter(|host| !host.is_empty())
    }
}
