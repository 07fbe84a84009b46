//! The running proxy: what every route shares.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::auth::{ApiKeys, Replays};
use super::blobs::{Blobs, Bounds};
use super::config::{Config, ms};
use super::door::Door;
use super::error::{ApiError, ApiResult};
use super::homes::Homes;
use super::hub::Hub;
use super::identity::Identity;
use super::lobby::Lobby;
use super::metagraph::{Metagraph, MetagraphFile};
use super::notices::Notices;
use super::operator::Operator;
use super::presence::Presence;
use super::reservations::Reservations;
use super::store::{Mark, Records, Store};
use super::trust::Trusts;
use super::{clock, metrics, webhooks};
use crate::subnet::task::{Member, Task, TaskId, Terms};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The running proxy.
pub(crate) struct App {
    pub(crate) config: Config,
    /// URL under which others reach this proxy.
    pub(crate) public_url: String,
    pub(crate) terms: Terms,
    pub(crate) identity: Identity,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) metagraph: MetagraphFile,
    pub(crate) hub: Arc<Hub>,
    /// Where the board stood in the store's changes when it was read.
    pub(crate) mark: Mark,
    pub(crate) replays: Replays,
    pub(crate) reservations: Reservations,
    pub(crate) presence: Presence,
    pub(crate) lobby: Lobby,
    pub(crate) notices: Notices,
    pub(crate) trusts: Trusts,
    pub(crate) operator: Operator,
    pub(crate) door: Door,
    /// Calls where users say.
    pub(crate) webhooks: reqwest::Client,
    pub(crate) metrics: PrometheusHandle,
    /// Decoding of headers and checks of results that run at the same time.
    pub(crate) cpu: Arc<Semaphore>,
    /// Cancelled when the proxy is to end.
    pub(crate) shutdown: CancellationToken,
    /// Nonces from before this are not accepted, ns.
    pub(crate) started_ns: u64,
}

impl App {
    /// Opens the data directory, the store and the blobs, and reads the open tasks.
    pub(crate) async fn open(config: Config, public_url: String) -> Result<Arc<Self>, Failure> {
        let started_ns = clock::now_ns();
        let identity = Identity::open(&config.data_dir)?;
        let homes = Homes::new(&config)?;
        let records = homes.store().await?;
        let identity = identity.shared_by(records.as_ref()).await?;
        let api_keys = config.api_keys.as_deref().map(ApiKeys::load).transpose()?;
        let operator = Operator::open(api_keys, records.as_ref()).await?;
        let notices = Notices::default();
        notices.refresh(records.as_ref()).await?;
        let trusts = Trusts::default();
        trusts.keep(records.as_ref(), &[]).await?;
        let door = Door::new(&config);
        let blob_store = homes.blobs().await?;
        let (limit_bytes, retention_ms) = (config.max_upload_bytes, ms(config.retention_s));
        let min_free_bytes = config.min_free_bytes;
        let bounds = Bounds { limit_bytes, retention_ms, min_free_bytes };
        let blobs = Blobs::open(blob_store, &config.data_dir, bounds, identity.url_secret)?;
        let hub = Arc::new(Hub::default());
        let terms = config.terms();
        let (store, mark) = Store::open(records, &terms, clock::now_ms(), Arc::clone(&hub)).await?;
        let metagraph = MetagraphFile::new(config.metagraph.clone(), ms(config.metagraph_max_age_s));
        metagraph.refresh();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Arc::new(Self {
            public_url,
            terms,
            identity,
            store,
            blobs,
            metagraph,
            hub,
            mark,
            replays: Replays::default(),
            reservations: Reservations::default(),
            presence: Presence::default(),
            lobby: Lobby::default(),
            notices,
            trusts,
            operator,
            door,
            webhooks: webhooks::client(config.webhook_addresses)?,
            metrics: metrics::recorder()?,
            cpu: Arc::new(Semaphore::new(cores)),
            shutdown: CancellationToken::new(),
            started_ns,
            config,
        }))
    }

    /// The metagraph, if it may be acted upon.
    pub(crate) fn metagraph(&self) -> ApiResult<Arc<Metagraph>> {
        self.metagraph.fresh(clock::now_ms())
    }

    /// Who would judge a task now; nobody while the metagraph is stale.
    pub(crate) fn committee(&self) -> Vec<Member> {
        let mut committee =
            self.metagraph().map(|metagraph| metagraph.committee(self.config.min_stake)).unwrap_or_default();
        let said = self.operator.said();
        committee.retain(|member| !said.bans.contains_key(&member.validator));
        self.trusts.apply(&mut committee);
        committee
    }

    /// The task of this name, whoever it belongs to.
    pub(crate) async fn task(&self, id: &TaskId) -> ApiResult<Arc<Task>> {
        self.store.task(id).await?.ok_or_else(|| no_task(id))
    }

    /// Changes a task by a rule, as [`Store::change`] does; refuses if there is no such task.
    pub(crate) async fn change<T: Send>(
        &self,
        id: &TaskId,
        rule: impl FnMut(&mut Task, &mut Records) -> ApiResult<T> + Send,
    ) -> ApiResult<(Arc<Task>, T)> {
        self.store.change(id, rule).await?.ok_or_else(|| no_task(id))
    }

    /// Runs `work` on a thread for CPU work, no more than the machine has cores at a time.
    pub(crate) async fn on_cpu<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
        let permit = Arc::clone(&self.cpu).acquire_owned().await.map_err(ApiError::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let value = work();
            drop(permit);
            value
        });
        done.await.map_err(ApiError::internal)
    }
}

/// 404 for a task.
pub(crate) fn no_task(id: &TaskId) -> ApiError {
    ApiError::not_found("no_such_task", format!("there is no task {:.80}", id.as_str()))
}
