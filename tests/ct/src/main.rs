//! Whether the core's branches and addresses depend on secrets, as valgrind sees it (§11.5 of
//! docs/protocol.md).
//!
//! Without arguments it runs itself under valgrind, once for each case, and refuses what is reported and not listed.
//! `cosign-ct CASE` is what runs there.

mod verdict;
mod memcheck;
mod verdicts;

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cosign_core::curve::encode_scalar;
use cosign_core::hazmat::crypto::mul;
use cosign_core::hazmat::crypto::ot::{base, extension, tree};
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::PartyId;
use cosign_core::hazmat::protocol::key::KeyShare;
use cosign_core::hazmat::protocol::keygen::{KeygenSetup, keygen_with_seed};
use cosign_core::hazmat::protocol::machine::{Machine, Output, Persist, Protocol};
use cosign_core::hazmat::protocol::sign::{
    BatchItem, BatchSetup, BatchSigned, SignSetup, Signed, sign_batch_with_seed, sign_with_seed,
};
use cosign_core::Secret;
use k256::{Scalar, Secp256k1};
use memcheck::{public, secret};
use verdicts::Verdict;

const PAIR: [u8; 32] = [5; 32];
const TIMEOUT: Duration = Duration::from_secs(3600);

/// The cases whose reports must all be allowed.
const CASES: [(&str, fn()); 3] =
    [("multiplication", multiplication), ("signature", signature), ("batch", batch)];
/// The case that must be reported, or nothing is.
const CONTROL: &str = "leak";

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        None => run_all(),
        Some(_) if !memcheck::is_watching() => {
            eprintln!("without valgrind nothing is seen: run it without arguments");
            ExitCode::from(2)
        }
        Some(case) if case == CONTROL => {
            leak();
            ExitCode::SUCCESS
        }
        Some(case) => match CASES.into_iter().find(|(name, _)| *name == case) {
            Some((_, run)) => {
                run();
                ExitCode::SUCCESS
            }
            None => ExitCode::from(2),
        },
    }
}

fn run_all() -> ExitCode {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/src"));
    let mut used = BTreeSet::new();
    let mut wrong = 0;
    let control = watched(CONTROL);
    let refused = verdict::refused(&verdict::reports(&control), source, &mut used).len();
    println!("{CONTROL}: {refused} reports, as there must be");
    if refused < 2 {
        println!("a branch and an address that depend on a secret went unnoticed:\n{control}");
        wrong += 1;
    }
    for (case, _) in CASES {
        let output = watched(case);
        let reports = verdict::reports(&output);
        let refused = verdict::refused(&reports, source, &mut used);
        println!("{case}: {} reports, {} of them not allowed", reports.len(), refused.len());
        refused.iter().for_each(|text| println!("{text}"));
        wrong += refused.len();
    }
    for (at, verdict) in verdicts::VERDICTS.iter().enumerate() {
        let Verdict { file, line, why, .. } = verdict;
        if used.contains(&at) {
            println!("allowed at {file}: {line}\n    {why}");
        } else {
            println!("nothing is reported at {file}: {line}");
            wrong += 1;
        }
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Valgrind's report of a case.
fn watched(case: &str) -> String {
    let program = std::env::current_exe().expect("a path");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--error-limit=no", "--num-callers=30", "--fullpath-after="]);
    let output = valgrind.arg(program).arg(case).output().expect("apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{case} did not end well:\n{text}");
    text
}

/// The control: a branch and an address that depend on a secret, as a careless edit may make them.
fn leak() {
    let table: [u8; 16] = std::array::from_fn(|i| i as u8);
    let seed = secret_seed(1);
    let drawn: [u8; 32] = seed.bytes("leak");
    if black_box(drawn[0]) & 1 == 1 {
        black_box(());
        eprintln!("odd");
    }
    black_box(table[usize::from(black_box(drawn[1]) & 15)]);
}

/// A seed of which nothing is known.
fn secret_seed(byte: u8) -> SessionSeed {
    let bytes = Box::new([byte; 32]);
    secret(black_box(&*bytes));
    SessionSeed::from_bytes(*black_box(bytes))
}

/// Base transfers and trees: both halves. All that is sent is public then.
fn transfer() -> (tree::SenderTrees, tree::ReceiverTrees) {
    let (receiving, sending) = (secret_seed(1), secret_seed(2));
    let (receiver, ot1) = base::Receiver::<Secp256k1>::start(&PAIR, &receiving, 2);
    public(&ot1[..]);
    let (ot2, both) = base::send::<Secp256k1>(&PAIR, &sending, 1, &ot1).expect("points");
    public(&ot2[..]);
    let chosen = receiver.finish(&ot2).expect("points");
    let (sender, corrections) = tree::build::<Secp256k1>(&PAIR, both);
    public(&corrections[..]);
    let receiver = tree::evaluate::<Secp256k1>(&PAIR, chosen, &corrections).expect("a tree");
    (sender, receiver)
}

fn extension(
    (sender, receiver): (tree::SenderTrees, tree::ReceiverTrees),
) -> (extension::Extended<Secp256k1>, extension::Checked) {
    let (extended, message) = extension::extend(&PAIR, &sender, &secret_seed(3), "beta/1");
    public(&message[..]);
    let checked = extension::check::<Secp256k1>(&PAIR, &receiver, &message).expect("an honest message");
    (extended, checked)
}

fn multiplication() {
    let (extended, checked) = extension(transfer());
    let drawn = secret_seed(4);
    let inputs = Secret::new([drawn.scalar::<Secp256k1>("r"), drawn.scalar::<Secp256k1>("sk")]);
    let [first, second] = inputs.expose();
    let mask = Secret::new(drawn.scalar::<Secp256k1>("ahat"));
    let (message, c) = mul::multiply::<Secp256k1>(&PAIR, &[6; 32], checked, [first, second], mask);
    public(&message[..]);
    let d = mul::receive(&PAIR, &[6; 32], &extended, &message).expect("an honest message");
    for ((c, d), input) in c.expose().iter().zip(d.expose()).zip(inputs.expose()) {
        let sides = [*c + d, input * extended.chi()].map(|side| encode_scalar(&side));
        public(&sides);
        assert_eq!(sides[0], sides[1]);
    }
}

/// A whole signature of two. The key is made with nothing marked; the shares' secrets and all
/// randomness of the signature are.
fn signature() {
    let shares = marked();
    let setup = SignSetup {
        signers: PartyId::all(2).collect(),
        sign_id: [8; 32],
        digest: [9; 32],
        tweak: Scalar::ZERO,
        recipient: None,
    };
    let machine = |share: Arc<KeyShare>| {
        let seed = secret_seed(10 + share.me().get());
        sign_with_seed(share, setup.clone(), seed, TIMEOUT).expect("a setup")
    };
    let done = run(shares.into_iter().map(machine).collect(), |_| ());
    assert!(done.iter().all(|done| matches!(done, Signed::Signature(_))));
}

/// Two signatures of two at once.
fn batch() {
    let item = |digest| BatchItem { digest, tweak: Scalar::ZERO };
    let setup = BatchSetup {
        signers: PartyId::all(2).collect(),
        sign_id: [8; 32],
        items: vec![item([9; 32]), item([10; 32])],
        recipient: None,
    };
    let machine = |share: Arc<KeyShare>| {
        let seed = secret_seed(20 + share.me().get());
        sign_batch_with_seed(share, setup.clone(), seed, TIMEOUT).expect("a setup")
    };
    let done = run(marked().into_iter().map(machine).collect(), |_| ());
    assert!(done.iter().all(|done| matches!(done, BatchSigned::Signatures(_))));
}

/// The shares of a key of two, of which nothing is known.
fn marked() -> Vec<Arc<KeyShare>> {
    let shares = shares();
    shares.iter().for_each(|share| secret(share.secret().expose()));
    shares
}

/// The shares of a key of two, as they come from the disk with their secrets marked.
fn shares() -> Vec<Arc<KeyShare>> {
    let machine = |me: PartyId| {
        let setup =
            KeygenSetup { instance: [7; 32], threshold: 2, me, identities: vec![vec![1], vec![2]] };
        keygen_with_seed(setup, SessionSeed::from_bytes([me.get(); 32]), TIMEOUT).expect("a setup")
    };
    let mut stored = Vec::new();
    run(PartyId::all(2).map(machine).collect(), |persist| {
        if let Persist::PendingShare(pending) = persist {
            stored.push(pending.share.to_bytes());
        }
    });
    let read = |bytes: &Secret<Vec<u8>>| {
        // Zero seed, leaves and holes of the one pair (docs/protocol.md §3.6).
        let pair = bytes.expose().len() - 32832;
        secret(&bytes.expose()[pair..]);
        Arc::new(KeyShare::from_bytes(bytes.expose()).expect("a share"))
    };
    stored.iter().map(read).collect()
}

/// Runs machines to their ends. Sent bytes are public from then on.
fn run<P: Protocol<Curve = Secp256k1>>(mut machines: Vec<Machine<P>>, mut keep: impl FnMut(Persist)) -> Vec<P::Done> {
    #[expect(clippy::disallowed_methods, reason = "time stands still")]
    let now = Instant::now();
    machines.iter_mut().for_each(|machine| machine.start(now));
    let (mut mail, mut done) = (VecDeque::new(), Vec::new());
    loop {
        for machine in &mut machines {
            while let Some(output) = machine.poll() {
                match output {
                    Output::Send { to, bytes } => {
                        public(&bytes.expose()[..]);
                        mail.push_back((machine.me(), to, bytes));
                    }
                    Output::Persist(persist) => keep(persist),
                    Output::Done(result) => done.push(result),
                    Output::Failed(fault) => panic!("{fault}"),
                    Output::Event(_) => {}
                }
            }
        }
        let Some((from, to, bytes)) = mail.pop_front() else { return done };
        let receiver = machines.iter_mut().find(|machine| machine.me() == to);
        receiver.expect("a party").handle(now, from, bytes.expose());
    }
}
