//! At the door: who asks too often is told when to come back, and what a key may not do is refused.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};

use super::app::App;
use super::auth::Scope;
use super::config::Config;
use super::error::{ApiError, ApiResult};
use super::gcra::Limiter;

/// Networks of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Networks(Vec<(IpAddr, u32)>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |part: &str| {
            let (address, bits) = part.split_once('/').map_or((part, None), |(address, bits)| (address, Some(bits)));
            let address: IpAddr = address.parse().ok()?;
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
            (bits <= all).then_some((address, bits))
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let expected = |part| format!("{part:.60} is no network; expected some such as 10.0.0.0/8,::1");
        parts.map(|part| network(part).ok_or_else(|| expected(part))).collect::<Result<_, _>>().map(Self)
    }
}

impl Networks {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                network.to_bits().checked_shr(32 - bits) == address.to_bits().checked_shr(32 - bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                network.to_bits().checked_shr(128 - bits) == address.to_bits().checked_shr(128 - bits)
            }
            _ => false,
        })
    }
}

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The limiters.
pub(crate) struct Door {
    keys: Option<Limiter>,
    hotkeys: Option<Limiter>,
    addresses: Option<Limiter>,
    trusted: Networks,
}

impl Door {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            keys: Limiter::new(config.rate_per_key),
            hotkeys: Limiter::new(config.rate_per_hotkey),
            addresses: Limiter::new(config.rate_per_address),
            trusted: config.trusted_proxies.clone(),
        }
    }

    /// Counts a request of a hotkey whose signature holds.
    pub(crate) fn ask_hotkey(&self, hotkey: &str) -> ApiResult<()> {
        ask(self.hotkeys.as_ref(), hotkey, "hotkey")
    }

    /// Who asks, as far as addresses tell: the last that none of our own wrote into `X-Forwarded-For`.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.trusted.contain(peer) {
            return Some(peer);
        }
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let mut hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        while let Some(hop) = hops.pop() {
            // What is no address says nothing.
            let address = hop.parse::<IpAddr>().map_or(peer, |address| address.to_canonical());
            if !self.trusted.contain(address) {
                return Some(address);
            }
        }
        None
    }
}

fn ask(limiter: Option<&Limiter>, name: &str, what: &str) -> ApiResult<()> {
    let Some(Err(wait)) = limiter.map(|limiter| limiter.ask(name)) else { return Ok(()) };
    metrics::counter!("violet_rate_limited_total", "by" => what.to_owned()).increment(1);
    let seconds = wait.max(Duration::from_secs(1)).as_secs() + u64::from(wait.subsec_nanos() > 0 && wait.as_secs() > 0);
    let message =
        format!("too many requests of this {what}; try again in {seconds} s (--rate-per-{what} of the proxy)");
    Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after_s(seconds))
}

/// Refuses who may not come in.
pub(crate) fn check(app: &App, request: &Request) -> ApiResult<()> {
    let path = request.uri().path();
    // For those who watch the proxy, as often as they like.
    if ["/healthz", "/readyz", "/metrics"].contains(&path) {
        return Ok(());
    }
    let peer = request.extensions().get::<Peer>();
    if let Some(address) = peer.and_then(|peer| app.door.address(peer.0, request.headers())) {
        ask(app.door.addresses.as_ref(), &network_of(address), "address")?;
    }
    let is_users = ["/v1/tasks", "/v1/uploads", "/v1/audio", "/v1/models"].iter().any(|route| path.starts_with(route));
    let said = app.operator.said();
    if let Some(keys) = said.keys.as_ref().filter(|_| is_users) {
        let key = keys.find(request.headers())?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let scope = if is_read { Scope::Read } else { Scope::Write };
        if !key.scopes.contains(&scope) {
            let message = format!("this API key may not {}; ask the proxy's operator for one that may", scope.as_str());
            return Err(ApiError::forbidden("scope_missing", message).at("authorization"));
        }
        ask(app.door.keys.as_ref(), &key.name, "key")?;
    }
    Ok(())
}

/// What one customer of a provider usually has: an IPv4 address, or an IPv6 network of 64 bits.
fn network_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x}", address.to_bits() >> 64),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn door(trusted: &str) -> Door {
        Door { keys: None, hotkeys: None, addresses: None, trusted: trusted.parse().unwrap() }
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.7,2001:db8::/32,0.0.0.0/32".parse().unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), expected, "{address}");
        }
        assert!("0.0.0.0/0".parse::<Networks>().unwrap().contain("203.0.113.1".parse().unwrap()));
        assert!("".parse::<Networks>().unwrap().0.is_empty());
        for wrong in ["10.0.0.0/33", "10.0.0", "::1/129", "a", "10.0.0.0/x"] {
            assert!(wrong.parse::<Networks>().unwrap_err().contains("is no network"), "{wrong}");
        }
    }

    #[test]
    fn a_forwarded_address_counts_only_where_a_trusted_proxy_wrote_it() {
        let forwarded = |lines: &[&'static str]| {
            let lines =
                lines.iter().map(|&line| (HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static(line)));
            lines.collect::<HeaderMap>()
        };
        let address = |door: &Door, peer: &str, lines: &[&'static str]| {
            door.address(peer.parse().unwrap(), &forwarded(lines)).map(|address| address.to_string())
        };
        let one = door("127.0.0.0/8,10.0.0.0/8");
        assert_eq!(address(&one, "203.0.113.9", &["198.51.100.1"]).as_deref(), Some("203.0.113.9"), "nobody's word");
        assert_eq!(address(&one, "127.0.0.1", &["198.51.100.1"]).as_deref(), Some("198.51.100.1"));
        assert_eq!(address(&one, "127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.3"]).as_deref(), Some("198.51.100.1"));
        assert_eq!(address(&one, "127.0.0.1", &["1.1.1.1", "198.51.100.2"]).as_deref(), Some("198.51.100.2"));
        assert_eq!(address(&one, "127.0.0.1", &[]), None, "a program of this machine");
        assert_eq!(address(&one, "::ffff:203.0.113.9", &[]).as_deref(), Some("203.0.113.9"));
        assert_eq!(network_of("2001:db8:0:1:aaaa::1".parse().unwrap()), network_of("2001:db8:0:1::2".parse().unwrap()));
        assert_ne!(network_of("2001:db8:0:1::1".parse().unwrap()), network_of("2001:db8:0:2::1".parse().unwrap()));
    }
}
