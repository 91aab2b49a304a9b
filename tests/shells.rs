//! Completion in real shells, each in a terminal of its own: the completed command line is run, and
//! its effect is checked.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(dead_code, reason = "the sandbox has more than is used here")]

#[path = "cmd/program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::process::Command;

use cosign::device::Fingerprint;
use cosign::party::PartyId;
use cosign::secret::Secret;
use cosign::vault::{Home, KeyRecord, KeyState, PartyRecord, Unlock, Vault};
use program::{Sandbox, Terminal};

/// A peer whose name attacks the shell that completes it.
const EVIL: &str = "ev'l \"; $(touch pwned) `touch pwned` *";

/// The flags that open its vault.
const ID: &str = "--identity identity.txt";

/// A device that knows `bob` and [`EVIL`] and has the key `vault-7`.
fn device() -> Sandbox {
    let sandbox = Sandbox::with_device();
    for (name, digit) in [("bob", "2"), (EVIL, "3"), ("~ann", "4")] {
        let fingerprint = digit.repeat(64);
        let add = ["peers", "add", name, "--fingerprint", &fingerprint];
        let more = ["--address", "192.0.2.7:7700", "--identity", "identity.txt"];
        sandbox.run([&add[..], &more].concat()).exits(0);
    }
    let home = Home::at(sandbox.path("home"));
    let vault = Vault::open(&home, &Unlock::Identity(sandbox.path("identity.txt"))).unwrap();
    let party = |index: u8, name: &str| PartyRecord {
        index: PartyId::new(index).unwrap(),
        name: name.into(),
        fingerprint: Fingerprint::new([index; 32]),
    };
    let key = KeyRecord {
        name: "vault-7".into(),
        curve: cosign::curve::CurveName::default(),
        public_key: [2; 33],
        threshold: 2,
        me: PartyId::new(1).unwrap(),
        parties: vec![party(1, "alice"), party(2, "bob")],
        epoch: [1; 32],
        generation: 1,
        created: 1_790_000_000,
        state: KeyState::Pending,
        restored: false,
    };
    vault.store_pending(&key, &Secret::new(vec![1; 64]), b"").unwrap();
    vault.activate("vault-7", &[1; 32]).unwrap();
    sandbox
}

/// A shell, how it starts without user settings, and how it loads its completion script.
struct Shell {
    program: &'static str,
    flags: &'static [&'static str],
    load: &'static str,
}

const BASH: Shell = Shell {
    program: "bash",
    flags: &["--norc", "--noprofile", "-i"],
    load: ". COMPLETIONS/cosign.bash",
};
const ZSH: Shell = Shell {
    program: "zsh",
    flags: &["-f", "-i"],
    load: "fpath=(COMPLETIONS $fpath); autoload -Uz compinit; compinit -u -d .zcompdump",
};
const FISH: Shell = Shell {
    program: "fish",
    flags: &["--no-config", "-i"],
    load: "source COMPLETIONS/cosign.fish",
};
const ELVISH: Shell =
    Shell { program: "elvish", flags: &["-norc"], load: "eval (slurp < COMPLETIONS/cosign.elv)" };

impl Shell {
    /// The shell in a terminal in the sandbox, with the committed script loaded.
    fn start(&self, sandbox: &Sandbox) -> Terminal {
        let path =
            ["/usr/local/bin", "/usr/bin", "/bin"].map(|dir| Path::new(dir).join(self.program));
        let path = path.iter().find(|path| path.exists());
        let mut command = Command::new(path.unwrap_or_else(|| panic!("no {}", self.program)));
        command.args(self.flags).current_dir(sandbox.path(".")).env_clear();
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_cosign"));
        let folder = binary.parent().unwrap();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display()));
        command.env("COSIGN_HOME", sandbox.path("home")).env("HOME", sandbox.path("."));
        command.env("LC_ALL", "C.UTF-8");
        let mut terminal = Terminal::start(&command);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        let load = self.load.replace("COMPLETIONS", folder.to_str().unwrap());
        self.run(&mut terminal, &load, "loaded");
        terminal
    }

    /// Types a line and waits until it has run.
    fn run(&self, terminal: &mut Terminal, line: &str, word: &str) {
        let (first, rest) = word.split_at(1);
        // The shell echoes what is typed: the word is only whole in what `echo` prints.
        terminal.types(&format!("{line}; echo {first}''{rest}\r")).shows(word);
    }
}

/// Completes a key, a key after `=`, a peer, and a peer that is an attack.
fn completes(shell: &Shell) {
    let sandbox = device();
    let mut terminal = shell.start(&sandbox);
    let shown = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap_or_default();

    shell.run(&mut terminal, "cosign keys show va\t >shown", "first");
    assert!(shown("shown").contains("vault-7"), "{:?}", shown("shown"));

    // Elvish puts what it has to quote on a list first, where Enter takes it; and it stops at a
    // command that fails.
    let elvish = shell.program == "elvish";
    if !elvish {
        let digest = "5a".repeat(32);
        let signature = "11".repeat(64);
        let verify = format!("cosign verify {digest} {signature} --json --key=va\t >verified");
        shell.run(&mut terminal, &verify, "second");
        assert!(shown("verified").contains("vault-7"), "{:?}", shown("verified"));
    }

    shell.run(&mut terminal, &format!("cosign peers rename bo\t robert {ID}"), "third");
    let take = if elvish { "\t\r" } else { "\t" };
    shell.run(&mut terminal, &format!("cosign peers forget ev{take} {ID}"), "fourth");
    // Elvish completes nothing after a backslash or an open quote.
    if !elvish {
        shell.run(&mut terminal, "cosign keys show 'va\t >quoted", "fifth");
        assert!(shown("quoted").contains("vault-7"), "{:?}", shown("quoted"));
        shell.run(&mut terminal, &format!("cosign peers rename \\~a\t ann {ID}"), "sixth");
    }
    let peers = sandbox.run(["peers", "list"]).exits(0).stdout();
    assert!(elvish || peers.contains("\nann "), "{peers}");
    assert!(peers.contains("robert") && !peers.contains("bob "), "{peers}");
    assert!(!peers.contains("ev'l"), "{peers}");
    assert!(!sandbox.path("pwned").exists(), "a name was run as a command");
    terminal.types("exit\r").shows("");
}

#[test]
fn bash_completes_keys_and_peers() {
    completes(&BASH);
}

#[test]
fn zsh_completes_keys_and_peers() {
    completes(&ZSH);
}

#[test]
fn fish_completes_keys_and_peers() {
    completes(&FISH);
}

#[test]
fn elvish_completes_keys_and_peers() {
    completes(&ELVISH);
}
