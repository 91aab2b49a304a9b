//! `cosign sign`: a digest, the other devices' consent, a signature.

use std::sync::Arc;

use serde::Serialize;

use crate::cli::approver::OneDigest;
use crate::cli::args::{Deliver, SignArgs, SignatureFormat};
use crate::cli::ceremony::{Choice, Setup, key, parties, peer, pick, targets, with_node};
use crate::cli::digest::{self, Digest};
use crate::cli::output::Sink;
use crate::cli::{Global, Output, signature};
use crate::device::{Fingerprint, Label, hex};
use crate::driver::ceremony::sign::{self, Outcome, ToSign};
use crate::driver::listen::{Done, Listener, Place, Visit};
use crate::driver::{Node, clock, records};
use crate::progress::PartyView;
use crate::report::{self, Code, Failure};
use crate::request::RequestId;
use crate::vault::{KeyRecord, PeerRecord, keys};

#[derive(Debug, Serialize)]
pub(super) struct SignatureResult<'a> {
    key: &'a str,
    digest: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureView>,
    parties: &'a [PartyView],
    delivered_to: Vec<String>,
    request_id: &'a str,
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

/// `cosign sign`
pub(super) fn run_sign(global: &Global, mut args: SignArgs) -> Result<Output, Failure> {
    digest_after_with(&mut args);
    let (text, file) = (args.digest.as_deref(), args.file.as_deref());
    let digest = digest::of(text, file, args.hash, global.deadline)?;
    let format = args.format;
    let binary = signature::is_binary(format);
    let sink = Sink::new(args.output.as_deref(), binary, global.args.json)?;
    let outcome =
        if args.wait { wait(global, &args, &digest)? } else { ask(global, args, digest)? };
    deliver(&outcome, format, &sink)
}

/// `--with bob DIGEST`: `--with` takes all that follows, so a digest at its end is one of its values.
fn digest_after_with(args: &mut SignArgs) {
    let is_digest = |text: &String| crate::device::unhex(text).is_some_and(|b| b.len() == 32);
    if args.digest.is_none() && args.file.is_none() && args.with.len() > 1 {
        args.digest = args.with.pop_if(|last| is_digest(last));
    }
}

fn ask(global: &Global, args: SignArgs, digest: Digest) -> Result<Outcome, Failure> {
    let request_id = match args.request_id {
        Some(id) => RequestId::new(&id).ok_or_else(|| {
            Failure::new(Code::Usage, format!("--request-id {id:?} is no id"))
                .hint("use 1 to 64 letters, digits, dots, dashes and underscores")
        })?,
        None => clock::request_id()?,
    };
    with_node(global, None, Setup::from(&args.reach), |node| async move {
        let named = key(global, &node, args.key.as_deref(), "--key NAME").await?;
        let record = records::active(&node.home, &named.name)?;
        let cosigners = cosigners(global, &node, &record, &args.with).await?;
        let recipient = recipient(&node, &record, &cosigners, args.deliver_to.as_ref())?;
        let wanted = ToSign {
            key: record.name.clone(),
            digest: digest.bytes,
            source: digest.source,
            purpose: Label::new(args.purpose.as_deref().unwrap_or_default()),
            with: targets(&cosigners, &args.reach)?,
            recipient,
            request_id,
            path: Vec::new(),
        };
        Ok(sign::request(&node, &wanted).await?)
    })
}

/// The scripted twin: approves this digest under this key, and no other, and ends.
fn wait(global: &Global, args: &SignArgs, digest: &Digest) -> Result<Outcome, Failure> {
    let home = crate::cli::given::home(global)?;
    let name = match &args.key {
        Some(name) => name.clone(),
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
    let record = records::find(&home, &name)?.ok_or_else(|| report::no_key(&name))?;
    let approver = OneDigest::new(&digest.bytes, &record.public_key, global.screen.clone());
    let place = Place { bind: args.bind, port: args.port, stdio: false };
    // A script's twin has nobody to look at a screen.
    let setup = Setup { lines: true, ..Setup::from(&args.reach) };
    let chosen: Choice = Box::new(move |_| Ok(Arc::new(approver)));
    with_node(global, Some(chosen), setup, |node| async move {
        records::active(&node.home, &name)?;
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
                // What is begun here is what was approved, and is used up.
                Err(error) if begun => return Err(error.into()),
                // Another request was refused, or this one began nothing: the awaited one may still come.
                Ok(Done::Key(_) | Done::Paired(_)) | Err(_) => {}
            }
        }
    })
}

/// Who signs with this device: those named, or all others where all must, or one that is chosen.
async fn cosigners(
    global: &Global,
    node: &Node,
    record: &KeyRecord,
    with: &[String],
) -> Result<Vec<PeerRecord>, Failure> {
    let others = parties(node, record)?;
    let needed = usize::from(record.threshold).saturating_sub(1);
    if !with.is_empty() {
        let known = others.clone();
        let mut chosen: Vec<PeerRecord> = Vec::new();
        for text in with {
            let found = peer(&known, text)
                .map_err(|_| report::no_share_there(Label::new(text).as_str(), &record.name))?;
            if !chosen.iter().any(|c| c.fingerprint == found.fingerprint) {
                chosen.push(found.clone());
            }
        }
        if chosen.len() != needed {
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

/// Who receives the signature.
fn recipient(
    node: &Node,
    record: &KeyRecord,
    cosigners: &[PeerRecord],
    deliver: Option<&Deliver>,
) -> Result<Option<Fingerprint>, Failure> {
    match deliver {
        None | Some(Deliver::Requester) => Ok(Some(node.info.fingerprint)),
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
            if *text == node.info.name {
                return Ok(Some(node.info.fingerprint));
            }
            peer(cosigners, text)
                .map(|found| Some(found.fingerprint))
                .map_err(|_| report::no_share_there(Label::new(text).as_str(), &record.name))
        }
    }
}

/// What a signature is as a result, where no format was asked for.
pub(super) fn output(_: &Node, outcome: &Outcome) -> Result<Output, Failure> {
    let text = match &outcome.signature {
        Some(signature) => hex(&signature.der()),
        None => delivered_elsewhere(outcome),
    };
    Output::new(view(outcome), text)
}

pub(super) fn view(outcome: &Outcome) -> SignatureResult<'_> {
    SignatureResult {
        key: &outcome.key,
        digest: hex(&outcome.digest),
        signature: outcome.signature.as_ref().map(|signature| {
            let compact = signature.compact();
            let (r, s) = compact.split_at(32);
            SignatureView {
                der: hex(&signature.der()),
                r: hex(r),
                s: hex(s),
                recovery_id: signature.recovery_id,
                public_key: hex(&outcome.public_key),
                low_s: true,
            }
        }),
        parties: &outcome.parties,
        delivered_to: outcome.delivered_to.iter().map(|p| p.name.to_string()).collect(),
        request_id: outcome.request_id.as_str(),
        warning: outcome.unlogged.as_deref().map(report::unlogged),
    }
}

fn delivered_elsewhere(outcome: &Outcome) -> String {
    let names: Vec<String> = outcome.delivered_to.iter().map(|p| p.name.to_string()).collect();
    format!("the signature was delivered to {}", names.join(", "))
}

/// Writes the signature in the format that was asked for.
fn deliver(
    outcome: &Outcome,
    format: Option<SignatureFormat>,
    sink: &Sink,
) -> Result<Output, Failure> {
    let result = view(outcome);
    let Some(signature) = &outcome.signature else {
        return Output::new(result, delivered_elsewhere(outcome));
    };
    let to_file = matches!(sink, Sink::File(_));
    let bytes = signature::encode(signature, format, to_file, &result)?;
    let body = sink.put(bytes)?;
    Output::with_body(result, body)
}
