//! Which clients reach the daemon's port, for each way in which certificates are mounted and named: the real image
//! under docker, with the entrypoint of this checkout, asked by upstream's `buildctl` with and without a certificate. `XTASK_TEST_DIST` names the
//! `dist/<version>` with the image. The table in docs/IMAGE.md is what this test prints.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "reads and writes files, starts processes, reads the environment, asks the clock and prints what it finds"
)]

mod support;

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use oci::docker_archive;
use oci::layout::Image;

use crate::support::{Scratch, skip, text};

/// How many containers run side by side.
const WORKERS: usize = 4;
/// An emulated start takes three seconds on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// A start may hang in qemu-user (docs/TROUBLESHOOTING.md), and is then tried again.
const MOST_STARTS: u32 = 3;

/// The entrypoint starts nothing.
const REFUSED: &str = "does not start";
/// The daemon ends on its own.
const ENDS: &str = "the daemon ends";
/// Everyone who reaches the port is let in.
const OPEN: &str = "open";
/// Encrypted, for every client.
const ENCRYPTED: &str = "TLS for every client";
const MUTUAL: &str = "mutual TLS";

/// The names of authority, certificate and key.
const PEM: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];
const KUBERNETES: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];
const PORT: [&str; 2] = ["--addr", "tcp://0.0.0.0:1234"];
const CA: [&str; 2] = ["--tlscacert", "/own/ca.pem"];
const PAIR: [&str; 4] = ["--tlscert", "/own/cert.pem", "--tlskey", "/own/key.pem"];

type Fill = Box<dyn Fn(&Certificates, &Path) + Send>;

/// One way to start the image.
struct Case {
    what: &'static str,
    expected: &'static str,
    /// Fills the directory `certs`, which is there, in the directory that becomes `/etc/buildkit`.
    fill: Fill,
    arguments: Vec<&'static str>,
    user: Option<&'static str>,
}

fn case(
    what: &'static str,
    expected: &'static str,
    arguments: &[&[&'static str]],
    fill: impl Fn(&Certificates, &Path) + Send + 'static,
) -> Case {
    Case { what, expected, fill: Box::new(fill), arguments: arguments.concat(), user: None }
}

fn cases() -> Vec<Case> {
    let nothing = |_: &Certificates, _: &Path| {};
    let all = |names: [&'static str; 3]| move |of: &Certificates, certs: &Path| of.put(certs, names);
    let without = |names: [&'static str; 3], missing: usize| {
        move |of: &Certificates, certs: &Path| {
            of.put(certs, names);
            fs::remove_file(certs.join(names[missing])).expect("is there");
        }
    };
    let other = |name: &'static str| move |_: &Certificates, certs: &Path| write(&certs.join(name), "x");
    let changed = |change: fn(&Path)| {
        move |of: &Certificates, certs: &Path| {
            of.put(certs, PEM);
            change(certs);
        }
    };
    let remove = |certs: &Path| fs::remove_file(certs.join("key.pem")).expect("is there");
    let mode = |mode: u32| {
        changed(if mode == 0 {
            |certs: &Path| set_mode(&certs.join("key.pem"), 0)
        } else {
            |certs: &Path| set_mode(&certs.join("key.pem"), 0o600)
        })
    };
    vec![
        case("no directory", OPEN, &[], |_, certs| fs::remove_dir(certs).expect("is empty")),
        case("an empty directory", OPEN, &[], nothing),
        case("ca.pem, cert.pem, key.pem", MUTUAL, &[], all(PEM)),
        case("the same, and an address among the arguments", MUTUAL, &[&PORT], all(PEM)),
        case("the same, and `--tlscert=` among the arguments", REFUSED, &[&PORT, &["--tlscert="]], all(PEM)),
        case("the same, and `--tlscert= --tlskey=`", REFUSED, &[&PORT, &["--tlscert=", "--tlskey="]], all(PEM)),
        case("the same, and `--tlscacert=`", REFUSED, &[&PORT, &["--tlscacert="]], all(PEM)),
        case("ca.crt, tls.crt, tls.key", MUTUAL, &[], all(KUBERNETES)),
        case("the same as links, as Kubernetes mounts a secret", MUTUAL, &[], |of, certs| {
            of.put(&certs.join("..2026"), KUBERNETES);
            symlink("..2026", certs.join("..data")).expect("is linked");
            KUBERNETES.iter().for_each(|name| symlink(format!("..data/{name}"), certs.join(name)).expect("is linked"));
        }),
        case("both sets, and another file", MUTUAL, &[], |of, certs| {
            of.put(certs, PEM);
            of.put(certs, KUBERNETES);
            write(&certs.join("notes"), "x");
        }),
        case("no ca.pem", REFUSED, &[], without(PEM, 0)),
        case("no cert.pem", REFUSED, &[&PORT], without(PEM, 1)),
        case("no key.pem", REFUSED, &[], without(PEM, 2)),
        case("no ca.crt", REFUSED, &[], without(KUBERNETES, 0)),
        case("no tls.crt", REFUSED, &[&PORT], without(KUBERNETES, 1)),
        case("no tls.key", REFUSED, &[], without(KUBERNETES, 2)),
        case("ca.pem, tls.crt, tls.key", REFUSED, &[], all(["ca.pem", "tls.crt", "tls.key"])),
        case("ca.crt, cert.pem, key.pem", REFUSED, &[], all(["ca.crt", "cert.pem", "key.pem"])),
        case("other names", REFUSED, &[], other("server.pem")),
        case("a hidden file", REFUSED, &[&PORT], other(".hidden")),
        case("a link to nowhere as the directory", REFUSED, &[], |_, certs| {
            fs::remove_dir(certs).expect("is empty");
            symlink("/nowhere", certs).expect("is linked");
        }),
        case("a file as the directory", REFUSED, &[], |_, certs| {
            fs::remove_dir(certs).expect("is empty");
            write(certs, "x");
        }),
        case("a link to nowhere as key.pem", REFUSED, &[&PORT], move |of, certs| {
            changed(|_| ())(of, certs);
            remove(certs);
            symlink("/nowhere", certs.join("key.pem")).expect("is linked");
        }),
        case("a directory as key.pem", REFUSED, &[], move |of, certs| {
            changed(|_| ())(of, certs);
            remove(certs);
            fs::create_dir(certs.join("key.pem")).expect("is made");
        }),
        Case {
            user: Some("1000:1000"),
            ..case("key.pem of root, mode 600, another user", REFUSED, &[&PORT], mode(0o600))
        },
        case("key.pem of mode 000, root", MUTUAL, &[], mode(0)),
        case("an empty key.pem", ENDS, &[], changed(|certs| write(&certs.join("key.pem"), ""))),
        case("the key of another certificate", ENDS, &[], |of, certs| {
            of.put(certs, PEM);
            fs::copy(of.folder.join("client/key.pem"), certs.join("key.pem")).expect("is copied");
        }),
        case("ca.pem without a certificate in it", ENDS, &[], changed(|certs| write(&certs.join("ca.pem"), "x"))),
        case("`--tlscacert` alone", REFUSED, &[&PORT, &CA], nothing),
        case("`--tlscacert` alone, and the three files", REFUSED, &[&PORT, &CA], all(PEM)),
        case("`--tlscert` and `--tlskey`", ENCRYPTED, &[&PORT, &PAIR], nothing),
        case("`--tlscert` and `--tlskey`, and the three files", REFUSED, &[&PORT, &PAIR], all(PEM)),
        case("all three flags", MUTUAL, &[&PORT, &CA, &PAIR], nothing),
        case("all three flags, and other names", MUTUAL, &[&PORT, &CA, &PAIR], other("server.pem")),
        case("other names, and `--` before all three flags", REFUSED, &[&PORT, &["--"], &CA, &PAIR], other("x")),
    ]
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("is there");
}

/// An authority with a certificate of a server and one of a client.
struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    fn new(folder: PathBuf) -> Self {
        let openssl = |words: &str| {
            let output = Command::new("openssl").args(words.split(' ')).current_dir(&folder).output();
            text(&output.expect("openssl starts"));
        };
        fs::create_dir_all(&folder).expect("is made");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem"));
        for name in ["server", "client"] {
            fs::create_dir(folder.join(name)).expect("is made");
            openssl(&format!("req {key} -subj /CN={name} -keyout {name}/key.pem -out {name}.csr"));
            write(
                &folder.join(format!("{name}.ext")),
                &format!("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={name}Auth\n"),
            );
            let signed = "-CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2";
            openssl(&format!("x509 -req -in {name}.csr {signed} -extfile {name}.ext -out {name}/cert.pem"));
            fs::copy(folder.join("ca.pem"), folder.join(name).join("ca.pem")).expect("is copied");
            set_mode(&folder.join(name).join("key.pem"), 0o644);
        }
        Self { folder }
    }

    /// Puts authority, certificate and key of the server into a directory under these names.
    fn put(&self, folder: &Path, names: [&str; 3]) {
        fs::create_dir_all(folder).expect("is made");
        for (from, to) in PEM.into_iter().zip(names) {
            fs::copy(self.folder.join("server").join(from), folder.join(to)).expect("is copied");
        }
    }
}

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().expect("docker starts")
}

/// Removed on drop, as the image is.
struct InEngine<'a>(&'a [&'a str], String);

impl Drop for InEngine<'_> {
    fn drop(&mut self) {
        docker(&[self.0, &[&self.1]].concat());
    }
}

/// Starts the image in this way, and returns who is let in.
fn outcome(image: &str, certificates: &Certificates, scratch: &Path, number: usize, case: &Case) -> String {
    let etc = scratch.join(number.to_string());
    fs::create_dir_all(etc.join("certs")).expect("is made");
    (case.fill)(certificates, &etc.join("certs"));
    let mount = |from: &Path, to: &str| format!("--volume={}:{to}:ro", from.display());
    let mounts = [
        mount(&etc, "/etc/buildkit"),
        mount(&certificates.folder.join("server"), "/own"),
        mount(&certificates.folder.join("client"), "/client"),
        mount(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/entrypoint"), "/usr/bin/buildkitd-entrypoint"),
    ];
    for _ in 0..MOST_STARTS {
        let name = format!("xtask-tls-{}-{number}", std::process::id());
        let container = InEngine(&["rm", "--force", "--volumes"], name.clone());
        // The port is asked inside the container: nobody else is to reach it.
        let mut run = Command::new("docker");
        run.args(["run", "--detach", "--privileged", "--network=none", "--pull=never", "--platform=linux/riscv64"]);
        run.args(["--name", &name]).args(&mounts).args(case.user.map(|user| format!("--user={user}")));
        text(&run.arg(image).args(&case.arguments).output().expect("docker starts"));
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if docker(&["exec", &name, "buildctl", "debug", "workers"]).status.success() {
                return who_is_let_in(&name).to_owned();
            }
            if text(&docker(&["inspect", "--format={{.State.Running}}", &name])) == "false" {
                let logs = docker(&["logs", &name]);
                let said = String::from_utf8_lossy(&logs.stdout).into_owned() + &String::from_utf8_lossy(&logs.stderr);
                println!("  {}: {}", case.what, said.lines().last().unwrap_or_default());
                return if said.contains("nothing is started") { REFUSED } else { ENDS }.to_owned();
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        drop(container);
    }
    "no answer".to_owned()
}

fn who_is_let_in(container: &str) -> &'static str {
    let answers = |options: &[&str]| {
        let fixed = ["exec", container, "buildctl", "--addr", "tcp://127.0.0.1:1234", "--timeout", "20"];
        docker(&[&fixed, options, &["debug", "workers"]].concat()).status.success()
    };
    let authority = ["--tlscacert", "/client/ca.pem", "--tlsservername", "localhost"];
    let pair = ["--tlscert", "/client/cert.pem", "--tlskey", "/client/key.pem"];
    // That nobody without a certificate is let in says something only if somebody with one is.
    match (answers(&[]), answers(&authority), answers(&[&authority[..], &pair].concat())) {
        (true, false, false) => OPEN,
        (false, true, true) => ENCRYPTED,
        (false, false, true) => MUTUAL,
        _ => "something else",
    }
}

#[test]
fn with_certificates_there_is_mutual_tls_or_no_daemon() {
    let Some(dist) = std::env::var_os("XTASK_TEST_DIST").map(PathBuf::from) else {
        return skip("tls", "XTASK_TEST_DIST names no dist/<version> with an image (it takes minutes, and docker)");
    };
    if !Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success()) {
        return skip("tls", "no docker answers here");
    }
    let scratch = Scratch::new("tls");
    let (name, archive) = (format!("localhost/xtask-tls:{}", std::process::id()), scratch.path().join("image.tar"));
    let layout = dist.join("image");
    let image = Image::open(Utf8Path::from_path(&layout).expect("UTF-8")).expect("an image");
    let archive = Utf8Path::from_path(&archive).expect("UTF-8");
    docker_archive::write(&image, std::slice::from_ref(&name), archive).expect("is written");
    let image = InEngine(&["image", "rm", "--force"], name);
    text(&docker(&["load", "--input", archive.as_str()]));
    let certificates = Certificates::new(scratch.path().join("certificates"));

    let waiting: Mutex<VecDeque<_>> = Mutex::new(cases().into_iter().enumerate().collect());
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let next = || waiting.lock().expect("nobody panicked").pop_front();
                while let Some((number, case)) = next() {
                    let outcome = outcome(&image.1, &certificates, scratch.path(), number, &case);
                    found.lock().expect("nobody panicked").push((number, case, outcome));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("nobody panicked");
    found.sort_by_key(|(number, ..)| *number);
    found.iter().for_each(|(_, case, outcome)| println!("| {} | {outcome} |", case.what));
    for (_, case, outcome) in &found {
        assert_eq!(outcome, case.expected, "{}", case.what);
    }
}
