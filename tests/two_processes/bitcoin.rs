//! Payments of Bitcoin: a watch-only wallet makes them of the exported descriptor, both devices see
//! them, and Bitcoin Core's interpreter takes what comes out.

use std::process::Command;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::psbt::Psbt;
use bitcoin::{Amount, ScriptBuf};
use cosign::driver::connect::hello::{hear, say};
use cosign::net::{Frame, Kind, Link};
use cosign::request::Hex;
use cosign::wire::{Message, Proposal, Reason, Source};
use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::device::{Device, text, two_with_key};
use crate::insider::{block_on, enter, only_key, opened, proposal, soon, until_closed};
use crate::wallet::{COIN, STRANGER, Wallet};

/// Bitcoin Core's interpreter takes the transaction, which spends what `psbt` does.
fn is_valid(raw: &[u8], psbt: &Psbt) {
    for (n, input) in psbt.inputs.iter().enumerate() {
        let spent = input.witness_utxo.as_ref().unwrap();
        let script = spent.script_pubkey.as_bytes();
        bitcoinconsensus::verify(script, spent.value.to_sat(), raw, None, n).unwrap();
    }
}

fn in_base64(text: &str) -> Psbt {
    Psbt::deserialize(&BASE64.decode(text).unwrap()).unwrap()
}

fn printed(device: &Device, args: &[&str]) -> String {
    let output = device.command(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_wallet_finalises_what_two_devices_sign() {
    let (alice, bob, mut listener) = two_with_key();
    let wallet = Wallet::of(&alice);
    for coins in [1, 25, 80] {
        let psbt = wallet.pays(COIN / 2, coins);
        alice.write("payment.psbt", psbt.serialize());
        let result = alice.run(["sign", "--psbt", "payment.psbt"]).succeeds();
        let seen = listener.event_where("request", |request| request["ceremony"] == "sign");
        assert_eq!(seen["payload"], result["payload"]);
        let payload = &result["payload"];
        assert_eq!((&payload["kind"], &payload["network"]), (&"psbt".into(), &"main".into()));
        assert_eq!(payload["outputs"][0]["to"]["address"], STRANGER);
        assert_eq!(payload["outputs"][0]["amount"], COIN / 2);
        assert_eq!(payload["outputs"][1]["path"], serde_json::json!([1, 3]));
        assert_eq!((&payload["leaves"], &payload["fee"]), (&(COIN / 2).into(), &10_000.into()));
        assert_eq!((&payload["inputs"], &payload["signs"]), (&coins.into(), &coins.into()));
        assert_eq!(payload["replaceable"], true);
        let signatures = result["signatures"].as_array().unwrap();
        assert_eq!(signatures.len(), usize::try_from(coins).unwrap());
        assert_eq!(signatures.last().unwrap()["path"], format!("m/0/{}", coins - 1));

        // The wallet's own finaliser, and ours.
        let signed = BASE64.decode(text(&result["psbt"])).unwrap();
        let mut signed = Psbt::deserialize(&signed).unwrap();
        miniscript::psbt::PsbtExt::finalize_mut(
            &mut signed,
            &bitcoin::secp256k1::Secp256k1::verification_only(),
        )
        .unwrap();
        let tx = signed.extract_tx().unwrap();
        let raw = bitcoin::consensus::serialize(&tx);
        is_valid(&raw, &psbt);
        assert_eq!(result["complete"], true);
        assert_eq!(text(&result["tx"]), hex::encode(&raw));
    }
    let log = bob.run(["log"]).succeeds();
    let entries = log["entries"].as_array().unwrap();
    let signed = entries.iter().rfind(|entry| entry["outcome"] == "signed").unwrap();
    assert_eq!(signed["payload"]["kind"], "psbt");
}

#[test]
fn a_payment_is_written_in_the_form_in_which_it_came_or_as_a_transaction() {
    let (alice, _bob, _listener) = two_with_key();
    let psbt = Wallet::of(&alice).pays(COIN / 2, 2);
    let bytes = psbt.serialize();
    alice.write("binary.psbt", &bytes);
    alice.write("text.psbt", BASE64.encode(&bytes) + "\n");
    let sign = |file: &str, more: &[&str]| {
        printed(&alice, &[&["sign", "-q", "--psbt", file], more].concat())
    };
    for file in ["binary.psbt", "text.psbt"] {
        let signed = sign(file, &[]);
        assert_eq!(in_base64(&signed).unsigned_tx, psbt.unsigned_tx);
        is_valid(&hex::decode(sign(file, &["--finalize"])).unwrap(), &psbt);
    }
    sign("binary.psbt", &["-o", "binary.signed"]);
    sign("text.psbt", &["-o", "text.signed"]);
    let signed = Psbt::deserialize(&std::fs::read(alice.path("binary.signed")).unwrap()).unwrap();
    let text = std::fs::read_to_string(alice.path("text.signed")).unwrap();
    assert_eq!(in_base64(text.trim()).unsigned_tx, signed.unsigned_tx);
    assert!(signed.inputs.iter().all(|input| input.partial_sigs.len() == 1));
}

#[test]
fn what_others_sign_too_is_given_as_a_psbt_and_no_transaction() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut psbt = Wallet::of(&alice).pays(COIN / 2, 2);
    let foreign = ScriptBuf::from_hex("0014e8df018c7e326cc253faac7e46cdc51e68542c42").unwrap();
    let input = &mut psbt.inputs[1];
    input.bip32_derivation.clear();
    let before = input.non_witness_utxo.as_mut().unwrap();
    before.output[0].script_pubkey = foreign;
    input.witness_utxo = Some(before.output[0].clone());
    psbt.unsigned_tx.input[1].previous_output.txid = before.compute_txid();
    alice.write("payment.psbt", psbt.serialize());
    bob.policy("[[rule]]\npeer = \"alice\"\nmax_fee = \"0.0001 BTC\"\naction = \"allow\"\n");
    let listener = bob.listen(&["--policy", "policy.toml"]);
    let sign = ["sign", "--psbt", "payment.psbt", "--peer", &listener.address()];
    let result = alice.run(sign).succeeds();
    assert_eq!((&result["complete"], result.get("tx")), (&false.into(), None));
    assert_eq!(result["signatures"].as_array().unwrap().len(), 1);
    alice.run([&sign[..], &["--finalize"]].concat()).fails(1, "others have to sign too");
}

#[test]
fn a_payment_is_shown_without_asking_anybody() {
    let (alice, bob, _listener) = two_with_key();
    let before = bob.outcomes();
    let mut psbt = Wallet::of(&alice).pays(COIN / 2, 1);
    alice.write("payment.psbt", psbt.serialize());
    let card = printed(&alice, &["show", "--psbt", "payment.psbt", "--key", "vault"]);
    let address = "bc1q ar0s rrr7 xfkv y5l6 43ly dnw9 re59 gtzz wf5m dq";
    for line in [
        "leaves       0.50000000 BTC",
        "fee          0.00010000 BTC",
        "output       0: 0.50000000 BTC to",
        address,
        "output       1: 0.49990000 BTC back to this key, at m/1/3",
    ] {
        assert!(card.contains(line), "{line}\n{card}");
    }
    // Its path is not the change's.
    let (_, source) = psbt.outputs[1].bip32_derivation.first_key_value().unwrap();
    let (fingerprint, _) = source.clone();
    let wrong = (fingerprint, bitcoin::bip32::DerivationPath::from_str("m/1/4").unwrap());
    *psbt.outputs[1].bip32_derivation.first_entry().unwrap().get_mut() = wrong;
    alice.write("payment.psbt", psbt.serialize());
    let shown = alice.run(["show", "--psbt", "payment.psbt", "--network", "test"]).succeeds();
    assert_eq!(shown["payload"]["leaves"], COIN - 10_000);
    let warnings = shown["payload"]["warnings"].as_array().unwrap();
    assert_eq!(warnings[0]["kind"], "not_main");
    assert_eq!(warnings[1], serde_json::json!({"kind": "false_return", "output": 1}));
    assert!(text(&shown["payload"]["outputs"][0]["to"]["address"]).starts_with("tb1q"));
    assert_eq!(bob.outcomes(), before);
}

#[test]
fn a_payment_that_is_not_signed_is_refused_at_once_with_the_reason() {
    let (alice, bob, _listener) = two_with_key();
    let before = bob.outcomes();
    let wallet = Wallet::of(&alice);
    let honest = wallet.pays(COIN / 2, 2);
    let refused = |content: Vec<u8>, words: &str| {
        alice.write("payment.psbt", content);
        alice.run(["sign", "--psbt", "payment.psbt"]).fails(2, words);
    };
    refused(b"no payment!".to_vec(), "no PSBT");
    let bytes = honest.serialize();
    refused(bytes[..bytes.len() - 1].to_vec(), "it ends early");
    refused([&bytes[..], &[0]].concat(), "bytes follow its end");
    refused([&b"psbt\xff"[..], &vec![0; 1 << 20]].concat(), "longer than 1048576 bytes");
    let with = |change: &dyn Fn(&mut Psbt)| {
        let mut psbt = honest.clone();
        change(&mut psbt);
        psbt.serialize()
    };
    let none = bitcoin::EcdsaSighashType::None.into();
    refused(
        with(&|psbt| psbt.inputs[1].sighash_type = Some(none)),
        "input 1: only the whole payment",
    );
    refused(
        with(&|psbt| psbt.inputs[1].witness_utxo.as_mut().unwrap().value = Amount::from_sat(7)),
        "input 1: witness_utxo contradicts",
    );
    refused(
        with(&|psbt| psbt.inputs.iter_mut().for_each(|input| input.bip32_derivation.clear())),
        "no input is of this key",
    );
    refused(wallet.pays(COIN, 300).serialize(), "more than 256 times");
    assert_eq!(bob.outcomes(), before);
}

#[test]
fn a_payment_that_bob_does_not_read_as_it_is_announced_is_refused_and_nobody_is_asked() {
    let (alice, bob, listener) = two_with_key();
    let psbt = Wallet::of(&alice).pays(COIN / 2, 1);
    let insider = opened(&alice);
    let record = only_key(&insider);
    let honest = psbt.serialize();
    let of = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
    let mut richer = psbt.clone();
    richer.inputs[0].witness_utxo.as_mut().unwrap().value = Amount::from_sat(2 * COIN);
    let richer = richer.serialize();
    let mut foreign = psbt;
    foreign.inputs[0].bip32_derivation.clear();
    let foreign = foreign.serialize();
    let source = |bytes: &[u8], network: &str| Source::Psbt {
        network: network.to_owned(),
        size: bytes.len() as u64,
    };
    let lies = [
        ("another payment", source(&richer, "main"), of(&honest), richer.clone(), vec![]),
        ("a contradiction", source(&richer, "main"), of(&richer), richer, vec![]),
        ("of nobody's", source(&foreign, "main"), of(&foreign), foreign, vec![]),
        ("no payment", source(b"psbt", "main"), of(b"psbt"), b"psbt".to_vec(), vec![]),
    ];
    block_on(async {
        for (what, source, digest, bytes, path) in lies {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let proposal =
                Proposal { source, digest: Hex(digest), path, ..proposal(&insider, &record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            link.send(Frame::new(Kind::Payload, bytes)).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert_eq!(answer, Ok(Message::Refuse { reason: Reason::Payload }), "{what}");
            until_closed(link).await;
        }
        // A path beside those of the payment, or a network that is not known, is no proposal.
        for (network, path) in [("main", vec![0, 7]), ("moon", vec![])] {
            let mut link = enter(&insider.tls, &listener.address()).await;
            let source = source(&honest, network);
            let digest = Hex(of(&honest));
            let proposal = Proposal { source, digest, path, ..proposal(&insider, &record) };
            say(&mut link, &Message::Propose(Box::new(proposal))).await.unwrap();
            let answer = hear(&mut link, soon()).await;
            assert!(matches!(answer, Ok(Message::Refuse { .. })), "{answer:?}");
            until_closed(link).await;
        }
    });
    let outcomes = bob.outcomes();
    assert!(outcomes.iter().all(|outcome| outcome != "signed"), "{outcomes:?}");
}

#[test]
fn rules_are_about_what_leaves() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let payment = Wallet::of(&alice).pays(COIN / 2, 2).serialize();
    alice.write("payment.psbt", &payment);
    bob.write("payment.psbt", &payment);
    let decided = |fields: &str| -> i32 {
        bob.policy(&format!(
            "[[rule]]\npeer = \"alice\"\nceremony = \"sign\"\npayload = \"psbt\"\n{fields}\naction = \"allow\"\n"
        ));
        let listener = bob.listen(&["--policy", "policy.toml"]);
        let ended = alice.run(["sign", "--psbt", "payment.psbt", "--peer", &listener.address()]);
        let asked = ["--request", "peer=alice", "key=vault", "psbt=payment.psbt"];
        let check = bob.run([&["policy", "check", "policy.toml"], &asked[..]].concat());
        assert_eq!(check.code, ended.code, "policy check says what the listener does: {fields}");
        ended.code.unwrap()
    };
    for (fields, code) in [
        ("", 0),
        ("network = \"main\"\nmax_amount = \"0.5 BTC\"\nmax_fee = \"0.0001 BTC\"", 0),
        ("network = \"test\"", 9),
        ("max_amount = \"0.49999999 BTC\"", 9),
        ("max_amount = \"1 ETH\"", 9),
        ("max_fee = \"0.00009999 BTC\"", 9),
        (&format!("to = [\"{STRANGER}\", \"own\"]"), 0),
        (&format!("to = [\"own\", \"{}\"]", STRANGER.to_uppercase()), 0),
        (&format!("to = [\"{STRANGER}\"]"), 9),
        ("to = [\"own\"]", 9),
        ("to = []", 9),
        ("digest = [\"5a7f000000000000000000000000000000000000000000000000000000000000\"]", 9),
        ("chain = 1", 9),
        ("method = [\"transfer\"]", 9),
    ] {
        assert_eq!(decided(fields), code, "{fields}");
    }
}

#[test]
fn a_rule_without_a_limit_for_the_fee_lets_no_doubtful_one_pass() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    let mut psbt = Wallet::of(&alice).pays(COIN / 2, 1);
    psbt.unsigned_tx.output[1].value = Amount::from_sat(1000);
    alice.write("payment.psbt", psbt.serialize());
    for (fields, code) in [
        (&format!("to = [\"{STRANGER}\", \"own\"]\nmax_amount = \"1 BTC\"")[..], 9),
        ("", 9),
        ("max_fee = \"0.4 BTC\"", 9),
        ("max_fee = \"0.5 BTC\"", 0),
        ("max_fee = \"0.5 BTC\"\nmax_per_day = \"0.9 BTC\"", 9),
    ] {
        bob.policy(&format!("[[rule]]\npeer = \"alice\"\n{fields}\naction = \"allow\"\n"));
        let listener = bob.listen(&["--policy", "policy.toml"]);
        let ended = alice.run(["sign", "--psbt", "payment.psbt", "--peer", &listener.address()]);
        assert_eq!(ended.code, Some(code), "{fields}");
    }
}

#[test]
fn a_rule_that_denies_a_key_denies_the_payments_that_it_would_sign() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    alice.write("payment.psbt", Wallet::of(&alice).pays(COIN / 2, 2).serialize());
    for (denied, code) in [("vault/0/1", 9), ("vault/0/2", 0)] {
        let rule = |key: &str, action: &str| {
            format!("[[rule]]\npeer = \"alice\"\nkey = \"{key}\"\naction = \"{action}\"\n")
        };
        bob.policy(&(rule(denied, "deny") + &rule("vault", "allow")));
        let listener = bob.listen(&["--policy", "policy.toml"]);
        let ended = alice.run(["sign", "--psbt", "payment.psbt", "--peer", &listener.address()]);
        assert_eq!(ended.code, Some(code), "{denied}");
    }
}

#[test]
fn a_path_beside_those_of_the_payment_is_refused_here() {
    let (alice, _bob, _listener) = two_with_key();
    alice.write("payment.psbt", Wallet::of(&alice).pays(COIN / 2, 1).serialize());
    for command in ["sign", "show"] {
        let path = [command, "--psbt", "payment.psbt", "--key", "vault/0/0"];
        alice.run(path).fails(2, "a payment says itself which keys");
    }
}

#[test]
fn what_leaves_within_a_day_counts_across_a_kill() {
    let (alice, bob, listener) = two_with_key();
    drop(listener);
    alice.write("payment.psbt", Wallet::of(&alice).pays(COIN / 2, 1).serialize());
    bob.policy("[[rule]]\npeer = \"alice\"\npayload = \"psbt\"\nmax_per_day = \"1.2 BTC\"\naction = \"allow\"\n");
    for code in [0, 0, 9] {
        let listener = bob.listen(&["--policy", "policy.toml"]);
        let ended = alice.run(["sign", "--psbt", "payment.psbt", "--peer", &listener.address()]);
        assert_eq!(ended.code, Some(code));
        listener.signal(Signal::KILL);
    }
}

/// The payment in the README's terms: python-bitcoinlib computes the same hash of what is signed.
#[test]
fn another_library_computes_the_same_hash() {
    let (alice, _bob, _listener) = two_with_key();
    let psbt = Wallet::of(&alice).pays(COIN / 2, 3);
    alice.write("payment.psbt", psbt.serialize());
    let result = alice.run(["sign", "--psbt", "payment.psbt"]).succeeds();
    let script = "import sys\n\
        from bitcoin.core import CTransaction, b2x, x\n\
        from bitcoin.core.script import CScript, SIGHASH_ALL, SIGVERSION_WITNESS_V0, SignatureHash\n\
        tx, script, n, amount = CTransaction.deserialize(x(sys.argv[1])), *sys.argv[2:]\n\
        code = CScript(b'\\x76\\xa9' + x(script)[1:] + b'\\x88\\xac')\n\
        print(b2x(SignatureHash(code, tx, int(n), SIGHASH_ALL, int(amount), SIGVERSION_WITNESS_V0)))";
    let unsigned = hex::encode(bitcoin::consensus::serialize(&psbt.unsigned_tx));
    for (n, signature) in result["signatures"].as_array().unwrap().iter().enumerate() {
        let spent = psbt.inputs[n].witness_utxo.as_ref().unwrap();
        let (program, n) = (spent.script_pubkey.to_hex_string(), n.to_string());
        let arguments = [&unsigned, &program, &n, &COIN.to_string()];
        let output = Command::new("/usr/bin/python3").args(["-c", script]).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let hash: Value = String::from_utf8(output.stdout).unwrap().trim().into();
        assert_eq!(hash, signature["digest"]);
    }
}

#[test]
fn both_devices_show_the_addresses_that_the_wallet_gives_out() {
    let (alice, bob, _listener) = two_with_key();
    let wallet = Wallet::of(&alice);
    for device in [&alice, &bob] {
        let shown =
            device.run(["keys", "address", "vault", "--index", "1", "--count", "2"]).succeeds();
        assert_eq!(shown["addresses"][0]["address"], wallet.receives(1));
        assert_eq!(shown["addresses"][1]["path"], "vault/0/2");
        assert_eq!(shown["addresses"][1]["address"], wallet.receives(2));
        let is = |address: &str| device.run(["keys", "address", "vault", "--is", address]);
        let own = wallet.receives(999);
        for text in [
            own.clone(),
            own.to_uppercase(),
            format!("bitcoin:{own}?amount=0.1"),
            format!("BITCOIN:{}", own.to_uppercase()),
        ] {
            assert_eq!(is(&text).succeeds()["addresses"][0]["path"], "vault/0/999");
        }
        is(STRANGER).fails(1, "none of the first 1000 addresses").fails(1, "do not send");
        is(&wallet.receives(1000)).fails(1, "none of the first 1000 addresses");
        is("bc1qnonsense").fails(2, "no address of Bitcoin");
    }
    let code = printed(&alice, &["keys", "address", "vault", "--qr"]);
    assert!(code.contains('\u{2580}') && !code.contains('\u{1b}'), "{code}");
    let test = printed(&alice, &["keys", "address", "vault", "--network", "test", "--change"]);
    assert!(test.starts_with("vault/1/0  tb1q"), "{test}");
}
