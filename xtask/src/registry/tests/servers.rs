//! The servers of the tests: docker-registry, and a proxy that breaks connections to it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes files, starts processes, opens sockets and reads the environment"
)]

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use crate::registry::tests::tokens::TokenService;

/// The user with full access, at each of these servers.
pub const USER: (&str, &str) = ("tester", "correct horse");
/// The same as `htpasswd -B` writes it: docker-registry accepts bcrypt only.
const HTPASSWD: &str = "tester:$2y$05$WLnmd./k6NxGx89HdItdreK02W84ktHZVKhZU2/G37oAowtye/dGm\n";

/// A directory of one test, removed at its end.
pub struct Scratch(pub Utf8PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xtask-registry-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Utf8PathBuf::try_from(std::env::temp_dir().join(name)).expect("UTF-8");
        std::fs::create_dir_all(&path).expect("is made");
        Self(path)
    }

    pub fn file(&self, name: &str, content: &[u8]) -> Utf8PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("is written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a tool, or returns `None` if it is not installed.
pub fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    Some(String::from_utf8(output.stdout).expect("is text"))
}

/// A docker-registry that ends with the test.
pub struct DockerRegistry {
    pub address: String,
    child: Child,
    folder: Scratch,
}

impl DockerRegistry {
    /// Starts one with `auth` in its configuration, in JSON, which is YAML. `None` if it is not installed.
    pub fn start(auth: &Value) -> Option<Self> {
        let folder = Scratch::new();
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("has one").port();
        let address = format!("127.0.0.1:{port}");
        let configuration = json!({
            "version": "0.1",
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.0.join("blobs") } },
            "http": { "addr": address },
            "auth": auth,
        });
        let file = folder.file("config.yml", configuration.to_string().as_bytes());
        let mut command = Command::new("docker-registry");
        command.args(["serve", file.as_str()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        for _ in 0..200 {
            if TcpStream::connect(&address).is_ok() {
                return Some(Self { address, child, folder });
            }
            assert_eq!(child.try_wait().expect("is known"), None, "docker-registry ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not answer");
    }

    /// One to which everyone may push.
    pub fn open() -> Option<Self> {
        Self::start(&json!({}))
    }

    /// The file in which it stores a blob. Source: distribution, `registry/storage/paths.go`.
    pub fn blob(&self, digest: &oci::digest::Digest) -> Utf8PathBuf {
        let hex = digest.sha256().to_string();
        self.folder.0.join(format!("blobs/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// One that asks for user and password.
    pub fn with_password(scratch: &Scratch) -> Option<Self> {
        Self::start(&json!({ "htpasswd": { "realm": "test", "path": scratch.file("htpasswd", HTPASSWD.as_bytes()) } }))
    }

    /// One that accepts the tokens of that service.
    pub fn with_tokens(service: &TokenService) -> Option<Self> {
        Self::start(&json!({ "token": {
            "realm": format!("http://{}/token", service.address()),
            "service": "test-registry",
            "issuer": "test issuer",
            "rootcertbundle": service.certificate,
        }}))
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy of `server` that breaks the first `breaks` connections that send more than `most_bytes` to it.
/// Returns its address and the number of breaks. It forwards bytes to a real registry, which a scripted
/// server cannot do.
pub fn breaking(server: &str, most_bytes: u64, breaks: u32) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("has one").to_string();
    let (server, broken) = (server.to_owned(), Arc::new(AtomicU32::new(0)));
    let count = broken.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&server).expect("the server is there");
            let (mut from, mut to) =
                (server.try_clone().expect("two handles"), client.try_clone().expect("two handles"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let count = count.clone();
            std::thread::spawn(move || {
                let most = if count.load(Ordering::Relaxed) < breaks { most_bytes } else { u64::MAX };
                if std::io::copy(&mut (&client).take(most), &mut &server).is_ok_and(|copied| copied == most) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                for stream in [&client, &server] {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    });
    (address, broken)
}
