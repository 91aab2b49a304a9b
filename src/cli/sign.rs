//! `cosign sign`: a digest, the other devices' consent, a signature.

mod files;
mod payment;

use std::sync::Arc;

use files::Places;
use payment::{Form, SignedPayment};
use serde::Serialize;

use crate::cli::approver::OneDigest;
use crate::cli::args::{Deliver, KeyName, SignArgs, SignatureFormat};
use crate::cli::ceremony::{
    Choice, Setup, holders, key, parties, peer, pick, targets, unopened, with_node,
};
use crate::cli::digest::{self, Digest};
use crate::cli::output::{Body, Sink};
use crate::cli::{Global, Output, runtime, signature};
use crate::device::{Fingerprint, Label, hex};
use crate::driver::ceremony::sign::{self, Outcome, ToSign};
use crate::driver::connect::target::Target;
use crate::driver::error::Error;
use crate::driver::listen::{Done, Listener, Place, Visit};
use crate::driver::on_curve::Signature;
use crate::driver::{clock, records};
use crate::payload::curve::Curve;
use crate::payload::ethereum::Account;
use crate::payload::openpgp::Form as OpenPgpForm;
use crate::payload::{HashFunction, Kind, MessageFormat, Source, Summary, jws, openpgp};
use crate::progress::PartyView;
use crate::report::{self, Code, Failure};
use crate::request::{CERTIFICATE, RequestId, below};
use crate::vault::{Home, KeyRecord, PeerRecord, Vault, keys};

#[derive(Debug, Serialize)]
pub(super) struct SignatureResult<'a> {
    key: &'a str,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Summary>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureView>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ethereum: Option<Ethereum>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    formed: Option<Formed>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    payment: Option<SignedPayment>,
    /// Those of several files, or of a payment's inputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<OneSignature<'a>>,
    parties: &'a [PartyView],
    delivered_to: Vec<String>,
    request_id: &'a str,
    /// Whether it was made for an earlier request with this id.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// A signature, where this device received it.
#[derive(Debug, Serialize)]
struct SignatureView {
    der: String,
    r: String,
    s: String,
    recovery_id: u8,
    public_key: String,
    low_s: bool,
}

/// The signature of one of several files, or of an input of a payment.
#[derive(Debug, Serialize)]
struct OneSignature<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The number of the input, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<usize>,
    /// The path of the key that signs the input: `m/0/7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    digest: String,
    #[serde(flatten)]
    signature: SignatureView,
}

impl SignatureView {
    fn under(public_key: &[u8; 33], signature: &Signature) -> Self {
        let compact = signature.compact();
        let (r, s) = compact.split_at(32);
        Self {
            der: hex(&signature.der()),
            r: hex(r),
            s: hex(s),
            recovery_id: signature.recovery_id,
            public_key: hex(public_key),
            low_s: true,
        }
    }
}

/// What is for Ethereum, in the forms of its tools.
#[derive(Debug, Serialize)]
struct Ethereum {
    /// The account that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Account>,
    /// `r`, `s` and 27 or 28.
    signature: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    transaction: Option<SignedTransaction>,
}

/// A signed transaction.
#[derive(Debug, Serialize)]
struct SignedTransaction {
    /// As a node takes it.
    raw: String,
    /// Its Keccak-256, by which it is known on the chain.
    hash: String,
}

impl Ethereum {
    /// `None` if the payload is not for Ethereum.
    fn of(outcome: &Outcome, signature: &Signature) -> Option<Self> {
        let payload = outcome.payload.as_ref()?;
        match payload.summary() {
            Summary::EthTx(_) | Summary::TypedData(_) => {}
            Summary::Message(message) if message.format == MessageFormat::Ethereum => {}
            Summary::Message(_)
            | Summary::File(_)
            | Summary::Files(_)
            | Summary::Psbt(_)
            | Summary::Jws(_)
            | Summary::OpenPgp(_)
            | Summary::OpenPgpKey(_)
            | Summary::Git(_) => return None,
        }
        let transaction = payload.transaction().map(|transaction| {
            let raw = signature::raw(&transaction, signature);
            let hash = HashFunction::Keccak256.of(&raw);
            SignedTransaction { raw: format!("0x{}", hex(&raw)), hash: format!("0x{}", hex(&hash)) }
        });
        let from = Account::of_key(&outcome.public_key);
        Some(Self { from, signature: signature::ethereum(signature), transaction })
    }
}

/// A signature in a form of its own, with what it is of.
#[derive(Debug, Serialize)]
pub(super) enum Formed {
    /// Compact.
    #[serde(rename = "jws")]
    Jws(String),
    /// Armoured, with its line ends.
    #[serde(rename = "openpgp")]
    OpenPgp(String),
}

impl Formed {
    /// `None` if the payload has no such form.
    pub(super) fn of(outcome: &Outcome, signature: &Signature) -> Option<Self> {
        let payload = outcome.payload.as_ref()?;
        let (file, signature) = (payload.bytes(), signature.compact());
        let curve = Curve::named(outcome.curve);
        let key = || openpgp::Key::new(curve, &outcome.public_key);
        match payload.summary() {
            Summary::Jws(_) => Some(Self::Jws(jws::compact(curve, file, &signature))),
            Summary::OpenPgp(of) => {
                key()?.signed(of.form, of.time, file, &signature).ok().map(Self::OpenPgp)
            }
            Summary::OpenPgpKey(of) => {
                let certificate = key()?.certificate(&of.user_id, of.time, of.expires, &signature);
                certificate.ok().map(Self::OpenPgp)
            }
            Summary::Git(of) => {
                let signed = key()?.signed(OpenPgpForm::Detached, of.time, file, &signature);
                signed.ok().map(Self::OpenPgp)
            }
            _ => None,
        }
    }
}

/// `cosign sign`
pub(super) fn run_sign(global: &Global, mut args: SignArgs) -> Result<Output, Failure> {
    digest_after_with(&mut args);
    let digest =
        digest::of_any(args.digest.as_deref(), &args.payload, &args.payment, global.deadline)?
            .formed(args.format)?;
    if args.detached && args.format != Some(SignatureFormat::Jws) {
        return Err(Failure::new(Code::Usage, "--detached is for --format jws")
            .hint("leave it out: the file is in no other signature"));
    }
    if args.wait && digest.source.time().is_some() {
        let message = "--wait is for one digest, and this one has the time of the request in it";
        let hint = format!("approve it in {}", report::here(&["listen"], &[]));
        return Err(Failure::new(Code::Usage, message).hint(hint));
    }
    if let Some(payment) = &digest.payment {
        let form = Form::new(&args, payment.is_binary, global.args.json)?;
        return form.deliver(&made(global, args, digest)?);
    }
    if let Source::Files { files, .. } = &digest.source {
        let places = Places::new(&args, files, global.args.json)?;
        let format = args.format;
        return places.deliver(&made(global, args, digest)?, format);
    }
    let own = match digest.source {
        Source::Message { format, .. } => Some(signature::format_of(format)),
        Source::TypedData { .. } => Some(SignatureFormat::Ethereum),
        // A transaction is written with its signature in it, which no format is.
        Source::Digest
        | Source::File { .. }
        | Source::Files { .. }
        | Source::EthTx { .. }
        | Source::Psbt { .. }
        | Source::Jws { .. }
        | Source::OpenPgp { .. }
        | Source::OpenPgpKey { .. }
        | Source::Git { .. } => None,
    };
    let (format, detached) = (args.format.or(own), args.detached);
    let binary = signature::is_binary(format);
    let sink = Sink::new(args.output.as_deref(), binary, global.args.json)?;
    if !args.force {
        sink.is_new()?;
    }
    deliver(&made(global, args, digest)?, (format, detached), &sink)
}

pub(super) fn made(global: &Global, args: SignArgs, digest: Digest) -> Result<Outcome, Failure> {
    if args.wait { wait(global, &args, &digest) } else { ask(global, args, digest) }
}

/// In `--with bob DIGEST`, `--with` takes all following arguments, so the digest may be the last of
/// its values.
fn digest_after_with(args: &mut SignArgs) {
    let is_digest = |text: &String| crate::pasted::digest(text).is_some();
    let is_given = args.payload.is_given() || args.payment.psbt.is_some();
    if args.digest.is_none() && !is_given && args.with.len() > 1 {
        args.digest = args.with.pop_if(|last| is_digest(last));
    }
}

fn ask(global: &Global, mut args: SignArgs, digest: Digest) -> Result<Outcome, Failure> {
    let request_id = match &args.request_id {
        Some(id) => RequestId::new(id).ok_or_else(|| {
            Failure::new(Code::Usage, format!("--request-id {id:?} is no id"))
                .hint("use 1 to 64 letters, digits, dots, dashes and underscores")
        })?,
        None => clock::request_id()?,
    };
    if request_id.is_of_certificate() && digest.source.kind() != Kind::OpenPgpKey {
        let why = format!("ids that begin with {CERTIFICATE:?} are those of certificates");
        return Err(Failure::new(Code::Usage, why).hint("use another --request-id"));
    }
    let (name, path) = KeyName::with(args.key.as_ref(), args.path.as_ref())?;
    let home = unopened(global)?;
    // Asked once; afterwards the chosen names are in `args`.
    let plan = runtime::ask(Plan::of(global, &home, name.as_deref(), &args))?;
    let name = plan.key;
    let digest = digest.on(records::active(&home, &name)?.curve, &path)?;
    if digest.keyed.is_none() {
        sign::is_free(&home, &request_id, &digest.bytes)?;
    }
    // Given names are looked up once more, in the authenticated home.
    if args.with.is_empty() {
        args.with = plan.cosigners.iter().map(|peer| peer.fingerprint.to_hex()).collect();
    }
    with_node(global, None, Setup::from(&args.reach), |node| async move {
        let Plan { key, recipient, with, .. } =
            Plan::of(global, &node.home, Some(&name), &args).await?;
        let digest = digest.signed_by(&path, || Ok(sign::reads(&node, &key)?))?;
        let wanted = ToSign {
            key,
            digest: digest.bytes,
            source: digest.source,
            payload: digest.payload,
            from: digest.from,
            purpose: Label::new(args.purpose.as_deref().unwrap_or_default()),
            with,
            recipient,
            request_id,
            path,
        };
        Ok(sign::request(&node, &wanted).await?)
    })
}

/// The parameters that a command line has on this device.
struct Plan {
    /// The key's name.
    key: String,
    /// The other signers.
    cosigners: Vec<PeerRecord>,
    /// The routes to them.
    with: Vec<Target>,
    /// The receiver of the signature; `None` for all signers.
    recipient: Option<Fingerprint>,
}

impl Plan {
    async fn of(
        global: &Global,
        home: &Home,
        name: Option<&str>,
        args: &SignArgs,
    ) -> Result<Self, Failure> {
        let named = key(global, home, name, "--key NAME").await?;
        let record = records::active(home, &named.name)?;
        let cosigners = cosigners(global, home, &record, &args.with).await?;
        let recipient = recipient(home, &record, &cosigners, args.deliver_to.as_ref())?;
        let with = targets(&cosigners, &args.reach)?;
        Ok(Self { key: record.name, cosigners, with, recipient })
    }
}

/// `sign --wait`: approves this digest under this key once, and ends.
fn wait(global: &Global, args: &SignArgs, digest: &Digest) -> Result<Outcome, Failure> {
    let (name, path) = KeyName::with(args.key.as_ref(), args.path.as_ref())?;
    let home = unopened(global)?;
    let name = match name {
        Some(name) => name,
        None => {
            let mut records = keys::list(&home)?;
            records.dedup_by(|a, b| a.name == b.name);
            match records.as_slice() {
                [only] => only.name.clone(),
                [] => return Err(report::no_key("default")),
                _ => {
                    return Err(Failure::new(Code::Usage, "there are several keys")
                        .hint("name one with --key"));
                }
            }
        }
    };
    let record = records::active(&home, &name)?;
    let digest = &digest.clone().on(record.curve, &path)?;
    if digest.payment.is_some() && !path.is_empty() {
        return Err(report::payment_with_path());
    }
    let approver = OneDigest::new(digest, &record.public_key, path, global.screen.clone());
    let place = Place { bind: args.bind, port: args.port, stdio: false };
    // It runs in a script, so there is no full screen.
    let setup = Setup { lines: true, ..Setup::from(&args.reach) };
    let chosen: Choice = Box::new(move |_| Ok(Arc::new(approver)));
    with_node(global, Some(chosen), setup, |node| async move {
        if records::active(&node.home, &name)?.public_key != record.public_key {
            return Err(Error::ChangedMeanwhile(name).into());
        }
        let listener = Listener::open(&node, &place).await?;
        let mut visits = listener.serve(&node);
        loop {
            let visit = match node.deadline {
                None => visits.recv().await,
                Some(deadline) => tokio::time::timeout_at(deadline.into(), visits.recv())
                    .await
                    .map_err(|_| report::nobody_came())?,
            };
            let Some(Visit { begun, result }) = visit else {
                return Err(report::bug("the listener stopped"));
            };
            match result {
                Ok(Done::Signed(outcome)) => return Ok(*outcome),
                // A session that has begun has used the approval up.
                Err(error) if begun => return Err(error.into()),
                // Another request was refused, or the approved one never started, so it may still
                // come.
                Ok(Done::Key(_) | Done::Paired(_)) | Err(_) => {}
            }
        }
    })
}

/// The other signers: the named ones, or all others if all must sign, or chosen ones.
async fn cosigners(
    global: &Global,
    home: &Home,
    record: &KeyRecord,
    with: &[String],
) -> Result<Vec<PeerRecord>, Failure> {
    let others = parties(home, record)?;
    let needed = usize::from(record.threshold).saturating_sub(1);
    // While a reshare is unconfirmed here, others may have only the shares after it.
    let held = records::held(home, &record.name)?;
    let may_be =
        |chosen: usize| held.iter().any(|r| usize::from(r.threshold) == chosen.saturating_add(1));
    if !with.is_empty() {
        let known = holders(home, &record.name)?;
        let mut chosen: Vec<PeerRecord> = Vec::new();
        for text in with {
            let found = peer(&known, text)
                .map_err(|_| report::no_share_there(Label::new(text).as_str(), &record.name))?;
            if !chosen.iter().any(|c| c.fingerprint == found.fingerprint) {
                chosen.push(found.clone());
            }
        }
        if !may_be(chosen.len()) {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "the key {:?} is signed by {} devices: --with names {}, not {needed}",
                    record.name,
                    record.threshold,
                    chosen.len()
                ),
            ));
        }
        return Ok(chosen);
    }
    if others.len() == needed {
        return Ok(others);
    }
    if needed == 1 {
        let names: Vec<String> = others.iter().map(|p| p.name.clone()).collect();
        let index = pick(global, "cosigner", "--with PEER", &names).await?;
        return Ok(others.get(index).cloned().into_iter().collect());
    }
    let names: Vec<&str> = others.iter().map(|p| p.name.as_str()).collect();
    Err(Failure::new(
        Code::Usage,
        format!("{needed} of these must sign with this device: {}", names.join(", ")),
    )
    .hint("name them with --with"))
}

/// The receiver of the signature.
fn recipient(
    home: &Home,
    record: &KeyRecord,
    cosigners: &[PeerRecord],
    deliver: Option<&Deliver>,
) -> Result<Option<Fingerprint>, Failure> {
    let own = Vault::device(home)?;
    match deliver {
        None | Some(Deliver::Requester) => Ok(Some(own.fingerprint)),
        Some(Deliver::Both) => Ok(None),
        Some(Deliver::Cosigner) => match cosigners {
            [only] => Ok(Some(only.fingerprint)),
            several => {
                let names: Vec<&str> = several.iter().map(|p| p.name.as_str()).collect();
                Err(Failure::new(
                    Code::Usage,
                    format!("--deliver-to cosigner is not one device: {}", names.join(", ")),
                )
                .hint("name one with --deliver-to PEER"))
            }
        },
        Some(Deliver::Peer(text)) => {
            if *text == own.name {
                return Ok(Some(own.fingerprint));
            }
            peer(cosigners, text)
                .map(|found| Some(found.fingerprint))
                .map_err(|_| report::no_share_there(Label::new(text).as_str(), &record.name))
        }
    }
}

/// The result for a signature without a format, as its requester gets it.
pub(super) fn output(outcome: &Outcome) -> Result<Output, Failure> {
    let format = match outcome.payload.as_ref().map(|payload| payload.summary()) {
        Some(Summary::Message(message)) => Some(signature::format_of(message.format)),
        Some(Summary::TypedData(_)) => Some(SignatureFormat::Ethereum),
        Some(Summary::Files(_)) => return Output::new(view(outcome), files::list(outcome)),
        Some(Summary::Psbt(_)) => return Form::default().deliver(outcome),
        Some(
            Summary::File(_)
            | Summary::EthTx(_)
            | Summary::Jws(_)
            | Summary::OpenPgp(_)
            | Summary::OpenPgpKey(_)
            | Summary::Git(_),
        )
        | None => None,
    };
    deliver(outcome, (format, false), &Sink::Stdout)
}

pub(super) fn view(outcome: &Outcome) -> SignatureResult<'_> {
    let only = match outcome.signatures.as_slice() {
        [only] if outcome.inputs().next().is_none() => Some(only),
        _ => None,
    };
    let files = outcome.files().map(|(file, signature)| OneSignature {
        name: Some(file.name.as_str()),
        input: None,
        path: None,
        digest: file.digest.clone(),
        signature: SignatureView::under(&outcome.public_key, signature),
    });
    let inputs = outcome.inputs().map(|(item, signature)| OneSignature {
        name: None,
        input: Some(item.input),
        path: Some(below("m", &item.path)),
        digest: hex(&item.digest),
        signature: SignatureView::under(&item.public_key, signature),
    });
    SignatureResult {
        key: &outcome.key,
        digest: hex(&outcome.digest),
        payload: outcome.payload.as_ref().map(|payload| payload.summary()),
        signature: only.map(|signature| SignatureView::under(&outcome.public_key, signature)),
        ethereum: only.and_then(|signature| Ethereum::of(outcome, signature)),
        formed: only.and_then(|signature| Formed::of(outcome, signature)),
        payment: SignedPayment::of(outcome),
        signatures: files.chain(inputs).collect(),
        parties: &outcome.parties,
        delivered_to: outcome.delivered_to.iter().map(|p| p.name.to_string()).collect(),
        request_id: outcome.request_id.as_str(),
        repeated: outcome.repeated,
        warning: outcome.unlogged.as_deref().map(report::unlogged),
    }
}

fn delivered_elsewhere(outcome: &Outcome) -> String {
    let names: Vec<String> = outcome.delivered_to.iter().map(|p| p.name.to_string()).collect();
    format!("the signature was delivered to {}", names.join(", "))
}

/// Writes the signature in the requested format, without what is signed if it is to be `detached`.
fn deliver(
    outcome: &Outcome,
    (format, detached): (Option<SignatureFormat>, bool),
    sink: &Sink,
) -> Result<Output, Failure> {
    let mut result = view(outcome);
    let [signature] = outcome.signatures.as_slice() else {
        return Output::new(result, delivered_elsewhere(outcome));
    };
    let to_file = matches!(sink, Sink::File(_));
    if detached {
        let curve = Curve::named(outcome.curve);
        result.formed = Some(Formed::Jws(jws::detached(curve, &signature.compact())));
    }
    let bytes = match (&result.ethereum, &result.formed, format) {
        (Some(Ethereum { transaction: Some(signed), .. }), _, None) => {
            format!("{}\n", signed.raw).into_bytes()
        }
        (_, Some(Formed::Jws(jws)), _) => format!("{jws}\n").into_bytes(),
        (_, Some(Formed::OpenPgp(armour)), _) => armour.clone().into_bytes(),
        _ => signature::encode(signature, format, to_file, &result)?,
    };
    match sink.put(bytes) {
        Ok(body) => Output::with_body(result, body),
        // The signature exists and will not be made again, so the message contains it.
        Err(failure) => {
            let message =
                format!("{}; the signature is {}", failure.message, hex(&signature.der()));
            let failure = Failure { message, ..failure };
            Ok(Output::with_body(result, Body::Nothing)?.but(failure))
        }
    }
}
