//! Under a service manager, and as the first process of a container.

use super::program::{BINARY, Program, edgespan};
use crate::support::client::{get, patiently};
use crate::support::{PATIENCE, until};
use rustix::process::Signal;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const ANSWER: &str = "\
admin: {address: '127.0.0.1:0'}
listeners: {web: {address: '127.0.0.1:0'}}
routes: [{name: all, match: {prefix: /}, answer: {status: 200, body: ok}}]
";

/// A service manager, as far as a service can tell.
struct Manager {
    told: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

impl Manager {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(length) = socket.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..length]).into_owned();
                heard.lock().unwrap().push(text);
            }
        });
        Self { told, folder }
    }

    fn run(&self, watchdog: Option<&str>) -> Program {
        let call = edgespan(&["run", "--no-watch", "--config"])
            .file("edgespan.yaml", ANSWER)
            .variable("NOTIFY_SOCKET", self.folder.path().join("notify"));
        match watchdog {
            Some(usec) => call.variable("WATCHDOG_USEC", usec),
            None => call,
        }
        .start()
    }

    fn count(&self, word: &str) -> usize {
        let told = self.told.lock().unwrap();
        told.iter()
            .filter(|text| text.lines().any(|line| line == word))
            .count()
    }

    async fn hears(&self, word: &str, times: usize) {
        until(word, || self.count(word) >= times).await;
    }
}

#[tokio::test]
async fn the_service_manager_is_told_of_start_reload_and_end() {
    let manager = Manager::start();
    let program = manager.run(None);
    manager.hears("READY=1", 1).await;
    program.tells("admin listening").await;

    program.signal(Signal::HUP);
    manager.hears("READY=1", 2).await;
    program.signal(Signal::TERM);
    manager.hears("STOPPING=1", 1).await;

    let told = manager.told.lock().unwrap().clone();
    let reloading = told.iter().position(|text| text.contains("RELOADING=1"));
    let reloading = &told[reloading.unwrap()];
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(told.iter().any(|text| text.contains("STATUS=")), "{told:?}");
    assert!(
        !told.iter().any(|text| text.contains("WATCHDOG")),
        "{told:?}"
    );
    assert_eq!(program.ended().await.code, Some(0));
}

#[tokio::test]
async fn the_watchdog_hears_of_it_within_each_of_its_periods() {
    let manager = Manager::start();
    let _program = manager.run(Some("200000"));

    manager.hears("WATCHDOG=1", 5).await;
}

#[tokio::test]
async fn a_socket_of_the_service_manager_is_used_by_its_name() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A client that comes before the service is there.
    let early = std::net::TcpStream::connect(address).unwrap();
    // `sh` gives the socket the number that systemd does, and its own id.
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$@\"";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("edgespan.yaml"), ANSWER).unwrap();
    let mut child = Command::new("sh")
        .args([
            "-c",
            script,
            "sh",
            BINARY,
            "run",
            "--config",
            "edgespan.yaml",
        ])
        .current_dir(folder.path())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    let reply = patiently(get(address, "/", &[])).await;

    drop(early);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(reply.text(), "ok");
}

/// `edgespan` as process 1 of a namespace of its own; None where that is not permitted.
fn as_process_one(folder: &std::path::Path) -> Option<std::process::Child> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command
    };
    let permitted = unshare().arg("true").stderr(Stdio::null()).status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this machine does not permit `unshare --pid`");
        return None;
    }
    std::fs::write(folder.join("edgespan.yaml"), ANSWER).unwrap();
    let started = unshare()
        // Its own children become orphans: `sh` starts one and is replaced by edgespan.
        .args(["sh", "-c", "sleep 0.2 & exec \"$@\"", "sh", BINARY])
        .args(["run", "--log", "json", "--config", "edgespan.yaml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn();
    Some(started.unwrap())
}

/// The process that `unshare` started.
fn child_of(pid: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[tokio::test]
async fn as_process_one_it_ends_by_signal_and_leaves_no_zombies() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut child) = as_process_one(folder.path()) else {
        return;
    };
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    until("edgespan as process 1", || {
        log().contains("admin listening")
    })
    .await;
    let init = child_of(child.id()).unwrap();
    let children = || {
        let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children"));
        children.unwrap_or_default().split_whitespace().count()
    };
    until("the orphan to be seen off", || children() == 0).await;

    let pid = rustix::process::Pid::from_raw(init).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();

    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let ended = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.code(), Some(0), "{}", log());
}
