//! The program in a real terminal (tmux), driven by keys as a person would.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const BREATH: Duration = Duration::from_millis(50);

/// A tmux server of its own, with one terminal: a shell as people have it.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn new(folder: &Path, columns: u16, rows: u16) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let socket = folder.join(format!("tmux-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let terminal = Self { socket };
        let path = std::env::var("PATH").unwrap();
        let shell =
            format!("env -i PATH={path} TERM=tmux-256color LANG=C.UTF-8 PS1='ready$ ' sh -i");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &shell]);
        terminal.shows("ready$");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let out = Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(arguments)
            .output()
            .unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Whether the alternate screen is on and whether the cursor is visible.
    fn flags(&self) -> String {
        self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]).trim().to_owned()
    }

    fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn resizes(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    fn runs(&self, line: &str) {
        self.types(line);
        self.press("Enter");
    }

    /// Waits until `found` has something to say about the screen.
    #[track_caller]
    fn until<T>(&self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let limit = until();
        loop {
            let screen = self.screen();
            if let Some(found) = found(&screen) {
                return found;
            }
            assert!(!limit.is_over(), "{what:?} never came; on the screen:\n{screen}");
            sleep(BREATH);
        }
    }

    #[track_caller]
    fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text).then(|| screen.to_owned()))
    }

    /// Waits until keys answer the question about `text`.
    #[track_caller]
    fn asks(&self, text: &str) -> String {
        self.until(text, |screen| {
            (screen.contains(text) && screen.contains("Enter does nothing"))
                .then(|| screen.to_owned())
        })
    }

    /// Waits until the shell has the terminal back, in the state it was in before.
    #[track_caller]
    fn is_given_back(&self, modes: &str) {
        self.until("the shell", |_| (self.flags() == "0 1").then_some(()));
        assert_eq!(self.modes(), modes);
    }

    /// The output of `stty -g`.
    #[track_caller]
    fn modes(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let file = self.socket.with_extension(format!("{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        self.runs(&format!("stty -g > {}", file.display()));
        self.until("stty", |_| std::fs::read_to_string(&file).ok().filter(|m| m.ends_with('\n')))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

struct Limit(Instant);

impl Limit {
    #[allow(clippy::disallowed_methods, reason = "a test waits for another program")]
    fn is_over(&self) -> bool {
        self.0 < Instant::now()
    }
}

#[allow(clippy::disallowed_methods, reason = "a test waits for another program")]
fn until() -> Limit {
    Limit(Instant::now() + PATIENCE)
}

/// A device, and how to run it.
struct Device {
    home: PathBuf,
    key: PathBuf,
}

impl Device {
    fn new(folder: &Path, name: &str) -> Self {
        let key = folder.join(format!("{name}.key"));
        let made = Command::new("age-keygen").arg("-o").arg(&key).output().unwrap();
        assert!(made.status.success());
        let device = Self { home: folder.join(name), key };
        let init = device.command("init");
        let made = Command::new("sh").args(["-c", &format!("{init} --name {name}")]).output();
        assert!(made.unwrap().status.success());
        device
    }

    /// Knows `peer` by its fingerprint.
    fn pins(&self, peer: &Self, name: &str) {
        let print = format!(
            "$({} | sed -n 's/.*\"fingerprint\":\"\\([0-9a-f]*\\)\".*/\\1/p')",
            peer.command("--json id")
        );
        let add = self.command(&format!("peers add {name} --fingerprint {print}"));
        assert!(Command::new("sh").args(["-c", &add]).output().unwrap().status.success());
    }

    fn command(&self, line: &str) -> String {
        let program = env!("CARGO_BIN_EXE_cosign");
        let (home, key) = (self.home.display(), self.key.display());
        format!("COSIGN_HOME={home} COSIGN_IDENTITY={key} {program} {line}")
    }
}

/// Starts `cosign listen` and gives its address.
fn listen(terminal: &Terminal, device: &Device) -> String {
    terminal.runs(&device.command("listen --port 0 --bind 127.0.0.1"));
    let port = terminal.until("a port", |screen| {
        let (_, rest) = screen.split_once("  port ")?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    assert_eq!(terminal.flags(), "1 0");
    format!("127.0.0.1:{port}")
}

/// The digits on the screen.
#[track_caller]
fn code(screen: &str) -> String {
    let (_, rest) = screen.split_once("  code         ").unwrap();
    rest.get(..7).unwrap().to_owned()
}

/// Two people pair, make a key and sign, each at a screen of this size.
fn whole_story(columns: u16, rows: u16) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (alice, bob) = (Device::new(folder, "alice"), Device::new(folder, "bob"));
    let (at_alice, at_bob) =
        (Terminal::new(folder, columns, rows), Terminal::new(folder, columns, rows));
    let modes = at_alice.modes();
    let empty = listen(&at_bob, &bob);
    at_bob.shows("no device yet");

    at_alice.runs(&alice.command(&format!("pair --peer {empty}")));
    let (here, there) = (at_alice.asks("Compare"), at_bob.asks("Compare"));
    for (screen, other) in [(&here, "bob"), (&there, "alice")] {
        assert!(screen.contains(&format!("the other    \"{other}\"")), "{screen}");
        assert!(screen.contains("left") && screen.contains("██████"), "{screen}");
    }
    assert_eq!(code(&here), code(&there));
    for terminal in [&at_alice, &at_bob] {
        // Neither Enter nor a pasted yes is an answer.
        terminal.press("Enter");
        terminal.tmux(&["set-buffer", "y"]);
        terminal.tmux(&["paste-buffer", "-p"]);
        terminal.asks("Compare");
    }
    at_alice.press("y");
    at_bob.press("y");
    at_alice.shows("✓ paired with \"bob\"");
    at_alice.press("Enter");
    at_alice.is_given_back(&modes);
    at_bob.shows("✓ paired with \"alice\"");
    at_bob.press("Enter");
    at_bob.shows("\"alice\"");

    at_alice.runs(&alice.command(&format!("keygen --key vault --with bob --peer {empty}")));
    at_bob.shows("request to make a key");
    let made = read(&at_bob);
    at_bob.runs(&word(&made));
    let made = at_alice.shows("confirmed    by everybody");
    assert!(made.contains("✓ key \"vault\"") && made.contains("next: cosign sign --key vault"));
    at_alice.press("Enter");
    at_alice.is_given_back(&modes);
    at_alice.shows("all 2 devices are needed");

    let file = folder.join("release.tar");
    std::fs::write(&file, "a release").unwrap();
    let result = folder.join("result.json");
    let sign = format!(
        "sign --key vault --file {} --purpose 'release 1.2' --peer {empty}",
        file.display()
    );
    // Standard output is a file, so the program does not wait for a key.
    at_alice.runs(&format!("clear; {} > {}", alice.command(&sign), result.display()));
    at_bob.shows("request to sign");
    let seen = read(&at_bob);
    for fact in [
        "\"vault\", 2 of 2",
        "here: sha256 of a file of 9 bytes",
        "\"release.tar\"",
        "content      \"a release\"",
        "\"release 1.2\"",
        "requester    \"alice\"",
        "receives it  \"alice\"",
        "time left",
    ] {
        assert!(seen.contains(fact), "{fact}\n{seen}");
    }
    if (columns, rows) != (60, 18) {
        assert!(!seen.contains("more line"), "something is cut:\n{seen}");
    }
    // Neither Enter, nor a habit, nor what is pasted is an answer.
    let typed = word(&seen);
    at_bob.press("Enter");
    at_bob.press("y");
    at_bob.tmux(&["set-buffer", &format!("{typed}\n")]);
    at_bob.tmux(&["paste-buffer", "-p"]);
    at_bob.shows(&format!("and Enter [{}]", " ".repeat(typed.len())));
    at_bob.runs(&typed);
    at_bob.shows("✓ signed");
    at_alice.shows("signed ");
    at_alice.is_given_back(&modes);
    let der = std::fs::read_to_string(&result).unwrap();
    let verify = alice.command(&format!("verify --key vault --file {} {der}", file.display()));
    assert!(Command::new("sh").args(["-c", &verify]).status().unwrap().success());

    // A no is a no.
    at_alice.runs(&format!("clear; {}", alice.command(&sign)));
    at_bob.shows("request to sign");
    read(&at_bob);
    at_bob.press("n");
    at_alice.shows("cosign: error:");
    at_alice.is_given_back(&modes);
    at_bob.shows("✗ sign ended");
    at_bob.press("Enter");
    at_bob.press("C-c");
    at_bob.is_given_back(&modes);
}

/// The word that approves the request on the screen.
#[track_caller]
fn word(screen: &str) -> String {
    let (before, _) = screen.rsplit_once(" and Enter [").unwrap();
    before.rsplit(' ').next().unwrap().to_owned()
}

/// Reads a request to its end; everything that was on the screen meanwhile.
#[track_caller]
fn read(terminal: &Terminal) -> String {
    let mut all = String::new();
    loop {
        let screen = terminal.until("keys that answer", |screen| {
            let ready = screen.contains(" and Enter [") || screen.contains("more line");
            ready.then(|| screen.to_owned())
        });
        all += &screen;
        if screen.contains(" and Enter [") {
            return all;
        }
        terminal.press("Down");
        sleep(BREATH);
    }
}

#[test]
fn two_people_pair_make_a_key_and_sign_at_80_by_24() {
    whole_story(80, 24);
}

#[test]
fn two_people_pair_make_a_key_and_sign_at_200_by_60() {
    whole_story(200, 60);
}

#[test]
fn two_people_pair_make_a_key_and_sign_at_60_by_18() {
    whole_story(60, 18);
}

#[test]
fn three_people_pair_a_group_with_one_key_each() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let devices = ["alice", "bob", "carol"].map(|name| Device::new(folder, name));
    let terminals =
        [(80, 24), (60, 18), (200, 60)].map(|(columns, rows)| Terminal::new(folder, columns, rows));
    let (alice, at_alice) = (&devices[0], &terminals[0]);
    let modes = at_alice.modes();
    at_alice.runs(&alice.command("pair --group --interface lo"));
    let port = at_alice.until("a port", |screen| {
        let (_, rest) = screen.split_once("  port ")?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    let joined = ["\"bob\"", "\"bob\", \"carol\""];
    for ((device, terminal), names) in devices.iter().zip(&terminals).skip(1).zip(joined) {
        terminal.runs(&device.command(&format!("pair --join --peer 127.0.0.1:{port}")));
        at_alice.shows(&format!("everybody is here: pair this device and {names}"));
    }
    at_alice.shows("↑ ↓ or a letter, and Enter");
    // An answer right after a change may be meant for the list before it.
    std::thread::sleep(Duration::from_millis(1200));
    at_alice.press("1");
    let seen: Vec<String> =
        terminals.iter().map(|terminal| terminal.asks("digits and names?")).collect();
    let order = |screen: &str| {
        let mut names = ["alice", "bob", "carol"];
        names.sort_by_key(|name| screen.find(&format!("\"{name}\" (")).unwrap());
        names
    };
    for screen in &seen {
        assert_eq!(code(screen), code(&seen[0]));
        assert_eq!(order(screen), order(&seen[0]));
    }
    for terminal in &terminals {
        terminal.press("Enter");
        terminal.asks("digits and names?");
        terminal.press("y");
    }
    for terminal in &terminals {
        terminal.shows("✓ 3 devices are paired");
        terminal.press("Enter");
    }
    at_alice.is_given_back(&modes);
    at_alice.shows("next, on one device: cosign keygen --key vault --with ");
}

#[test]
fn the_terminal_is_given_back_after_signals_and_kept_while_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::new(folder.path(), "bob");
    let terminal = Terminal::new(folder.path(), 80, 24);
    let modes = terminal.modes();
    let pid = folder.path().join("pid");
    let line = |command: &str| {
        format!("sh -c 'echo $$ > {}; exec env {}'", pid.display(), device.command(command))
    };
    let signal = |name: &str| {
        let pid = std::fs::read_to_string(&pid).unwrap();
        assert!(Command::new("kill").args([name, pid.trim()]).status().unwrap().success());
    };
    let start = || {
        terminal.runs(&line("listen --port 0 --bind 127.0.0.1"));
        terminal.shows("Ctrl-C ends");
        assert_eq!(terminal.flags(), "1 0");
    };
    start();
    terminal.press("C-c");
    terminal.is_given_back(&modes);
    for name in ["-TERM", "-HUP", "-QUIT"] {
        start();
        signal(name);
        terminal.is_given_back(&modes);
    }
    // Stopped by a key and by a signal, continued by the shell.
    start();
    for stop in [
        |t: &Terminal, _: &dyn Fn(&str)| t.press("C-z"),
        |_: &Terminal, s: &dyn Fn(&str)| s("-TSTP"),
    ] {
        stop(&terminal, &signal);
        terminal.is_given_back(&modes);
        terminal.runs("fg");
        terminal.shows("Ctrl-C ends");
        assert_eq!(terminal.flags(), "1 0");
    }
    terminal.press("C-c");
    terminal.is_given_back(&modes);
}

#[test]
fn a_window_that_shrinks_gets_lines_and_one_that_grows_a_screen() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::new(folder.path(), "bob");
    let terminal = Terminal::new(folder.path(), 80, 24);
    let modes = terminal.modes();
    listen(&terminal, &device);
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    terminal.until("a wide screen", |screen| {
        screen.lines().any(|line| line.chars().count() == 120).then_some(())
    });
    terminal.tmux(&["resize-window", "-x", "59", "-y", "24"]);
    terminal.until("lines", |_| (terminal.flags() == "0 1").then_some(()));
    terminal.tmux(&["resize-window", "-x", "60", "-y", "18"]);
    terminal.shows("Ctrl-C ends");
    terminal.press("C-c");
    terminal.is_given_back(&modes);
}

#[test]
fn a_request_moves_between_lines_and_a_screen_and_is_asked_on_both() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (alice, bob) = (Device::new(folder, "alice"), Device::new(folder, "bob"));
    alice.pins(&bob, "bob");
    bob.pins(&alice, "alice");
    let (at_alice, at_bob) = (Terminal::new(folder, 80, 24), Terminal::new(folder, 80, 24));
    let place = listen(&at_bob, &bob);
    at_bob.resizes(59, 17);
    at_bob.until("lines", |_| (at_bob.flags() == "0 1").then_some(()));
    at_alice.runs(&alice.command(&format!("keygen --with bob --peer {place}")));
    for _ in 0..2 {
        at_bob.shows("m to mute:");
        at_bob.resizes(80, 24);
        at_bob.until("a screen", |_| (at_bob.flags() == "1 0").then_some(()));
        let moved = at_bob.shows("request to make a key");
        let asked = at_bob.shows(" and Enter [");
        for screen in [moved, asked] {
            let lines: Vec<&str> = screen.lines().collect();
            assert!(lines[0].starts_with(" cosign  \"bob\""), "{screen}");
            assert_eq!(lines[1].trim(), "request to make a key", "{screen}");
            assert!(!screen.contains("decided by"), "{screen}");
            assert!(screen.matches(" and Enter [").count() < 2, "{screen}");
        }
        at_bob.resizes(59, 17);
        at_bob.until("lines", |_| (at_bob.flags() == "0 1").then_some(()));
    }
    let asked = at_bob.shows("m to mute:");
    let (before, _) = asked.rsplit_once(" and Enter to").unwrap();
    at_bob.runs(before.rsplit(' ').next().unwrap());
    at_alice.shows("confirmed    by everybody");
}

#[test]
fn a_withdrawn_request_leaves_a_page_that_no_reflex_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (alice, bob) = (Device::new(folder, "alice"), Device::new(folder, "bob"));
    alice.pins(&bob, "bob");
    bob.pins(&alice, "alice");
    let (at_alice, at_bob) = (Terminal::new(folder, 80, 24), Terminal::new(folder, 80, 24));
    let modes = at_alice.modes();
    let place = listen(&at_bob, &bob);
    at_alice.runs(&alice.command(&format!("keygen --key vault --with bob --peer {place}")));
    let made = read(&at_bob);
    at_bob.runs(&word(&made));
    at_alice.shows("confirmed    by everybody");
    at_alice.press("Enter");
    at_alice.is_given_back(&modes);

    let sign = |digest: &str| alice.command(&format!("--plain sign {digest} --peer {place}"));
    at_alice.runs(&sign(&"5a".repeat(32)));
    at_bob.shows("type 5a and Enter [  ]");
    at_bob.types("5");
    at_bob.shows("[5 ]");
    at_alice.press("C-c");
    let page = at_bob.shows("alice withdrew the request: nothing was approved");
    assert!(page.contains("it was       a request to sign"), "{page}");
    at_bob.types("a");
    at_bob.press("Enter");
    // The peer waits until it is let in again.
    at_alice.runs(&format!("sleep 3; {}", sign(&("5a".to_owned() + &"7f".repeat(31)))));
    at_bob.shows("another one waits");
    at_bob.runs("5a");
    at_bob.press("y");
    let page = at_bob.shows("Space goes on");
    assert!(page.contains("nothing was approved") && !page.contains("7f7f"), "{page}");
    at_bob.press("Space");
    let next = at_bob.shows("type 5a7f and Enter [    ]");
    assert!(next.contains("changed      digest (*)"), "{next}");
    assert!(next.contains(" * digest       5a7f 7f7f"), "{next}");
    at_bob.runs("5a");
    at_bob.shows("5a approves nothing");
    at_bob.runs("5a7f");
    at_alice.shows("signed ");

    // On the dashboard, too, a device is muted.
    at_bob.shows("✓ signed");
    at_bob.press("Enter");
    at_bob.shows("m mutes a device");
    at_bob.press("m");
    at_bob.shows("> \"alice\"");
    at_bob.press("m");
    at_bob.shows("muted until this command ends");
    at_alice.runs(&format!("clear; {}", sign(&"77".repeat(32))));
    at_alice.shows("takes no requests of this device for now");
    at_bob.press("m");
    at_bob.shows("no longer muted");
}

#[test]
fn an_invitation_is_left_in_one_piece_below_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (alice, bob) = (Device::new(folder, "alice"), Device::new(folder, "bob"));
    let (at_alice, at_relay) = (Terminal::new(folder, 60, 18), Terminal::new(folder, 200, 24));
    at_relay.runs(&bob.command("--events relay --bind 127.0.0.1:0"));
    let relay = at_relay.until("a relay", |screen| {
        let (_, rest) = screen.split_once("ws://127.0.0.1:")?;
        rest.split_once(|c: char| !c.is_ascii_digit()).map(|(port, _)| port.to_owned())
    });
    at_alice.runs(&alice.command(&format!("pair --relay ws://127.0.0.1:{relay}")));
    at_alice.shows("scan this");
    assert_eq!(at_alice.flags(), "1 0");
    at_alice.press("C-c");
    at_alice.until("the shell", |_| (at_alice.flags() == "0 1").then_some(()));
    // Lines that only the terminal broke are one.
    let all = at_alice.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
    let line = all.lines().find(|line| line.starts_with("cosign pair 'cosign://pair?"));
    assert!(line.is_some_and(|line| line.trim_end().ends_with('\'')), "{all}");
}

#[test]
fn a_small_window_a_dumb_terminal_and_plain_get_lines() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::new(folder.path(), "bob");
    for (columns, before, flags) in
        [(59, "", ""), (80, "TERM=dumb ", ""), (80, "", "--plain "), (80, "", "--events ")]
    {
        let terminal = Terminal::new(folder.path(), columns, 24);
        let modes = terminal.modes();
        let listen = device.command(&format!("{flags}listen --port 0 --bind 127.0.0.1"));
        terminal.runs(&format!("clear; {before}{listen}"));
        terminal.until("a line", |screen| {
            (screen.contains("listening as") || screen.contains("{\"event\":\"listening\""))
                .then_some(())
        });
        assert_eq!(terminal.flags(), "0 1");
        terminal.press("C-c");
        terminal.is_given_back(&modes);
    }
}

/// The part of [`a_panic_gives_the_terminal_back`] that panics.
#[test]
#[ignore = "another test runs it in a terminal"]
fn a_screen_that_panics() {
    use cosign::progress::Event;
    use cosign::ui::{Clock, Format, Screen, Style};
    let clock = Clock { now: cosign::driver::clock::now, stamp: String::new };
    let screen = Screen::new(Format::Prose, Style::default(), None, clock);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let failing = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            screen.show(&Event::Waiting {
                what: "a panic".into(),
                peers: Vec::new(),
                seconds: None,
                request_id: None,
            });
            tokio::time::sleep(Duration::from_secs(2)).await;
            panic!("on purpose");
        };
        tokio::select! {
            never = screen.fill() => match never {},
            () = failing => {}
        }
    });
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    let terminal = Terminal::new(folder.path(), 80, 24);
    let modes = terminal.modes();
    let this = std::env::current_exe().unwrap();
    terminal
        .runs(&format!("{} --ignored --exact --nocapture a_screen_that_panics", this.display()));
    terminal.shows("waiting for a panic");
    assert_eq!(terminal.flags(), "1 0");
    terminal.shows("on purpose");
    terminal.is_given_back(&modes);
}
