//! Output and exit codes of the program, one behaviour a test.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "cmd/command_lines.rs"]
mod command_lines;
#[path = "cmd/program.rs"]
mod program;

use std::io::Read;
use std::process::Stdio;

use program::{Ended, Sandbox};
use serde_json::{Value, json};

/// The public key of the private key 1, and the SHA-256 of "abc".
const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

mod command_line {
    use super::*;

    #[test]
    fn without_a_command_the_hint_leads_to_help() {
        Sandbox::new().run([""; 0]).exits(2).complains("no command", "cosign --help");
    }

    #[test]
    fn whoever_types_nothing_is_told_what_to_type_first() {
        let sandbox = Sandbox::new();
        let ended = sandbox.run([""; 0]).exits(2);
        assert_eq!(ended.stdout(), "");
        let said = ended.stderr();
        for command in ["demo", "listen", "pair", "keygen", "sign --file"] {
            assert!(said.contains(&format!("  cosign {command} ")), "{said}");
        }
        assert!(said.contains("next here: cosign demo\n"));
        assert_eq!(sandbox.run(["--json"]).exits(2).error_code(), "usage");
    }

    #[test]
    fn what_is_empty_says_the_next_command() {
        let sandbox = Sandbox::new();
        for line in [&["peers", "list"][..], &["keys", "list"], &["log"]] {
            let ended = sandbox.run(line).exits(0);
            assert!(ended.stdout().contains("next: cosign "), "{line:?}: {}", ended.stdout());
            // A mistyped --home is not taken for an empty device.
            assert!(ended.stderr().contains("there is no device in "), "{line:?}");
        }
    }

    #[test]
    fn help_goes_to_standard_output_and_has_examples() {
        let ended = Sandbox::new().run(["sign", "--help"]).exits(0);
        assert!(ended.stdout().contains("Examples:"));
        assert_eq!(ended.stderr(), "");
    }

    #[test]
    fn a_mistake_is_a_json_document_with_json() {
        let ended = Sandbox::new().run(["sign", "--json", "--kye", "x"]).exits(2);
        assert_eq!(ended.error_code(), "usage");
        assert_eq!(ended.json()["command"], "sign");
    }

    #[test]
    fn an_unknown_command_is_named() {
        Sandbox::new().run(["singe"]).exits(2).complains("singe", "sign");
    }

    #[test]
    fn a_command_line_for_the_container_signer_gets_a_hint() {
        let sandbox = Sandbox::new();
        for line in [
            &["sign", "ghcr.io/owner/app@sha256:00"][..],
            &["verify", "--certificate-identity", "me@example.org", "app"],
            &["attest", "--predicate", "p", "image"],
            &["sign", "--key", "cosign.key", "alpine"],
            &["verify", "--key", "cosign.pub", "alpine:3.18"],
            &["sign-blob", "file"],
            &["generate-key-pair"],
        ] {
            let ended = sandbox.run(line).exits(2).complains("sigstore", "cosign --help");
            assert_eq!(ended.stderr().lines().count(), 2);
        }
    }

    #[test]
    fn a_group_without_a_command_says_what_it_has() {
        let sandbox = Sandbox::new();
        for (group, command) in [
            ("policy", "`cosign policy check`"),
            ("token", "`cosign token list`"),
            ("vault", "`cosign vault move`"),
        ] {
            sandbox
                .run([group])
                .exits(2)
                .complains(&format!("cosign {group}: no command"), command);
        }
    }

    #[test]
    fn keys_and_peers_alone_list() {
        let sandbox = Sandbox::with_device();
        for (group, list) in [("keys", "keys list"), ("peers", "peers list")] {
            let alone = sandbox.run([group, "--json"]).exits(0).json();
            assert_eq!(alone["command"], list);
            let listed = sandbox.run([group, "list", "--json"]).exits(0).json();
            assert_eq!(alone, listed);
        }
    }

    #[test]
    fn what_needs_no_device_works_beside_settings_and_a_home_that_cannot_be_read() {
        let sandbox = Sandbox::new();
        sandbox.write("policy.toml", "");
        sandbox.write("unreadable", "");
        let in_no_folder = sandbox.path("unreadable");
        std::fs::create_dir_all(sandbox.path("wrong/config")).unwrap();
        sandbox.write("wrong/config/config.toml", "nonsense");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(sandbox.path("wrong/config"), closed).unwrap();
        for home in [in_no_folder, sandbox.path("wrong")] {
            let run = |line: &[&str]| {
                let mut command = sandbox.command(line);
                Ended::of(command.env("COSIGN_HOME", &home))
            };
            for line in [
                &["version"][..],
                &["help"],
                &["completions", "bash"],
                &["man"],
                &["policy", "check", "policy.toml"],
            ] {
                run(line).exits(0);
            }
            run(&["verify", "--public-key", KEY, DIGEST, "3006020101020101"]).exits(1);
            run(&["relay", "--bind", "nonsense:"]).exits(2).complains("nonsense", "");
            run(&["keys", "list"]).exits(2).complains("config.toml", "");
        }
    }

    #[test]
    fn a_message_names_files_from_the_root() {
        let sandbox = Sandbox::with_device();
        for (line, name) in [
            (&["sign", "--file", "gone.txt"][..], "gone.txt"),
            (&["sign", DIGEST, "-o", "gone/sig"], "gone/sig"),
            (&["listen", "--policy", "gone.toml"], "gone.toml"),
            (&["--passphrase-file", "gone.txt", "init", "--name", "x"], "gone.txt"),
            (&["verify", "--public-key", "gone.pem", DIGEST, "3006020101020101"], "gone.pem"),
            (&["verify", "--public-key", KEY, DIGEST, "gone.sig"], "gone.sig"),
        ] {
            let args = [&["--home", "new"][..], line].concat();
            sandbox.run(args).exits(10).complains(sandbox.path(name).to_str().unwrap(), "");
        }
    }

    #[test]
    fn a_usage_has_no_flag_that_a_variable_gave() {
        let ended = Sandbox::new().run(["peers", "add", "bob"]).exits(2);
        ended.complains(
            "--fingerprint",
            "usage: cosign peers add [OPTIONS] --fingerprint <HEX> <NAME>",
        );
    }

    #[test]
    fn what_is_hidden_is_not_suggested() {
        let ended = Sandbox::new().run(["completion", "bash"]).exits(2);
        assert!(!ended.stderr().contains("'complete'"), "{}", ended.stderr());
        ended.complains("completion", "'completions'");
    }

    #[test]
    fn a_purpose_arrives_as_it_was_typed_or_not_at_all() {
        let sandbox = Sandbox::with_device();
        for purpose in ["x".repeat(257).as_str(), "a\tb", "a\u{202e}b"] {
            let ended = sandbox.run(["sign", DIGEST, "--purpose", purpose]).exits(2);
            ended.complains("--purpose", "");
        }
        let mut longest = sandbox.command(["sign", DIGEST, "--purpose", &"é".repeat(256)]);
        Ended::of(&mut longest).exits(10).complains("no key", "");
    }

    #[test]
    fn a_time_without_a_unit_is_refused() {
        Sandbox::new().run(["version", "--timeout", "90"]).exits(2).complains("--timeout", "");
    }

    #[test]
    fn version_names_the_protocol() {
        let ended = Sandbox::new().run(["version", "--json"]).exits(0);
        let document = ended.json();
        assert_eq!(document["result"]["version"], env!("CARGO_PKG_VERSION"));
        assert!(document["result"]["protocol"].is_string());
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["completions", "zsh"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
    }

    #[test]
    fn an_error_with_events_is_an_event() {
        let ended = Sandbox::new().run(["--events", "keys", "show", "x"]).exits(10);
        let line: Value = serde_json::from_str(ended.stderr().lines().last().unwrap()).unwrap();
        assert_eq!((&line["event"], &line["code"]), (&json!("error"), &json!("not_found")));
    }
}

mod device {
    use super::*;

    #[test]
    fn a_device_is_made_by_the_first_command_of_a_person_who_names_no_home() {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["id"]);
        command.env_remove("COSIGN_HOME").env("HOME", sandbox.path("person"));
        let mut terminal = crate::program::Terminal::start(&command);
        terminal.shows("making one").shows("as others will see it [").types("ab\tc\n");
        terminal.shows("as others will see it [").types("kitchen\n");
        terminal.shows("1  a passphrase").shows("2  an age identity file").types("1\n");
        terminal.shows("leave it empty to have one made").shows("passphrase for this device: ");
        terminal.types("correct horse\n").shows("too weak: ").shows("this device: ");
        terminal.types("\n").shows("Write it down").shows("\n    ");
        let made = terminal.line();
        terminal.shows("type it to go on: ").types(&format!("{made}\n"));
        terminal.shows("keep the passphrase").shows("kitchen").shows("fingerprint");
        assert_eq!(terminal.ends().0, Some(0));
        sandbox.write("made", made);
        let mut command = sandbox.command(["doctor", "--wait", "1ms", "--passphrase-file", "made"]);
        command.env_remove("COSIGN_HOME").env("HOME", sandbox.path("person"));
        Ended::of(&mut command).exits(0);
        assert!(sandbox.path("person/.local/share/cosign/vault.json").exists());
    }

    #[test]
    fn a_volume_that_is_not_mounted_does_not_become_a_device() {
        let sandbox = Sandbox::new();
        sandbox.write("passphrase", "correct horse battery staple\n");
        let unlock = ["--passphrase-file", "passphrase"];
        for line in [&["id"][..], &["listen"], &["pair", "bob"], &["log", "--verify"]] {
            let args = [line, &unlock[..]].concat();
            let (code, said) = sandbox.terminal(&args).ends();
            assert_eq!(code, Some(10), "{line:?}: {said}");
            // No home is named, and no person is there.
            let mut command = sandbox.command(["--no-input"].iter().chain(&args));
            command.env_remove("COSIGN_HOME").env("HOME", sandbox.path("person"));
            let ended = Ended::of(&mut command);
            assert!([Some(10), Some(11)].contains(&ended.output.status.code()), "{line:?}");
            for home in ["home", "person"] {
                assert!(!sandbox.path(home).exists(), "{line:?}");
            }
        }
        sandbox.run(["log", "--verify"]).exits(10).complains("no log", "--home");
    }

    #[test]
    fn a_device_says_who_it_is_and_whether_that_was_checked() {
        let sandbox = Sandbox::new();
        sandbox.write("passphrase", "correct horse battery staple\n");
        sandbox.run(["init", "--passphrase-file", "passphrase"]).exits(0);
        let first = sandbox.run(["id", "--json", "--passphrase-file", "passphrase"]).exits(0);
        assert_eq!(first.json()["result"]["checked"], true);
        let again = sandbox.run(["id", "--json"]).exits(0).json();
        assert_eq!(again["result"]["checked"], false);
        assert_eq!(first.json()["result"]["fingerprint"], again["result"]["fingerprint"]);
        let fingerprint = first.json()["result"]["fingerprint"].as_str().unwrap().to_owned();
        assert_eq!(first.json()["result"]["id"], fingerprint[..16]);
    }

    #[test]
    fn in_a_home_without_a_device_only_what_a_device_begins_with_makes_one() {
        let sandbox = Sandbox::with_device();
        sandbox.write("policy.toml", "");
        let fingerprint = "2".repeat(64);
        for line in [
            &["sign", DIGEST, "--key", "vault"][..],
            &["keygen", "--key", "vault", "--with", "bob"],
            &["keygen", "--resume"],
            &["keys", "refresh", "vault"],
            &["discover", "--wait", "1ms"],
            &["listen", "--policy", "policy.toml"],
            &["peers", "add", "bob", "--fingerprint", &fingerprint],
            &["pair", "--reset-attempts"],
            &["vault", "move", "--to-identity", "identity.txt"],
        ] {
            let args = [&["--home", "mistyped", "--identity", "identity.txt"][..], line].concat();
            let hint = "cosign init --home mistyped --identity identity.txt";
            let ended = sandbox.run(args);
            ended.exits(10).complains("no device in", hint);
            assert!(!sandbox.path("mistyped").exists(), "{line:?}");
        }
    }

    #[test]
    fn ctrl_c_ends_a_listener_without_an_error() {
        let sandbox = Sandbox::with_device();
        let place = ["--bind", "127.0.0.1", "--port", "0", "--identity", "identity.txt"];
        let mut terminal = sandbox.terminal(["listen"].iter().chain(&place));
        terminal.shows("listening as").types("\u{3}");
        let (code, rest) = terminal.ends();
        assert_eq!(code, Some(0));
        assert!(!rest.contains("error"), "{rest}");
    }

    #[test]
    fn no_control_character_of_the_settings_reaches_the_terminal() {
        let sandbox = Sandbox::new();
        std::fs::create_dir_all(sandbox.path("home/config")).unwrap();
        sandbox.write("home/config/config.toml", "name = \"a\\u001b[31m\\u202eb\"\n");
        let text = sandbox.run(["config"]).exits(0).stdout();
        assert!(text.contains("b") && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }

    #[test]
    fn a_second_init_is_a_conflict() {
        let sandbox = Sandbox::with_device();
        let ended = sandbox.run(["init", "--json", "--identity", "identity.txt"]).exits(12);
        assert_eq!(ended.error_code(), "conflict");
        assert!(ended.stderr().contains(sandbox.path("home").to_str().unwrap()));
    }

    #[test]
    fn without_input_the_flag_that_would_have_answered_is_named() {
        let sandbox = Sandbox::new();
        for more in [&["--no-input"][..], &[]] {
            let args = ["init"].iter().chain(more);
            sandbox.run(args).exits(11).complains("passphrase", "--passphrase-file");
        }
        let mut command = sandbox.command(["init", "--json"]);
        assert_eq!(Ended::of(command.env("COSIGN_NO_INPUT", "1")).error_code(), "interaction");
    }

    #[test]
    fn a_missing_passphrase_or_identity_file_is_not_found() {
        let sandbox = Sandbox::new();
        for flag in ["--passphrase-file", "--identity"] {
            sandbox.run(["init", flag, "gone.txt"]).exits(10).complains("gone.txt", "");
        }
    }

    #[test]
    fn a_vault_has_one_seal() {
        let sandbox = Sandbox::new();
        sandbox.write("file", "x\n");
        let args = ["init", "--identity", "file", "--passphrase-file", "file"];
        sandbox.run(args).exits(2).complains("both", "one of them");
    }

    #[test]
    fn a_passphrase_comes_through_a_file_descriptor() {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["init", "--passphrase-fd", "0"]);
        sandbox.write("passphrase", "correct horse battery staple\n");
        let file = std::fs::File::open(sandbox.path("passphrase")).unwrap();
        Ended::of(command.stdin(file)).exits(0);
    }

    #[test]
    fn a_new_passphrase_is_asked_for_twice_and_never_shown() {
        let sandbox = Sandbox::new();
        let mut terminal = sandbox.terminal(["init", "--name", "alice"]);
        terminal.shows("[1-2] ").types("a passphrase\n");
        terminal.shows("passphrase for this device: ").types("correct horse battery staple\n");
        terminal.shows("again: ").types("wrong mule socket nail\n");
        terminal
            .shows("differ")
            .shows("passphrase for this device: ")
            .types("correct horse battery staple\n");
        terminal.shows("again: ").types("correct horse battery staple\n");
        terminal.shows("fingerprint");
        let (code, rest) = terminal.ends();
        assert_eq!(code, Some(0));
        assert!(!rest.contains("horse"));
    }

    #[test]
    fn an_identity_file_can_be_chosen_at_the_terminal() {
        let sandbox = Sandbox::with_device();
        let mut terminal = sandbox.terminal(["--home", "new", "init", "--name", "bob"]);
        terminal.shows("[1-2] ").types("2\n").shows("which file? ").types("identity.txt\n");
        terminal.shows("keep a copy of ").shows("identity.txt").shows("fingerprint");
        assert_eq!(terminal.ends().0, Some(0));
        // If the flags say what opens the vault, nothing is asked.
        let named = ["--home", "newer", "init", "--identity", "identity.txt"];
        assert_eq!(sandbox.terminal(named).ends().0, Some(0));
    }

    #[test]
    fn a_file_with_a_weak_passphrase_is_refused_and_says_what_to_do() {
        let sandbox = Sandbox::with_device();
        for weak in ["x\n", "password1\n", "correct horse\n", "\n"] {
            sandbox.write("weak", weak);
            let init = ["--home", "new", "init", "--passphrase-file", "weak"];
            sandbox.run(init).exits(2).complains("passphrase is ", "--identity");
            let to = ["vault", "move", "--to-passphrase", "--new-passphrase-file", "weak"];
            let to = to.iter().chain(&["--identity", "identity.txt"]);
            sandbox.run(to).exits(2).complains("passphrase is ", "four words");
        }
        assert!(!sandbox.path("new").exists());
    }

    #[test]
    fn ctrl_c_at_a_passphrase_ends_with_130_and_a_sane_terminal() {
        let sandbox = Sandbox::new();
        let mut terminal = sandbox.terminal(["init", "--name", "alice"]);
        terminal.shows("[1-2] ").types("1\n");
        terminal.shows("passphrase for this device: ");
        assert!(!terminal.echoes());
        terminal.types("half a pass\u{3}").shows("interrupted");
        assert!(terminal.echoes());
        let (code, _) = terminal.ends();
        assert_eq!(code, Some(130));
        assert!(!sandbox.path("home/data/vault.json").exists());
    }

    #[test]
    fn settings_come_from_the_flag_the_variable_and_the_file_in_that_order() {
        let sandbox = Sandbox::new();
        sandbox.write("identity.txt", "not an identity");
        std::fs::create_dir_all(sandbox.path("home/config")).unwrap();
        sandbox.write("home/config/config.toml", "passphrase_file = \"one.txt\"\n");
        let missing = |command: &mut std::process::Command, file: &str| {
            Ended::of(command).exits(10).complains(file, "");
        };
        missing(&mut sandbox.command(["init"]), "one.txt");
        let mut command = sandbox.command(["init"]);
        missing(command.env("COSIGN_PASSPHRASE_FILE", "two.txt"), "two.txt");
        missing(command.args(["--passphrase-file", "three.txt"]), "three.txt");
        // One that is empty is not set.
        let mut command = sandbox.command(["init"]);
        missing(command.env("COSIGN_PASSPHRASE_FILE", ""), "one.txt");
        let mut command = sandbox.command(["listen", "--bind", "nowhere"]);
        for name in ["COSIGN_TIMEOUT", "COSIGN_RELAY", "COSIGN_IDENTITY", "COSIGN_TOKEN_MODULE"] {
            command.env(name, "");
        }
        Ended::of(&mut command).exits(2).complains("nowhere", "");
    }

    #[test]
    fn a_dash_is_standard_input_for_a_passphrase_too() {
        let sandbox = Sandbox::new();
        sandbox.write("line.txt", "correct horse battery staple\n");
        let line = sandbox.path("line.txt");
        for command in [["init"], ["doctor"]] {
            let mut command = sandbox.command(["--passphrase-file", "-"].iter().chain(&command));
            Ended::of(command.stdin(std::fs::File::open(&line).unwrap())).exits(0);
        }
    }

    #[test]
    fn a_mistake_in_the_settings_is_named_by_line_and_column() {
        let sandbox = Sandbox::new();
        std::fs::create_dir_all(sandbox.path("home/config")).unwrap();
        sandbox.write("home/config/config.toml", "name = \"a\"\ntimeuot = \"9s\"\n");
        sandbox.run(["id"]).exits(2).complains("config.toml: line 2, column 1: ", "");
    }
}

mod ceremonies {
    use super::*;

    #[test]
    fn a_wrong_passphrase_is_locked() {
        let sandbox = Sandbox::new();
        sandbox.write("right", "correct horse battery staple\n");
        sandbox.write("wrong", "wrong mule socket nail\n");
        sandbox.run(["init", "--passphrase-file", "right"]).exits(0);
        let bob = "bb".repeat(32);
        let add = ["peers", "add", "bob", "--fingerprint", &bob, "--passphrase-file"];
        assert_eq!(
            sandbox.run(add.iter().chain(&["wrong", "--json"])).exits(8).error_code(),
            "locked"
        );
        sandbox.run(add.iter().chain(&["right"])).exits(0);
        let args = ["keygen", "--json", "--with", "bob", "--passphrase-file", "wrong"];
        assert_eq!(sandbox.run(args).exits(8).error_code(), "locked");
    }

    #[test]
    fn what_needs_no_secret_fails_before_one_is_asked_for() {
        let sandbox = crate::keys::with_keys(&["vault"]);
        sandbox.write("sig", "");
        for (line, exit, what) in [
            (&["sign", DIGEST, "--key", "other"][..], 10, "other"),
            (&["sign", DIGEST, "--with", "carol"], 10, "carol"),
            (&["sign", DIGEST, "--peer", "192.0.2.7:x"], 2, "192.0.2.7:x"),
            (&["sign", DIGEST, "--deliver-to", "carol"], 10, "carol"),
            (&["sign", DIGEST, "--request-id", "/"], 2, "--request-id"),
            (&["sign", DIGEST, "-o", "sig"], 12, "sig"),
            (&["sign", DIGEST, "-o", "/proc/sig"], 10, "/proc/sig"),
            (&["sign", "--file", "gone"], 10, "gone"),
            (&["sign", DIGEST, "--wait", "--key", "other"], 10, "other"),
            (&["keygen", "--key", "new", "--with", "carol"], 10, "carol"),
            (&["keygen", "--resume"], 10, "unfinished"),
            (&["keys", "refresh", "other"], 10, "other"),
            (&["keys", "refresh", "vault", "--peer", "bob=x:"], 2, "HOST:PORT"),
            (&["keys", "delete", "other"], 10, "other"),
            (&["peers", "rename", "carol", "bob"], 10, "carol"),
            (&["peers", "forget", "carol"], 10, "carol"),
            (&["peers", "add", "bob", "--fingerprint", "00"], 2, "--fingerprint"),
        ] {
            // The identity that would open the vault is not there, which would be 10 and name it, or 8.
            let args = [line, &["--identity", "nowhere.txt"]].concat();
            let ended = sandbox.run(args).exits(exit).complains(what, "");
            let error = ended.stderr();
            assert!(!error.lines().next().unwrap().contains("nowhere"), "{line:?}: {error}");
        }
        let bob = "bb".repeat(32);
        let add = ["peers", "add", "bob", "--fingerprint", &bob, "--identity", "identity.txt"];
        sandbox.run(add).exits(0);
        for (line, exit, what) in [
            (&["keygen", "--key", "vault", "--with", "bob"][..], 12, "vault"),
            (&["keygen", "--key", "a/b", "--with", "bob"], 2, "a/b"),
            (&["keygen", "--key", "new", "--with", "bob", "--threshold", "3"], 2, "3 of 2"),
        ] {
            let args = [line, &["--identity", "nowhere.txt"]].concat();
            let ended = sandbox.run(args).exits(exit).complains(what, "");
            let error = ended.stderr();
            assert!(!error.lines().next().unwrap().contains("nowhere"), "{line:?}: {error}");
        }
    }

    #[test]
    fn a_person_may_mistype_the_passphrase_and_try_again() {
        let sandbox = Sandbox::new();
        sandbox.write("right", "correct horse battery staple\n");
        sandbox.run(["init", "--passphrase-file", "right"]).exits(0);
        let mut terminal = sandbox.terminal(["vault", "move", "--to-identity", "gone.txt"]);
        terminal.shows("passphrase: ").types("wrong mule socket nail\n");
        terminal.shows("try again").shows("passphrase: ").types("correct horse battery staple\n");
        terminal.shows("gone.txt");
        assert_eq!(terminal.ends().0, Some(10));
    }

    #[test]
    fn a_vault_with_an_identity_names_the_flag_that_opens_it() {
        let sandbox = Sandbox::with_device();
        let add = ["peers", "add", "bob", "--fingerprint", DIGEST];
        sandbox.run(add).exits(11).complains("identity", "--identity");
        let args = [&add[..], &["--identity", "other.txt"]].concat();
        sandbox.write("other.txt", "no identity\n");
        sandbox.run(args).exits(8).complains("other.txt", "age-keygen");
    }

    #[test]
    fn a_device_that_does_not_answer_is_unreachable_and_named() {
        let sandbox = Sandbox::with_device();
        let fingerprint = "bb".repeat(32);
        let address = ["--address", "127.0.0.1:9"];
        let unlock = ["--identity", "identity.txt"];
        let add = ["peers", "add", "bob", "--fingerprint", &fingerprint, unlock[0], unlock[1]];
        sandbox.run(add.iter().chain(&address)).exits(0);
        let args =
            ["keygen", "--json", "--with", "bob", "--identity", "identity.txt", "--timeout", "2s"];
        let ended = sandbox.run(args).exits(4);
        assert_eq!(ended.error_code(), "unreachable");
        assert!(ended.stderr().contains("bob"), "{}", ended.stderr());
    }

    #[test]
    fn listening_needs_a_person_or_a_policy() {
        let sandbox = Sandbox::with_device();
        let listen = |more: &[&str]| {
            sandbox.run(["listen", "--identity", "identity.txt"].iter().chain(more))
        };
        listen(&[]).exits(11).complains("person", "--policy");
        listen(&["--policy", "gone.toml"]).exits(10).complains("gone.toml", "");
        sandbox.write("bad.toml", "[[rule]]\npeer = 7\n");
        listen(&["--policy", "bad.toml"]).exits(2).complains("bad.toml: line 2, column 8", "");
        listen(&["--stdio", "--json"]).exits(2).complains("standard output", "--events");
    }
}

mod peers {
    use super::*;

    const BOB: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";

    fn add(sandbox: &Sandbox, name: &str, fingerprint: &str) -> Ended {
        peers(sandbox, &["add", name, "--fingerprint", fingerprint])
    }

    fn peers(sandbox: &Sandbox, line: &[&str]) -> Ended {
        sandbox.run([&["peers"], line, &["--json", "--identity", "identity.txt"]].concat())
    }

    #[test]
    fn a_pinned_device_is_listed_until_it_is_forgotten() {
        let sandbox = Sandbox::with_device();
        add(&sandbox, "bob", BOB).exits(0);
        peers(&sandbox, &["rename", "bob", "robert"]).exits(0);
        let listed = peers(&sandbox, &["list"]).exits(0).json();
        let peer = &listed["result"]["peers"][0];
        assert_eq!((&peer["name"], &peer["fingerprint"]), (&json!("robert"), &json!(BOB)));
        assert_eq!(peer["expires"], Value::Null);
        peers(&sandbox, &["forget", "robert"]).exits(0);
        let listed = peers(&sandbox, &["list"]).exits(0).json();
        assert_eq!(listed["result"]["peers"], json!([]));
    }

    #[test]
    fn a_name_belongs_to_one_device() {
        let sandbox = Sandbox::with_device();
        add(&sandbox, "bob", BOB).exits(0);
        let ended = add(&sandbox, "bob", &"cc".repeat(32)).exits(12);
        assert_eq!(ended.error_code(), "conflict");
        assert!(ended.stderr().contains("bob"));
    }

    #[test]
    fn a_known_device_gets_another_name_by_renaming_alone() {
        let sandbox = Sandbox::with_device();
        add(&sandbox, "bob", BOB).exits(0);
        add(&sandbox, "bob", BOB).exits(0);
        let ended = add(&sandbox, "zed", BOB).exits(12);
        assert_eq!(ended.error_code(), "conflict");
        ended.complains("\"bob\"", "cosign peers rename bob zed");
        let listed = peers(&sandbox, &["list"]).exits(0).json();
        assert_eq!(listed["result"]["peers"][0]["name"], "bob");
    }

    #[test]
    fn a_name_that_a_command_is_suggested_with_is_one_word() {
        let sandbox = Sandbox::with_device();
        let name = "x; touch y's";
        add(&sandbox, name, BOB).exits(0);
        let ended = add(&sandbox, "bob", BOB).exits(12);
        ended.complains("known as", r"`cosign peers rename 'x; touch y'\''s' bob --");
    }

    #[test]
    fn what_is_no_fingerprint_is_a_usage_error() {
        assert_eq!(add(&Sandbox::with_device(), "bob", "b0b0").exits(2).error_code(), "usage");
    }

    #[test]
    fn an_unknown_name_is_not_found() {
        let ended = peers(&Sandbox::with_device(), &["forget", "carol"]).exits(10);
        assert_eq!(ended.error_code(), "not_found");
    }

    #[test]
    fn a_device_does_not_pin_itself() {
        let sandbox = Sandbox::with_device();
        let id = sandbox.run(["id", "--json"]).json();
        let fingerprint = id["result"]["fingerprint"].as_str().unwrap();
        let add = ["peers", "add", "me", "--fingerprint", fingerprint];
        let ended = sandbox.run([&add[..], &["--identity", "identity.txt"]].concat());
        ended.exits(2).complains("this very device", "cosign id");
    }
}

mod keys {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use cosign::device::Fingerprint;
    use cosign::party::PartyId;
    use cosign::secret::Secret;
    use cosign::vault::{Home, KeyRecord, KeyState, PartyRecord, Unlock, Vault};

    /// A device with a key of this name, whose share is never opened.
    pub(crate) fn with_keys(names: &[&str]) -> Sandbox {
        let sandbox = Sandbox::with_device();
        let home = Home::at(sandbox.path("home"));
        let unlock = Unlock::Identity(sandbox.path("identity.txt"));
        let vault = Vault::open(&home, &unlock).unwrap();
        let party = |index: u8, name: &str| PartyRecord {
            index: PartyId::new(index).unwrap(),
            name: name.into(),
            fingerprint: Fingerprint::new([index; 32]),
        };
        for (n, name) in (1_u8..).zip(names) {
            let record = KeyRecord {
                name: (*name).to_owned(),
                curve: cosign::curve::CurveName::default(),
                // The first one is known to openssl; a key has one name.
                public_key: match n {
                    1 => hex::decode(KEY).unwrap().try_into().unwrap(),
                    n => [n; 33],
                },
                threshold: 2,
                me: PartyId::new(1).unwrap(),
                parties: vec![party(1, "alice"), party(2, "bob")],
                epoch: [n; 32],
                generation: 1,
                created: 1_750_000_000,
                state: KeyState::Pending,
                restored: false,
            };
            vault.store_pending(&record, &Secret::new(vec![n; 8]), b"").unwrap();
            vault.activate(name, &record.epoch).unwrap();
        }
        sandbox
    }

    #[test]
    fn a_damaged_key_hides_no_other_and_is_named_while_locked() {
        let sandbox = with_keys(&["first", "second", "third"]);
        let record = sandbox.path("home/data/keys/second/key.json");
        let share = sandbox.path("home/data/keys/second/0202020202020202.age");
        let whole = [&record, &share].map(|path| std::fs::read(path).unwrap());
        let listed = |what: &str| {
            let text = sandbox.run(["keys", "list"]).exits(71).complains(what, "copy").stdout();
            assert!(text.contains("first") && text.contains("damaged"), "{text}");
            let ended = sandbox.run(["keys", "list", "--json"]).exits(71);
            assert_eq!(ended.error_code(), "tampered");
            let result = ended.json()["result"].take();
            let keys = result["keys"].as_array().unwrap().iter();
            assert_eq!(keys.map(|key| &key["name"]).collect::<Vec<_>>(), ["first", "third"]);
            let damaged = result["damaged"].as_array().unwrap();
            assert_eq!((damaged.len(), &damaged[0]["name"]), (1, &json!("second")));
            assert!(damaged[0]["message"].as_str().unwrap().contains(what), "{damaged:?}");
        };
        std::fs::remove_file(&record).unwrap();
        listed("second/key.json: missing");
        sandbox.run(["keys", "show", "second"]).exits(71).complains("key.json: missing", "copy");
        sandbox.write("home/data/keys/second/key.json", "{");
        listed("second/key.json: not a document");
        std::fs::write(&record, &whole[0]).unwrap();
        std::fs::remove_file(&share).unwrap();
        listed("0202020202020202.age: missing");
        std::fs::remove_dir_all(record.parent().unwrap()).unwrap();
        listed("second/key.json: missing");
        std::fs::create_dir(record.parent().unwrap()).unwrap();
        std::fs::set_permissions(record.parent().unwrap(), PermissionsExt::from_mode(0o700))
            .unwrap();
        for (path, content) in [record, share].iter().zip(whole) {
            std::fs::write(path, content).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        assert_eq!(
            sandbox.run(["keys", "list", "--json"]).exits(0).json()["result"]["damaged"],
            Value::Null
        );
    }

    #[test]
    fn a_ready_key_says_which_generation_and_epoch_it_is_in() {
        let sandbox = with_keys(&["vault"]);
        let text = sandbox.run(["keys", "show", "vault"]).exits(0).stdout();
        assert!(text.contains("\ngeneration   1 (01010101)\n"), "{text}");
    }

    #[test]
    fn no_new_device_is_made_over_what_is_left_of_another() {
        let sandbox = with_keys(&["vault"]);
        let identity = std::fs::read(sandbox.path("home/data/identity.age")).unwrap();
        std::fs::remove_file(sandbox.path("home/data/vault.json")).unwrap();
        let unlock = ["--identity", "identity.txt"];
        let refused = || {
            for line in [&["init"][..], &["id"], &["keys", "list"], &["listen"], &["pair"]] {
                let args = [line, &unlock[..]].concat();
                let mut command = sandbox.command(&args);
                command.env("COSIGN_HOME", sandbox.path("home"));
                let ended = crate::program::Terminal::start(&command).ends();
                assert_eq!(ended.0, Some(71), "{line:?}: {}", ended.1);
                assert!(ended.1.contains("vault.json: missing"), "{line:?}: {}", ended.1);
            }
        };
        refused();
        std::fs::remove_dir_all(sandbox.path("home/data/keys")).unwrap();
        refused();
        sandbox.run([&["init"][..], &unlock].concat()).exits(71).complains("vault.json", "--home");
        assert_eq!(std::fs::read(sandbox.path("home/data/identity.age")).unwrap(), identity);
        assert!(!sandbox.path("home/data/vault.json").exists());
    }

    #[test]
    fn a_list_names_parties_and_where_the_share_is() {
        let sandbox = with_keys(&["vault"]);
        let keys = sandbox.run(["keys", "list", "--json"]).exits(0).json();
        let key = &keys["result"]["keys"][0];
        assert_eq!(key["name"], "vault");
        assert_eq!(key["public_key"], KEY);
        assert_eq!(key["threshold"], 2);
        assert_eq!(key["confirmed"], true);
        assert_eq!(key["created"], "2025-06-15T15:06:40Z");
        assert_eq!(key["parties"][1]["name"], "bob");
        assert!(std::path::Path::new(key["location"].as_str().unwrap()).exists());
    }

    #[test]
    fn an_export_is_the_public_key_and_nothing_else() {
        let sandbox = with_keys(&["vault"]);
        let export = |format| sandbox.run(["keys", "export", "vault", "--format", format]).exits(0);
        assert_eq!(export("hex").stdout(), format!("{KEY}\n"));
        assert_eq!(export("address-eth").stdout(), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n");
        assert!(export("pem").stdout().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(export("pem").stderr().contains("not checked"));
    }

    #[test]
    fn with_several_keys_the_candidates_are_listed() {
        let sandbox = with_keys(&["one", "two"]);
        let ended = sandbox.run(["keys", "export", "--no-input"]).exits(2);
        ended.complains("one, two", "NAME");
    }

    #[test]
    fn with_several_keys_a_person_picks() {
        let sandbox = with_keys(&["one", "two"]);
        let mut terminal = sandbox.terminal(["keys", "export", "--format", "hex"]);
        terminal
            .shows("1  one")
            .shows("2  two")
            .shows("which key")
            .types("2\n")
            .shows(&"02".repeat(33));
        assert_eq!(terminal.ends().0, Some(0));
    }

    #[test]
    fn deleting_takes_the_name_of_the_key_once_more() {
        const ID: [&str; 2] = ["--identity", "identity.txt"];
        let sandbox = with_keys(&["vault"]);
        sandbox
            .run(["keys", "delete", "vault", ID[0], ID[1]])
            .exits(11)
            .complains("vault", "--yes-delete vault");
        for typed in ["", "y", "yes", "valut", "Vault"] {
            let mut terminal = sandbox.terminal(["keys", "delete", "vault", ID[0], ID[1]]);
            terminal.shows(KEY).shows("generation 1").shows("type vault to go on: ");
            terminal.types(&format!("{typed}\n"));
            assert_eq!(terminal.ends().0, Some(3), "{typed:?}");
        }
        let wrong = ["keys", "delete", "vault", "--yes-delete", "valut"];
        sandbox.run(wrong).exits(2).complains("--yes-delete", "nothing was deleted");
        sandbox.run(["keys", "delete", "vault", "--yes"]).exits(2);
        sandbox.run(["keys", "show", "vault"]).exits(0);
        sandbox.run(["keys", "delete", "vault", "--yes-delete", "vault", ID[0], ID[1]]).exits(0);
        let ended = sandbox.run(["keys", "show", "vault", "--json"]).exits(10);
        assert_eq!(ended.error_code(), "not_found");
    }

    #[test]
    fn show_names_every_party_with_its_fingerprint() {
        let shown = with_keys(&["vault"]).run(["keys", "show", "vault"]).exits(0).stdout();
        assert!(shown.contains("\"alice\", this device"));
        assert!(shown.contains(&["0202"; 16].join(" ")));
    }

    #[test]
    fn verify_takes_the_only_key() {
        let sandbox = with_keys(&["vault"]);
        let ended = sandbox.run(["verify", "--json", DIGEST, "3006020101020101"]).exits(1);
        assert_eq!(ended.json()["result"]["key"], "vault");
        let ended = sandbox
            .run(["verify", "--json", "--key", "other", DIGEST, "3006020101020101"])
            .exits(10);
        assert_eq!(ended.error_code(), "not_found");
    }
}

mod verify {
    use super::*;

    /// A signature of [`DIGEST`] under [`KEY`], made with the private key 1.
    const DER: &str = "3045022100f1eec51d72d7203ac2c422dd163422a19cf737e4ae51a43e32a1a1b7cea65f43022075c496f1aec4dbc7602ed7a2170b09af55d91ea6c2a856c577339725bb9fef16";

    fn verify(sandbox: &Sandbox, args: &[&str]) -> Ended {
        sandbox.run(["verify", "--json", "--public-key", KEY].iter().chain(args))
    }

    #[test]
    fn a_valid_signature_is_success_and_another_digest_is_not() {
        let sandbox = Sandbox::new();
        let ended = verify(&sandbox, &[DIGEST, DER]).exits(0);
        let expected = json!({"valid": true, "public_key": KEY, "digest": DIGEST, "low_s": true});
        assert_eq!(ended.json()["result"], expected);
        let ended = verify(&sandbox, &[&"00".repeat(32), DER]).exits(1);
        assert_eq!(ended.error_code(), "invalid");
        assert_eq!(ended.json()["result"]["valid"], false);
    }

    #[test]
    fn a_file_is_hashed_and_the_signature_read_in_any_form() {
        let sandbox = Sandbox::new();
        sandbox.write("abc", "abc");
        let der = hex::decode(DER).unwrap();
        sandbox.write("raw.sig", &der);
        sandbox.write("hex.sig", format!("{DER}\n"));
        for signature in ["raw.sig", "hex.sig", DER] {
            verify(&sandbox, &["--file", "abc", signature]).exits(0);
        }
        let mut command = sandbox.command(["verify", "--public-key", KEY, "--file", "-", DER]);
        let file = std::fs::File::open(sandbox.path("abc")).unwrap();
        Ended::of(command.stdin(file)).exits(0);
    }

    #[test]
    fn a_recovery_id_must_lead_to_the_key() {
        let sandbox = Sandbox::new();
        let compact = compact();
        let exits: Vec<Option<i32>> = ["00", "01", "1b", "1c"]
            .iter()
            .map(|id| verify(&sandbox, &[DIGEST, &format!("{compact}{id}")]).output.status.code())
            .collect();
        assert!(exits[..2].contains(&Some(0)) && exits[..2].contains(&Some(1)), "{exits:?}");
        assert_eq!(exits[..2], exits[2..]);
        verify(&sandbox, &[DIGEST, &compact]).exits(0);
    }

    #[test]
    fn what_is_not_understood_is_no_false_signature() {
        let sandbox = Sandbox::new();
        sandbox.write("empty.sig", "");
        sandbox.write("letter.sig", "dear bob");
        for bad in ["", "0", "30", "empty.sig", "letter.sig", "{}", "two\nlines"] {
            let ended = verify(&sandbox, &[DIGEST, bad]).exits(2);
            assert_eq!(ended.error_code(), "usage", "{bad}");
            let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(
                message.contains("not understood") && !message.contains("invalid"),
                "{message}"
            );
        }
        for false_one in [format!("{DER}00"), "00".repeat(64)] {
            let ended = verify(&sandbox, &[DIGEST, &false_one]).exits(1);
            assert_eq!(ended.error_code(), "invalid", "{false_one}");
        }
    }

    #[test]
    fn what_openssl_and_sha256sum_write_is_read_as_they_write_it() {
        let sandbox = Sandbox::new();
        sandbox.write("release.tar", "abc");
        let script = "set -e
            openssl ecparam -name secp256k1 -genkey -out key.pem 2>/dev/null
            openssl ec -in key.pem -pubout -out named.pem 2>/dev/null
            openssl ec -in key.pem -pubout -param_enc explicit -out explicit.pem 2>/dev/null
            openssl ec -in key.pem -pubout -outform DER -out named.der 2>/dev/null
            openssl ec -in key.pem -pubout -param_enc explicit -conv_form compressed -outform DER \\
                -out explicit.der 2>/dev/null
            (openssl ecparam -name secp256k1; echo the key of the release:; sed 's/$/\\r/' named.pem) > text.pem
            openssl base64 -in named.der -out named.b64
            openssl dgst -sha256 -sign key.pem -out sig.der release.tar
            openssl base64 -in sig.der -out sig.b64
            sha256sum release.tar > plain; sha256sum -b release.tar > binary
            sha256sum --tag release.tar > tag; openssl dgst -sha256 release.tar > dgst";
        let mut bash = std::process::Command::new("bash");
        let made = bash.args(["-c", script]).current_dir(sandbox.path(".")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
        let keys =
            ["named.pem", "explicit.pem", "named.der", "explicit.der", "text.pem", "named.b64"];
        for key in keys {
            for digest in ["plain", "binary", "tag", "dgst"] {
                let args = ["verify", "--public-key", key, &text(digest), "sig.der"];
                sandbox.run(args).exits(0);
            }
        }
        let pasted = ["verify", "--public-key", &text("text.pem"), DIGEST, &text("sig.b64")];
        sandbox.run(pasted).exits(0);
        let list = format!(
            "[[rule]]\npeer = {:?}\ndigest_file = \"list\"\naction = \"allow\"\n",
            "bb".repeat(32)
        );
        sandbox.write("policy.toml", list);
        sandbox.write("list", ["plain", "binary", "tag", "dgst"].map(text).concat());
        let (peer, digest) = (format!("peer={}", "bb".repeat(32)), format!("digest={DIGEST}"));
        let check = ["policy", "check", "policy.toml", "--request", &peer];
        sandbox.run(check.iter().chain(&[digest.as_str()])).exits(0);
        sandbox.run(check.iter().chain(&[format!("digest={}", "00".repeat(32)).as_str()])).exits(9);
        sandbox.write("list", "no digest at all\n");
        sandbox.run(check).exits(2).complains("line 1", "");
    }

    #[test]
    fn a_bad_digest_or_key_is_usage_and_a_missing_file_is_not_found() {
        let sandbox = Sandbox::new();
        assert_eq!(verify(&sandbox, &["5a7f", DER]).exits(2).error_code(), "usage");
        let ended = sandbox.run(["verify", "--json", "--public-key", "02", DIGEST, DER]).exits(2);
        assert_eq!(ended.error_code(), "usage");
        for args in [&[DIGEST, "gone.sig"][..], &["--file", "gone.tar", DER]] {
            let ended = verify(&sandbox, args).exits(10);
            assert!(ended.json()["error"]["message"].as_str().unwrap().contains("gone"));
        }
    }

    #[test]
    fn without_any_key_the_failure_says_what_to_do() {
        let ended = Sandbox::new().run(["verify", DIGEST, DER]).exits(10);
        ended.complains("no key", "--public-key");
    }

    /// The same signature as 64 bytes in hexadecimal.
    fn compact() -> String {
        use cosign::crypto::curve::encode_scalar;
        let (r, s) =
            cosign::crypto::ecdsa::from_der::<k256::Scalar>(&hex::decode(DER).unwrap()).unwrap();
        hex::encode([encode_scalar(&r), encode_scalar(&s)].concat())
    }
}

mod log {
    use super::*;
    use cosign::vault::{Entry, Home, Log, Unlock, Vault};
    use sha2::{Digest as _, Sha256};

    fn with_entries() -> Sandbox {
        let sandbox = Sandbox::with_device();
        for outcome in ["done", "denied"] {
            let entry = Entry {
                time: 1_750_000_000,
                ceremony: "sign".into(),
                key: "vault".into(),
                digest: DIGEST.into(),
                peer: "bob".into(),
                purpose: "release 1.2".into(),
                outcome: outcome.into(),
                ..Entry::default()
            };
            let home = Home::at(sandbox.path("home"));
            let unlock = Unlock::Identity(sandbox.path("identity.txt"));
            Log::append(Vault::open(&home, &unlock).unwrap().home(), &entry).unwrap();
        }
        sandbox
    }

    #[test]
    fn every_entry_is_a_line() {
        let shown = with_entries().run(["log"]).exits(0).stdout();
        let expected = format!(
            "2025-06-15T15:06:40Z  sign  denied  key \"vault\"  with \"bob\"  \
             for \"release 1.2\"  digest {DIGEST}"
        );
        assert_eq!(shown.lines().nth(1), Some(expected.as_str()));
    }

    #[test]
    fn an_altered_line_is_found_and_named() {
        let sandbox = with_entries();
        sandbox.run(["log", "--verify"]).exits(0);
        let path = sandbox.path("home/state/log.jsonl");
        let altered = std::fs::read_to_string(&path).unwrap().replacen("done", "dome", 1);
        std::fs::write(&path, altered).unwrap();
        let ended = sandbox.run(["log", "--verify", "--json"]).exits(1);
        assert_eq!(ended.error_code(), "invalid");
        assert_eq!(ended.json()["result"], json!({"valid": false, "line": 1, "checked": false}));
        ended.complains("line 1 ", "log.jsonl");
    }

    #[test]
    fn without_the_head_it_is_said_that_the_end_is_unknown() {
        let sandbox = with_entries();
        let verified = |attested: bool| {
            let ended = sandbox.run(["log", "--verify", "--json"]).exits(0);
            let expected = json!({
                "valid": true, "entries": 2, "attested": attested, "head_lost": [], "checked": false,
            });
            assert_eq!(ended.json()["result"], expected);
        };
        verified(true);
        std::fs::remove_file(sandbox.path("home/state/log.head")).unwrap();
        verified(false);
        let said = sandbox.run(["log", "--verify"]).exits(0).stdout();
        assert!(said.contains("2 entries") && said.contains("log.head is missing"), "{said}");
        sandbox.run(["log"]).exits(0);
    }

    #[test]
    fn a_line_that_was_put_in_at_the_end_is_named() {
        let sandbox = with_entries();
        let path = sandbox.path("home/state/log.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let mut forged = last.clone();
        forged["purpose"] = json!("another");
        forged["prev"] = json!(hex::encode(Sha256::digest(text.lines().last().unwrap())));
        std::fs::write(&path, format!("{text}{forged}\n")).unwrap();
        let ended = sandbox.run(["log", "--verify", "--json"]).exits(1);
        assert_eq!(ended.json()["result"], json!({"valid": false, "line": 3, "checked": false}));
        ended.complains("log.head attests 2 lines", "line 3");
    }
}

mod terminal_text {
    use super::*;

    /// What a terminal would obey or hide.
    const HOSTILE: &str = "x\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\u{202e}y\u{200b}z\x08";

    #[track_caller]
    fn is_plain(ended: &Ended) {
        for said in [ended.stdout(), ended.stderr()] {
            let bad = |c: &char| {
                (c.is_control() && *c != '\n')
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            };
            assert_eq!(said.chars().find(bad), None, "{said:?}");
        }
    }

    #[test]
    fn nothing_from_outside_reaches_it_raw() {
        let sandbox = Sandbox::with_device();
        let folder = sandbox.path(HOSTILE);
        std::fs::create_dir(&folder).unwrap();
        sandbox.write(&format!("{HOSTILE}.toml"), "[[rule]]\n\u{1b}[2J = 1\n");
        let escaped = "x\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\r\\u202ey\\n";
        sandbox.write("value.toml", format!("[[rule]]\n\"{escaped}\" = 1\n"));
        let pattern = format!("[[rule]]\npeer='a'\naction='allow'\npurpose=\"({escaped}\"\n");
        sandbox.write("pattern.toml", pattern);
        let toml = format!("{HOSTILE}.toml");
        let runs: [&[&str]; 14] = [
            &["policy", "check", HOSTILE],
            &["policy", "check", &toml],
            &["policy", "check", "value.toml"],
            &["policy", "check", "pattern.toml"],
            &["policy", "check", "/dev/null", "--request", HOSTILE],
            &["sign", HOSTILE],
            &["sign", "--file", HOSTILE],
            &["verify", "--key", HOSTILE, HOSTILE, HOSTILE],
            &["keys", "show", HOSTILE],
            &["peers", "forget", HOSTILE],
            &["--home", HOSTILE, "id"],
            &["--timeout", HOSTILE, "id"],
            &[HOSTILE],
            &["keygen", "--identity", HOSTILE],
        ];
        for args in runs {
            for voice in [&[][..], &["--json"], &["--json", "--events"]] {
                let ended = sandbox.run(args.iter().chain(voice));
                assert_ne!(ended.output.status.code(), Some(0), "{args:?}");
                is_plain(&ended);
            }
        }
        let mut command = sandbox.command(["config"]);
        command.env("COSIGN_RELAY", HOSTILE).env("TZ", HOSTILE);
        is_plain(&Ended::of(&mut command));
    }

    #[test]
    fn names_edited_into_files_are_shown_clean() {
        let sandbox = Sandbox::with_device();
        let fingerprint = "2".repeat(64);
        let add = ["peers", "add", "bob", "--fingerprint", &fingerprint];
        sandbox.run([&add[..], &["--identity", "identity.txt"]].concat()).exits(0);
        for (file, from) in [("home/data/device.json", "alice"), ("home/config/peers.json", "bob")]
        {
            let text = std::fs::read_to_string(sandbox.path(file)).unwrap();
            let name = serde_json::to_string(HOSTILE).unwrap();
            sandbox.write(file, text.replace(&format!("{from:?}"), &name));
        }
        for args in [&["id"][..], &["peers", "list"], &["doctor"], &["config"]] {
            for voice in [&[][..], &["--json"]] {
                is_plain(&sandbox.run(args.iter().chain(voice)));
            }
        }
    }

    #[test]
    fn a_password_in_a_servers_url_is_in_no_error() {
        let sandbox = Sandbox::new();
        for url in [
            "http://user:s3cret@host",
            "nats://user:s3cret,x@host:port",
            "nats://user:s3cret@127.0.0.1:1",
        ] {
            let mut command = sandbox.command(["relay", "--bind", "127.0.0.1:0"]);
            command.args(["--timeout", "20s", "--json"]).env("COSIGN_RELAY_CLUSTER", url);
            let ended = Ended::of(&mut command);
            assert_ne!(ended.output.status.code(), Some(0), "{url}");
            let said = ended.stdout() + &ended.stderr();
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}

mod clock {
    use super::*;

    #[test]
    fn one_before_1970_panics_nowhere() {
        let faketime = std::process::Command::new("faketime").arg("--version").output();
        if faketime.is_err() {
            eprintln!("skipped: faketime is not installed");
            return;
        }
        let sandbox = Sandbox::new();
        let identity = age::x25519::Identity::generate().to_string();
        sandbox.write("identity.txt", age::secrecy::ExposeSecret::expose_secret(&identity));
        sandbox.write(
            "policy.toml",
            "[[rule]]\npeer = 'bob'\naction = 'allow'\nnot_after = 2026-01-01T00:00:00Z\n\
             hours = '08:00-18:00'\n",
        );
        let fingerprint = "2".repeat(64);
        let open = ["--identity", "identity.txt", "--no-input", "--timeout", "3s"];
        let runs: [(&[&str], &[i32]); 10] = [
            (&["init", "--name", "alice"], &[0]),
            (&["id"], &[0]),
            (&["peers", "add", "bob", "--fingerprint", &fingerprint], &[0]),
            (&["peers", "list"], &[0]),
            (&["policy", "check", "policy.toml"], &[0]),
            (&["policy", "check", "policy.toml", "--request", "peer=bob"], &[0, 9]),
            (&["listen", "--policy", "policy.toml", "--port", "0"], &[0, 4]),
            (&["pair", "--peer", "127.0.0.1:1"], &[4, 11]),
            (&["log"], &[0]),
            (&["doctor", "--wait", "1ms"], &[0, 74]),
        ];
        let complete = [&open[..4], &["60s"]].concat();
        let runs = runs.map(|(args, codes)| (args, codes, &open[..]));
        // Two devices connect, and everything is done on such a clock.
        for (args, codes, open) in
            runs.into_iter().chain([(&["demo"][..], &[0][..], &complete[..])])
        {
            let template = sandbox.command(args.iter().chain(open));
            let mut command = std::process::Command::new("faketime");
            command.arg("1969-06-01 12:00:00").arg(template.get_program());
            command
                .args(template.get_args())
                .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.current_dir(template.get_current_dir().unwrap());
            command.env("TZ", "UTC").stdin(std::process::Stdio::null());
            let ended = Ended::of(&mut command);
            assert!(!ended.stderr().contains("panicked"), "{args:?}: {}", ended.stderr());
            let code = ended.output.status.code();
            assert!(
                code.is_some_and(|code| codes.contains(&code)),
                "{args:?}: {code:?} {}",
                ended.stderr()
            );
        }
    }
}

mod files {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    fn loosen(sandbox: &Sandbox, name: &str, mode: u32) {
        set_permissions(sandbox.path(name), Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_can_change_or_read_is_refused_with_the_command_to_run() {
        let sandbox = Sandbox::with_device();
        sandbox.write("policy.toml", "");
        sandbox.write("passphrase", "one two three\n");
        sandbox.write("home/config/config.toml", "");
        symlink("passphrase", sandbox.path("link")).unwrap();
        for (file, mode, args) in [
            ("policy.toml", 0o664, &["policy", "check", "policy.toml"][..]),
            ("home/config/config.toml", 0o620, &["keys", "list"]),
            ("policy.toml", 0o646, &["listen", "--policy", "policy.toml"]),
            ("identity.txt", 0o640, &["keys", "list", "--identity", "identity.txt"]),
            ("identity.txt", 0o604, &["doctor", "--identity", "identity.txt"]),
            ("passphrase", 0o644, &["--home", "new", "init", "--passphrase-file", "passphrase"]),
            ("passphrase", 0o644, &["--home", "new", "init", "--passphrase-file", "link"]),
        ] {
            loosen(&sandbox, file, mode);
            let ended = sandbox.run(args);
            assert_ne!(ended.output.status.code(), Some(0), "{args:?}");
            let said = ended.stdout() + &ended.stderr();
            assert!(said.contains("others can read or change"), "{args:?}: {said}");
            assert!(said.contains("chmod "), "{args:?}: {said}");
            loosen(&sandbox, file, 0o600);
        }
    }

    #[test]
    fn what_only_others_may_read_is_fine_for_a_policy() {
        let sandbox = Sandbox::with_device();
        sandbox.write("policy.toml", "");
        loosen(&sandbox, "policy.toml", 0o644);
        sandbox.run(["policy", "check", "policy.toml"]).exits(0);
    }

    #[test]
    fn a_passphrase_through_a_pipe_opens_and_one_that_is_too_long_is_refused() {
        let sandbox = Sandbox::new();
        let pipe = |length: usize, command: &str| {
            let script = format!(
                "exec {} {command} --passphrase-file <(printf '%-{length}s\\n' 'wrong mule socket nail')",
                env!("CARGO_BIN_EXE_cosign")
            );
            let template = sandbox.command([""; 0]);
            let mut shell = Command::new("bash");
            shell.args(["-c", &script]).current_dir(template.get_current_dir().unwrap());
            shell.env("COSIGN_HOME", sandbox.path("home"));
            Ended::of(&mut shell)
        };
        pipe(1025, "init").exits(2).complains("longer than 1024", "");
        pipe(1024, "init").exits(0);
        // All of it counts, its end too.
        let add = format!("peers add bob --fingerprint {DIGEST}");
        pipe(1023, &add).exits(8);
        pipe(1024, &add).exits(0);
    }

    #[test]
    fn a_descriptor_that_is_looked_at_twice_has_said_one_line() {
        let sandbox = Sandbox::new();
        sandbox.write("right", "correct horse battery staple\n");
        sandbox.run(["init", "--passphrase-file", "right"]).exits(0);
        sandbox.write("lines", "correct horse battery staple\nwrong mule socket nail\n");
        // The attempts are reset with the vault open, and then the vault is opened to pair.
        let run = |line: &str| {
            let program = env!("CARGO_BIN_EXE_cosign");
            let script = format!("exec {program} {line} --passphrase-fd 3 3< <(cat lines)");
            let mut shell = Command::new("bash");
            shell.args(["-c", &script]).current_dir(sandbox.path("."));
            shell.env("COSIGN_HOME", sandbox.path("home"));
            Ended::of(&mut shell)
        };
        run("pair bob --reset-attempts --no-input").exits(11).complains("person", "");
        run("keys export gone").exits(10).complains("gone", "");
    }

    #[test]
    fn a_question_is_asked_at_the_terminal_where_standard_input_is_a_pipe() {
        let sandbox = Sandbox::new();
        sandbox.write("right", "correct horse battery staple\n");
        sandbox.run(["init", "--passphrase-file", "right"]).exits(0);
        let program = env!("CARGO_BIN_EXE_cosign");
        let script = format!("echo abc | {program} peers add bob --fingerprint {DIGEST}");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(sandbox.path("."));
        command.env("COSIGN_HOME", sandbox.path("home")).env("PATH", "/usr/bin:/bin");
        let mut terminal = crate::program::Terminal::start(&command);
        terminal.shows("passphrase: ").types("correct horse battery staple\n").shows("is pinned");
        assert_eq!(terminal.ends().0, Some(0));
    }

    #[test]
    fn an_address_that_is_none_and_a_place_that_is_not_ours_say_so() {
        let sandbox = Sandbox::with_device();
        let open = ["--identity", "identity.txt"];
        let fingerprint = "bb".repeat(32);
        for wrong in ["bob:", "bob:0", "192.0.2.256", "[fe80::1", "http://bob:7", "two words"] {
            let add = ["peers", "add", "bob", "--fingerprint", &fingerprint, "--address", wrong];
            sandbox.run(add).exits(2).complains(wrong, "192.0.2.7");
        }
        for right in ["[fe80::1%lo]:7", "bob.local", "2001:db8::7"] {
            let add = ["peers", "add", "bob", "--fingerprint", &fingerprint, "--address", right];
            sandbox.run([&add[..], &open].concat()).exits(0);
        }
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = held.local_addr().unwrap().port().to_string();
        sandbox.write("policy.toml", "");
        let listen = ["listen", "--policy", "policy.toml"];
        for (place, exit, why, hint) in [
            (&["--bind", "192.0.2.7"][..], 2, "does not have that address", "--bind"),
            (&["--bind", "127.0.0.1", "--port", &taken], 12, "another program", "--port"),
        ] {
            let ended = sandbox.run([&listen[..], place, &open].concat());
            ended.exits(exit).complains(why, hint);
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let sandbox = Sandbox::with_device();
        assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
        let digest = "5a".repeat(32);
        for args in [
            &["policy", "check", "pipe"][..],
            &["listen", "--policy", "pipe"],
            &["verify", "--public-key", "pipe", &digest, "3006020101020101"],
            &["sign", "--file", "pipe", "--identity", "identity.txt"],
            &["keys", "list", "--identity", "pipe"],
            &["pair", "--qr-image", "pipe", "--identity", "identity.txt"],
            &["--home", "new", "init", "--passphrase-file", "pipe"],
            &["relay", "--tls-cert", "pipe", "--tls-key", "identity.txt"],
            &["relay", "--tls-cert", "identity.txt", "--tls-key", "pipe"],
        ] {
            sandbox.run(args).exits(2).complains("pipe is a pipe, not a regular file", "");
        }
        let list = ["token", "list", "--module", "pipe"];
        sandbox.run(list).exits(10).complains("it is no regular file", "");
        // What writes to it would wait for a reader.
        for force in [&[][..], &["--force"]] {
            let sign = ["sign", &digest, "-o", "pipe", "--identity", "identity.txt"];
            sandbox
                .run([&sign[..], force].concat())
                .exits(2)
                .complains("pipe is no regular file", "-o -");
        }
        std::fs::rename(sandbox.path("pipe"), sandbox.path("home/data/device.json")).unwrap();
        sandbox.run(["id"]).exits(2).complains("device.json is a pipe", "");
    }

    #[test]
    fn a_home_whose_name_is_no_text_is_shown_as_far_as_it_is_one() {
        let sandbox = Sandbox::with_device();
        let home = std::ffi::OsStr::from_bytes(b"n\xff");
        for command in ["config", "id", "doctor"] {
            let args = ["--home".as_ref(), home, command.as_ref(), "--json".as_ref()];
            let document = sandbox.run(args).json();
            assert_eq!(document["command"], command, "{document}");
        }
    }

    #[test]
    fn a_named_file_that_cannot_be_written_is_named_and_no_bug() {
        let sandbox = Sandbox::with_device();
        std::fs::create_dir(sandbox.path("folder")).unwrap();
        for (args, exit) in [
            (&["keys", "list", "--log-file", "folder"][..], 2),
            (&["keys", "list", "--log-file", "gone/log"], 10),
            (&["keys", "list", "--log-file", "identity.txt/log"], 2),
            (&["man", "identity.txt"], 2),
        ] {
            let name = args.last().unwrap();
            sandbox.run(args).exits(exit).complains(name, "");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_with_the_limit() {
        let sandbox = Sandbox::with_device();
        sandbox.write("policy.toml", vec![b'#'; (16 << 20) + 1]);
        sandbox.run(["policy", "check", "policy.toml"]).exits(2).complains("16 MiB", "");
        let tls = ["relay", "--tls-cert", "policy.toml", "--tls-key", "policy.toml"];
        sandbox.run(tls).exits(2).complains("1 MiB", "");
        std::fs::create_dir_all(sandbox.path("home/config")).unwrap();
        set_permissions(sandbox.path("home/config"), Permissions::from_mode(0o700)).unwrap();
        sandbox.write("home/config/peers.json", vec![b' '; (1 << 20) + 1]);
        sandbox.run(["peers", "list"]).exits(2).complains("1 MiB", "");
    }

    #[test]
    fn a_timeout_bounds_the_wait_for_a_lock_and_for_a_silent_pipe() {
        let sandbox = Sandbox::with_device();
        let lock = std::fs::File::open(sandbox.path("home/data/lock")).unwrap();
        lock.lock().unwrap();
        let fingerprint = "2".repeat(64);
        let add = ["peers", "add", "bob", "--fingerprint", &fingerprint, "--timeout", "200ms"];
        let add = [&add[..], &["--identity", "identity.txt"]].concat();
        sandbox.run(&add).exits(4).complains("another process writes in this home", "--timeout");
        drop(lock);
        sandbox.run(add).exits(0);
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut silent = sandbox.command(["--home", "new", "init", "--passphrase-file", "-"]);
        silent.args(["--timeout", "200ms"]).stdin(reader);
        Ended::of(&mut silent).exits(4).complains("passphrase on standard input", "--timeout");
        let hash = |command: &[&str]| {
            let (reader, mut writer) = std::io::pipe().unwrap();
            std::io::Write::write_all(&mut writer, b"and more to come").unwrap();
            let mut endless = sandbox.command(command);
            endless.args(["--file", "-", "--timeout", "200ms"]).stdin(reader);
            Ended::of(&mut endless).exits(4).complains("standard input", "--timeout");
            drop(writer);
        };
        hash(&["sign", "--key", "vault"]);
        hash(&["verify", "--public-key", "key.pem", "00"]);
    }
}

mod policy {
    use super::*;

    const RULES: &str = r#"
[[rule]]
peer = "bob"
key = "vault"
purpose = 'release \d+'
max_count = 3
not_after = 2026-12-31T00:00:00Z
action = "allow"

[[rule]]
peer = "carol"
action = "deny"
"#;

    #[test]
    fn what_a_rule_admits_besides_is_pointed_out() {
        let sandbox = with_rules();
        let warnings = |rule: &str| {
            let rule =
                format!("[[rule]]\npeer = \"bob\"\nnot_after = 2099-01-01T00:00:00Z\n{rule}\n");
            sandbox.write("one.toml", rule);
            let document = sandbox.run(["policy", "check", "one.toml", "--json"]).exits(0).json();
            document["result"]["rules"][0]["warnings"].to_string()
        };
        let (dot, any) = ("a dot fits any character", "any ceremony");
        let said = warnings("purpose = 'release 1.2'\naction = \"allow\"");
        assert!(said.contains(dot) && said.contains(any), "{said}");
        let said = warnings("ceremony = \"sign\"\npurpose = 'release 1\\.2'\naction = \"allow\"");
        assert!(!said.contains(dot) && !said.contains(any), "{said}");
        let said = warnings("purpose = 'release 1.2'\naction = \"deny\"");
        assert!(!said.contains(dot) && !said.contains(any), "{said}");
    }

    fn with_rules() -> Sandbox {
        let sandbox = Sandbox::with_device();
        for (name, digit) in [("bob", "2"), ("carol", "3")] {
            let fingerprint = digit.repeat(64);
            let add = ["peers", "add", name, "--fingerprint", &fingerprint];
            sandbox.run([&add[..], &["--identity", "identity.txt"]].concat()).exits(0);
        }
        sandbox.write("policy.toml", RULES);
        sandbox
    }

    fn check(sandbox: &Sandbox, request: &[&str]) -> Ended {
        let args = [&["policy", "check", "policy.toml", "--json", "--request"], request].concat();
        sandbox.run(args)
    }

    #[test]
    fn an_allowed_request_names_the_rule_and_is_not_counted() {
        let sandbox = with_rules();
        for _ in 0..5 {
            let request =
                ["peer=bob", "key=vault", "purpose=release 12", "time=2026-06-01T00:00:00Z"];
            let result = check(&sandbox, &request).exits(0).json()["result"].take();
            assert_eq!((&result["decision"], &result["rule"]), (&json!("allow"), &json!(1)));
            assert_eq!(result["rules"][1]["fields"][0]["fits"], false);
        }
        let uses = std::fs::read_to_string(sandbox.path("home/state/policy.json")).unwrap();
        assert!(uses.contains("\"counts\": {}"), "{uses}");
    }

    #[test]
    fn a_refused_request_is_exit_9_and_says_which_field_does_not_fit() {
        let sandbox = with_rules();
        for (request, field) in [
            (&["peer=carol", "key=vault", "purpose=release 1"][..], "peer"),
            (&["peer=bob", "key=other", "purpose=release 1"], "key"),
            (&["peer=bob", "key=vault", "purpose=release 1 and more"], "purpose"),
            (
                &["peer=bob", "key=vault", "purpose=release 1", "time=2027-01-01T00:00:00Z"],
                "not_after",
            ),
        ] {
            let ended = check(&sandbox, request).exits(9);
            assert_eq!(ended.error_code(), "policy");
            let fields = ended.json()["result"]["rules"][0]["fields"].take();
            let wrong: Vec<&Value> = fields.as_array().unwrap().iter().collect();
            let wrong = wrong.iter().find(|finding| finding["fits"] == false).unwrap();
            assert_eq!(wrong["field"], field, "{request:?}");
        }
    }

    #[test]
    fn a_request_may_be_an_event_or_a_log_entry() {
        let sandbox = with_rules();
        let event = json!({"event": "request", "ceremony": "sign", "key": "vault", "seconds": 60,
            "purpose": "release 7", "time": "2026-06-01T00:00:00Z",
            "requester": {"name": "whoever", "fingerprint": "2".repeat(64)}});
        check(&sandbox, &[&event.to_string()]).exits(0);
        sandbox.write("request.json", event.to_string());
        check(&sandbox, &["request.json"]).exits(0);
        for bad in ["nonsense", "pper=bob", "{", "digest=00", "ceremony=pair"] {
            check(&sandbox, &[bad, "peer=bob"]).exits(2);
        }
        check(&sandbox, &["peer=mallory"]).exits(10).complains("mallory", "peers list");
    }

    #[test]
    fn a_file_alone_is_read_and_what_is_odd_is_said() {
        let sandbox = with_rules();
        sandbox.run(["policy", "check", "policy.toml"]).exits(0);
        let identity = ["--identity", "identity.txt"];
        for (more, checked) in [(&[][..], false), (&identity, true)] {
            for request in [&[][..], &["--request", "peer=bob", "key=vault"]] {
                let args = [&["policy", "check", "policy.toml", "--json"], more, request].concat();
                assert_eq!(sandbox.run(args).json()["result"]["checked"], checked);
            }
        }
        sandbox.write("odd.toml", "[[rule]]\npeer = \"eve\"\naction = \"allow\"\n");
        let said = sandbox.run(["policy", "check", "odd.toml"]).exits(0).stdout();
        assert!(said.contains("never fits") && said.contains("max_count"), "{said}");
        sandbox.write("broken.toml", "[[rule]]\npeer = 3\n");
        sandbox.run(["policy", "check", "broken.toml"]).exits(2).complains("line 2", "");
        sandbox.run(["policy", "check", "gone.toml"]).exits(10).complains("gone.toml", "");
        sandbox.write("latin.toml", b"# caf\xe9\n");
        sandbox.run(["policy", "check", "latin.toml"]).exits(2).complains("UTF-8", "");
    }

    #[test]
    fn a_rule_that_can_never_fit_is_pointed_out() {
        let sandbox = with_rules();
        for (field, said) in [
            ("max_count = 0", "max_count is 0"),
            ("hours = \"08:00-08:00\"", "hours begin when they end"),
            ("key = \"gone\"", "there is no key \"gone\" here yet"),
        ] {
            let rule = format!("[[rule]]\npeer = \"bob\"\naction = \"allow\"\n{field}\n");
            sandbox.write("odd.toml", rule);
            let shown = sandbox.run(["policy", "check", "odd.toml"]).exits(0).stdout();
            assert!(shown.contains(said), "{shown}");
        }
        let whole = "[[rule]]\npeer = \"bob\"\naction = \"deny\"\nhours = \"00:00-24:00\"\n";
        sandbox.write("odd.toml", whole);
        let ended = sandbox.run(["policy", "check", "odd.toml"]).exits(2);
        ended.complains("00:00 to 23:59", "");
    }

    #[test]
    fn a_rule_that_lets_anything_pass_is_pointed_out() {
        let sandbox = with_rules();
        let rule = "[[rule]]\npeer = \"bob\"\naction = \"allow\"\npurpose = 'release .*'\n";
        sandbox.write("open.toml", rule);
        let shown = sandbox.run(["policy", "check", "open.toml"]).exits(0).stdout();
        assert!(shown.contains("any digest") && shown.contains("`.*`"), "{shown}");
        sandbox.write("open.toml", format!("{rule}digest = [\"{}\"]\n", "5a".repeat(32)));
        let shown = sandbox.run(["policy", "check", "open.toml"]).exits(0).stdout();
        assert!(!shown.contains("any digest"), "{shown}");
    }

    #[test]
    fn a_count_on_a_rule_that_denies_is_refused_with_its_line() {
        let sandbox = with_rules();
        let rule = "[[rule]]\npeer = \"bob\"\naction = \"deny\"\nmax_count = 3\n";
        sandbox.write("deny.toml", rule);
        for args in [&["policy", "check"][..], &["listen", "--policy"]] {
            let ended = sandbox.run(args.iter().chain(&["deny.toml"])).exits(2);
            ended.complains("line 4, column 13: rule 1 denies", "");
        }
    }

    #[test]
    fn a_time_zone_that_does_not_exist_decides_no_hours() {
        let sandbox = with_rules();
        let rule = "[[rule]]\npeer = \"bob\"\naction = \"allow\"\n";
        sandbox.write("hours.toml", format!("{rule}hours = \"08:00-18:00\"\n"));
        let zone = |zone: &str, args: &[&str]| {
            Ended::of(sandbox.command(args.iter().copied()).env("TZ", zone))
        };
        for args in [&["policy", "check", "hours.toml"][..], &["listen", "--policy", "hours.toml"]]
        {
            zone("Mars/Olympus_Mons", args).exits(2).complains("Mars/Olympus_Mons", "TZ=");
        }
        for endless in ["/dev/zero", ":/dev/zero"] {
            zone(endless, &["policy", "check", "hours.toml"])
                .exits(2)
                .complains("/dev/zero", "TZ=");
        }
        zone("UTC", &["policy", "check", "hours.toml"]).exits(0);
        zone("EST5EDT,M3.2.0,M11.1.0", &["policy", "check", "hours.toml"]).exits(0);
        // Without hours it matters to nothing.
        sandbox.write("any.toml", rule);
        zone("Mars/Olympus_Mons", &["policy", "check", "any.toml"]).exits(0);
    }

    #[test]
    fn a_field_of_a_request_is_given_once() {
        let ended = check(&with_rules(), &["peer=bob", "peer=carol"]).exits(2);
        ended.complains("peer=carol: given twice", "once");
    }
}

mod config {
    use super::*;

    fn setting(ended: &Ended, name: &str) -> (Value, Value) {
        let settings = ended.json()["result"]["settings"].take();
        let found = settings.as_array().unwrap().iter().find(|s| s["name"] == name).cloned();
        let found = found.unwrap_or_else(|| panic!("no {name}"));
        (found["value"].clone(), found["source"].clone())
    }

    #[test]
    fn each_setting_says_where_it_comes_from() {
        let sandbox = Sandbox::with_device();
        let file = "timeout = \"5m\"\ncolor = \"never\"\nidentity = \"identity.txt\"\n";
        std::fs::create_dir_all(sandbox.path("home/config")).unwrap();
        sandbox.write("home/config/config.toml", file);
        let ended = Ended::of(
            sandbox.command(["config", "--json", "--tls", "1.2"]).env("COSIGN_TIMEOUT", "90s"),
        );
        assert_eq!(setting(&ended, "tls"), (json!("1.2"), json!("flag")));
        assert_eq!(setting(&ended, "timeout"), (json!("90s"), json!("variable")));
        assert_eq!(setting(&ended, "color"), (json!("never"), json!("config.toml")));
        let identity = json!(sandbox.path("identity.txt"));
        assert_eq!(setting(&ended, "identity"), (identity, json!("config.toml")));
        assert_eq!(setting(&ended, "log_file"), (Value::Null, json!("default")));
        assert_eq!(setting(&ended, "name"), (json!("alice"), json!("device")));
    }

    #[test]
    fn no_setting_is_listed_twice() {
        let settings = Sandbox::new().run(["config", "--json"]).exits(0).json();
        let settings = settings["result"]["settings"].as_array().unwrap().clone();
        let names: Vec<&Value> = settings.iter().map(|setting| &setting["name"]).collect();
        let mut once = names.clone();
        once.dedup();
        assert_eq!(names, once);
    }

    #[test]
    fn a_way_to_unlock_that_was_named_is_the_only_one() {
        let sandbox = Sandbox::with_device();
        std::fs::create_dir_all(sandbox.path("home/config")).unwrap();
        sandbox.write("home/config/config.toml", "identity = \"other.txt\"\n");
        let ended = sandbox.run(["config", "--json", "--passphrase-file", "p"]);
        assert_eq!(setting(&ended, "passphrase_file"), (json!("p"), json!("flag")));
        assert_eq!(setting(&ended, "identity"), (Value::Null, json!("default")));
    }
}

mod doctor {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn doctor(sandbox: &Sandbox) -> Ended {
        sandbox.run(["doctor", "--json", "--wait", "1ms", "--identity", "identity.txt"])
    }

    fn check(ended: &Ended, name: &str) -> Value {
        let checks = ended.json()["result"]["checks"].take();
        checks.as_array().unwrap().iter().find(|c| c["name"] == name).cloned().unwrap()
    }

    #[test]
    fn a_new_device_is_healthy() {
        let ended = doctor(&Sandbox::with_device()).exits(0);
        assert_eq!(ended.json()["result"]["healthy"], true);
        for name in ["device", "permissions", "disk", "log", "keys", "peers", "clock", "random"] {
            assert_eq!(check(&ended, name)["status"], "ok", "{name}");
        }
        check(&ended, "multicast");
        check(&ended, "port");
    }

    #[test]
    fn where_there_is_no_device_none_is_made() {
        let sandbox = Sandbox::new();
        let ended = sandbox.run(["doctor", "--json", "--wait", "1ms"]).exits(0);
        assert_eq!(check(&ended, "device")["status"], "warn");
        assert!(!sandbox.path("home").exists());
    }

    #[test]
    fn what_is_broken_is_named_with_what_to_do() {
        let sandbox = Sandbox::with_device();
        let file = sandbox.path("home/data/identity.age");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let ended = doctor(&sandbox).exits(74);
        assert_eq!(ended.json()["result"]["healthy"], false);
        let broken = check(&ended, "permissions");
        assert_eq!(broken["status"], "fail");
        assert!(broken["hint"].as_str().unwrap().contains("chmod 600"), "{broken}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

        let mut entry = cosign::vault::Entry { time: 4_000_000_000, ..Default::default() };
        entry.ceremony = "sign".into();
        let home = cosign::vault::Home::at(sandbox.path("home"));
        let unlock = cosign::vault::Unlock::Identity(sandbox.path("identity.txt"));
        let vault = cosign::vault::Vault::open(&home, &unlock).unwrap();
        cosign::vault::Log::append(vault.home(), &entry).unwrap();
        assert_eq!(check(&doctor(&sandbox).exits(74), "clock")["status"], "fail");
        sandbox.write("home/state/log.jsonl", "{}\n");
        assert_eq!(check(&doctor(&sandbox).exits(1), "log")["status"], "fail");
    }

    #[test]
    fn a_clock_behind_the_time_at_which_a_rule_decided_is_named() {
        let sandbox = Sandbox::with_device();
        let home = cosign::vault::Home::at(sandbox.path("home"));
        let unlock = cosign::vault::Unlock::Identity(sandbox.path("identity.txt"));
        let vault = cosign::vault::Vault::open(&home, &unlock).unwrap();
        cosign::vault::uses::saw(vault.home(), 4_000_000_000).unwrap();
        let clock = check(&doctor(&sandbox).exits(74), "clock");
        assert_eq!(clock["status"], "fail");
        assert!(clock["found"].as_str().unwrap().contains("2096-10-02"), "{clock}");
    }

    /// The hints of what does not work.
    fn remedies(ended: &Ended) -> Vec<String> {
        let result = ended.json()["result"].take();
        let checks = result["checks"].as_array().unwrap().iter();
        let failed = checks.filter(|check| check["status"] == "fail");
        failed.map(|check| check["hint"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_file_that_does_not_fit_has_a_hint_that_leads_on() {
        let files = [
            ("config/peers.json", "newest copy"),
            ("state/editions.json", "newest copy"),
            ("state/ledger.jsonl", "newest copy"),
            ("state/policy.json", "cosign listen"),
            ("state/log.head", "cosign log --verify"),
            ("data/device.age", "newest copy"),
        ];
        for (file, remedy) in files {
            for content in [None, Some("{}\n")] {
                let sandbox = Sandbox::with_device();
                let name = format!("home/{file}");
                match content {
                    None => std::fs::remove_file(sandbox.path(&name)).unwrap(),
                    Some(content) => sandbox.write(&name, content),
                }
                let remedies = remedies(&doctor(&sandbox).exits(71));
                assert!(!remedies.is_empty());
                for hint in remedies {
                    assert!(hint.contains(remedy), "{file}: {hint}");
                    // Nor where every device must sign is one of them to be left out.
                    assert!(!hint.contains("doctor") && !hint.contains("let the other"), "{hint}");
                }
            }
        }
    }

    #[test]
    fn a_counter_of_pairings_that_does_not_fit_is_mended_by_the_command_in_its_hint() {
        let sandbox = Sandbox::with_device();
        sandbox.write("home/state/attempts.json", "{}");
        let remedies = remedies(&doctor(&sandbox).exits(71));
        let command = remedies[0].split('`').nth(1).unwrap();
        sandbox.run(command.split(' ').skip(1)).exits(0);
        doctor(&sandbox).exits(0);
    }

    #[test]
    fn a_home_that_cannot_be_written_is_not_healthy() {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["doctor", "--json", "--wait", "1ms"]);
        // Where no folder can be made, not even by root.
        let ended = Ended::of(command.env("COSIGN_HOME", "/proc/nobody")).exits(74);
        let disk = check(&ended, "disk");
        assert!(disk["status"] == "fail" && disk["found"].as_str().unwrap().contains("/proc"));
    }

    #[test]
    fn a_home_in_a_folder_that_others_may_read_is_healthy() {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("home")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(sandbox.path("home"), mode).unwrap();
        sandbox.write("passphrase", "correct horse battery staple\n");
        sandbox.run(["init", "--passphrase-file", "passphrase"]).exits(0);
        let ended = doctor(&sandbox);
        assert_eq!(check(&ended, "permissions")["status"], "ok");
    }

    #[test]
    fn a_passphrase_that_was_given_is_tried() {
        let sandbox = Sandbox::new();
        sandbox.write("right", "correct horse battery staple\n");
        sandbox.write("wrong", "wrong mule socket nail\n");
        sandbox.run(["init", "--passphrase-file", "right"]).exits(0);
        let device = |file: &str, exit| {
            let args = ["doctor", "--json", "--wait", "1ms", "--passphrase-file", file];
            check(&sandbox.run(args).exits(exit), "device")
        };
        let right = device("right", 0);
        assert!(right["found"].as_str().unwrap().contains("opens it"), "{right}");
        assert_eq!(device("wrong", 8)["status"], "fail");
        assert_eq!(device("gone", 10)["status"], "fail");
    }

    #[test]
    fn a_relay_that_cannot_be_reached_is_named() {
        let sandbox = Sandbox::with_device();
        let args = ["doctor", "--json", "--wait", "1ms", "--relay", "ws://127.0.0.1:1"];
        let relay = check(&sandbox.run(args).exits(4), "relay");
        assert!(relay["found"].as_str().unwrap().contains("ws://127.0.0.1:1"), "{relay}");
    }

    #[test]
    fn a_peer_that_does_not_answer_is_named() {
        let sandbox = Sandbox::with_device();
        let fingerprint = "2".repeat(64);
        let add = ["peers", "add", "bob", "--fingerprint", &fingerprint];
        let add = [&add[..], &["--identity", "identity.txt"]].concat();
        sandbox.run([&add[..], &["--address", "127.0.0.1:1"]].concat()).exits(0);
        let reach = check(&doctor(&sandbox).exits(0), "reach");
        assert!(reach["status"] == "warn" && reach["found"].as_str().unwrap().contains("bob"));
    }
}

mod completion {
    use super::*;

    #[test]
    fn pressing_tab_asks_nothing_and_makes_nothing() {
        let sandbox = Sandbox::new();
        sandbox.write("config.toml", "broken = [");
        for line in [&["sign", "--key", ""][..], &["pair", ""], &["id", "--frobnicate", ""]] {
            let args = ["complete", "zsh", "--", "cosign"].iter().chain(line);
            let mut command = sandbox.command(args);
            command.env("COSIGN_LOG", "log").env("COSIGN_IDENTITY", "gone");
            let ended = Ended::of(&mut command).exits(0);
            assert_eq!(ended.stderr(), "");
        }
        assert!(!sandbox.path("home").exists() && !sandbox.path("log").exists());
    }

    #[test]
    fn where_a_file_may_stand_files_are_offered() {
        let sandbox = Sandbox::new();
        sandbox.write("release.pem", "");
        for line in [&["verify", "--public-key", "rel"][..], &["sign", "--file", "rel"]] {
            let args = ["complete", "fish", "--", "cosign"].iter().chain(line);
            let ended = sandbox.run(args).exits(0);
            assert!(ended.stdout().starts_with("release.pem\t"), "{line:?}");
        }
    }

    #[test]
    fn a_locked_vault_gives_names_and_the_home_may_be_named_on_the_line() {
        let sandbox = Sandbox::with_device();
        let fingerprint = "2".repeat(64);
        let add = ["peers", "add", "bob", "--fingerprint", &fingerprint];
        sandbox.run([&add[..], &["--identity", "identity.txt"]].concat()).exits(0);
        let home = sandbox.path("home");
        let home = format!("--home={}", home.display());
        let line = ["complete", "fish", "--", "cosign", &home, "keygen", "--with", "b"];
        let mut command = sandbox.command(line);
        let ended = Ended::of(command.env("COSIGN_HOME", "elsewhere")).exits(0);
        assert_eq!(ended.stdout(), "bob\tdevice 2222222222222222\n");
    }
}

mod output {
    use super::*;

    #[test]
    fn the_log_file_keeps_what_quiet_does_not_show() {
        let sandbox = Sandbox::with_device();
        let args = ["id", "-q", "--log-file", "events"];
        assert_eq!(sandbox.run(args).exits(0).stderr(), "");
        let kept = std::fs::read_to_string(sandbox.path("events")).unwrap();
        let line: Value = serde_json::from_str(kept.lines().next().unwrap()).unwrap();
        assert!(line["time"].is_string() && line["event"] == "note", "{kept}");
    }

    #[test]
    fn a_file_for_the_result_leaves_standard_output_empty() {
        let sandbox = Sandbox::new();
        let ended = sandbox.run(["man", "pages"]).exits(0);
        assert!(ended.stdout().contains("pages"));
        assert!(sandbox.path("pages/cosign-sign.1").exists());
    }
}
