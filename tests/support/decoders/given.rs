//! Files that a person names.

use std::fs;
use std::sync::OnceLock;

use cosign::cli::args::{KeyFormat, PayloadArgs};
use cosign::cli::{self, digest, public_key, qr, signature};
use cosign::crypto::curve::encode_point;
use cosign::crypto::ecdsa::to_der;
use cosign::curve::CurveName;
use cosign::device::{Label, hex};
use cosign::pasted::{self, PublicKey};
use cosign::payload::curve::{P256, Signer};
use cosign::payload::ethereum::given as transaction;
use cosign::payload::{HashFunction, MAX_PAYLOAD, MessageFormat, NamedFile, Payload, Source};
use cosign::payload::{git, openpgp};
use cosign::ui::lines;
use cosign::vault::given::{self, Guard};
use cosign::vault::{Error, Home, Unlock, Vault};
use sha2::{Digest as _, Sha256};

use crate::changes::changed;

/// A file that is read within a limit, the first line of one with a passphrase or PIN, and one with
/// age identities.
pub(crate) fn given(bytes: &[u8]) {
    const LIMIT: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given");
    let honest = include_bytes!("../../shares/v1/identity.txt");
    for content in [bytes, &changed(honest, bytes)] {
        fs::write(&path, content).unwrap();
        match given::read(&path, Guard::Open, LIMIT as u64) {
            Ok(read) => assert_eq!(read.expose(), content),
            Err(error) => {
                assert!(matches!(error, Error::TooLong { .. }) && content.len() > LIMIT);
            }
        }
        if let Ok(line) = cli::given::first_line(content) {
            let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let first = first.strip_suffix(b"\r").unwrap_or(first);
            let mark = "\u{feff}".as_bytes();
            assert_eq!(line.expose().as_bytes(), first.strip_prefix(mark).unwrap_or(first));
        }
        // There is no vault: the file is looked at and nothing is opened.
        let _ = Vault::open(&Home::at(folder.path().join("home")), &Unlock::Identity(path.clone()));
    }
}

/// The key on secp256k1 in a file.
fn read_key(name: &str) -> Option<k256::AffinePoint> {
    match public_key::read(name, None).ok()? {
        PublicKey::Secp256k1(point) => Some(point),
        PublicKey::P256(_) => None,
    }
}

/// is a point of the curve, and reads back from what is written for it.
pub(crate) fn key_file(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let name = path.to_str().unwrap();
    let generator = encode_point(&k256::AffinePoint::GENERATOR).unwrap();
    let write = |format| {
        public_key::encode((CurveName::Secp256k1, &generator), &[], format, || Ok([7; 32])).unwrap()
    };
    for honest in [write(KeyFormat::Hex), write(KeyFormat::Pem)] {
        fs::write(&path, &honest).unwrap();
        read_key(name).unwrap();
        for content in [bytes, &changed(honest.as_bytes(), bytes)] {
            fs::write(&path, content).unwrap();
            if let Some(point) = read_key(name) {
                let point = encode_point(&point).unwrap();
                let again =
                    public_key::encode((CurveName::Secp256k1, &point), &[], KeyFormat::Pem, || {
                        Ok([7; 32])
                    })
                    .unwrap();
                fs::write(&path, again).unwrap();
                assert_eq!(read_key(name).map(|p| encode_point(&p).unwrap()), Some(point));
            }
            fs::write(&path, content).unwrap();
            let _ = signature::read::<k256::Secp256k1>(name, &Source::Digest);
            let _ = signature::read::<p256::NistP256>(name, &Source::Digest);
            let _ = public_key::read(name, Some(CurveName::P256));
            let file = PayloadArgs { file: vec![path.clone()], ..PayloadArgs::default() };
            let digest = digest::of(None, &file, None).unwrap();
            assert_eq!(digest.bytes, <[u8; 32]>::from(Sha256::digest(content)));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let nothing = PayloadArgs::default();
    if let Ok(read) = digest::of(Some(&text), &nothing, None) {
        assert_eq!(digest::of(Some(&read.hex()), &nothing, None), Ok(read));
    }
}

/// Transactions in RLP, and typed data.
fn honest_payloads() -> &'static [Vec<u8>] {
    static HONEST: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    HONEST.get_or_init(|| {
        let known = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let transactions = known(include_str!("../../ethereum/transactions.json"));
        let typed = known(include_str!("../../ethereum/typed_data.json"));
        let transactions = transactions["transactions"].as_array().unwrap().iter();
        let transactions = transactions
            .map(|known| transaction::read(&known["given"].to_string()).unwrap().0.encode());
        let typed = typed.as_array().unwrap().iter();
        let typed = typed.map(|known| known["given"].to_string().into_bytes());
        transactions.chain(typed).collect()
    })
}

/// A transaction or typed data: what is read is shown, and reads back.
fn ethereum(bytes: &[u8]) {
    let size = bytes.len() as u64;
    for source in [Source::EthTx { size }, Source::TypedData { size }] {
        let Ok(read) = Payload::read(&source, bytes.to_vec()) else { continue };
        is_shown(&source, &read);
        if let Some(transaction) = read.transaction() {
            assert_eq!(transaction.encode(), bytes);
        }
    }
    if let Ok((given, _)) = transaction::read(&String::from_utf8_lossy(bytes)) {
        let again = transaction::read(&format!("0x{}", hex(&given.encode())));
        assert_eq!(again.map(|(again, _)| again), Ok(given));
    }
}

pub(super) fn is_shown(source: &Source, read: &Payload) {
    let summary = Some(read.summary());
    for columns in [None, Some(40)] {
        let card = lines::payload_card(read.digest(), source, summary, None, columns);
        assert!(card.iter().all(|row| !row.contains(char::is_control)), "{card:?}");
    }
}

/// A file and a user id in OpenPGP, at times that the bytes say.
fn openpgp(bytes: &[u8], name: &Label) {
    let generator = encode_point(&k256::AffinePoint::GENERATOR).unwrap();
    let signer = Signer::new(CurveName::Secp256k1, &generator, [7; 32]).unwrap();
    let size = bytes.len() as u64;
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map_or(openpgp::KEY_TIME, u32::from_be_bytes)
    };
    let file = openpgp::Form::ALL.map(|form| Source::OpenPgp {
        name: name.clone(),
        size,
        form,
        time: word(0),
    });
    let key =
        [None, Some(word(4))].map(|expires| Source::OpenPgpKey { size, time: word(0), expires });
    for source in file.into_iter().chain(key) {
        let Ok(read) = Payload::read_for(&source, bytes.to_vec(), &signer, &[0, 7]) else {
            continue;
        };
        is_shown(&source, &read);
    }
}

/// An object of git: what is read is shown whole, and is written in one way.
pub(crate) fn git_object(bytes: &[u8]) {
    let generator = encode_point(&k256::AffinePoint::GENERATOR).unwrap();
    let signer = Signer::new(CurveName::Secp256k1, &generator, [7; 32]).unwrap();
    let somebody = "A <a@example.org> 1790000000 +0200";
    let id = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let commit = format!(
        "tree {id}\nparent {id}\nauthor {somebody}\ncommitter {somebody}\nencoding UTF-8\n\
         mergetag object {id}\n type commit\n\nall\n"
    );
    let tag = format!("object {id}\ntype commit\ntag v1\ntagger {somebody}\n\nall\n");
    for honest in [&commit, &tag] {
        git::Object::read(honest.as_bytes()).unwrap();
    }
    for content in
        [bytes.to_vec(), changed(commit.as_bytes(), bytes), changed(tag.as_bytes(), bytes)]
    {
        let Ok(read) = git::Object::read(&content) else { continue };
        assert_eq!(written(&read).as_bytes(), content);
        let source = Source::Git { size: content.len() as u64, time: openpgp::KEY_TIME };
        if content.len() as u64 <= git::MAX_OBJECT {
            let read = Payload::read_for(&source, content, &signer, &[0, 7]).unwrap();
            is_shown(&source, &read);
        }
    }
}

/// An object as git writes it.
fn written(object: &git::Object) -> String {
    let person =
        |who: &git::Person| format!("{} <{}> {} {}", who.name, who.email, who.time, who.zone);
    let mut text = match &object.kind {
        git::Kind::Commit { author, committer, tree, parents } => {
            let parents: String = parents.iter().map(|id| format!("parent {id}\n")).collect();
            format!(
                "tree {tree}\n{parents}author {}\ncommitter {}\n",
                person(author),
                person(committer)
            )
        }
        git::Kind::Tag { tag, tagger, target, target_type } => {
            format!("object {target}\ntype {target_type}\ntag {tag}\ntagger {}\n", person(tagger))
        }
    };
    for git::Header { name, value } in &object.headers {
        text += &format!("{name} {}\n", value.replace('\n', "\n "));
    }
    text + "\n" + &object.message
}

/// The payload of a request, as a message and as a file: each of these has a summary. As a
/// transaction and as typed data, raw and as changes of honest ones, it may be refused.
pub(crate) fn payload(bytes: &[u8]) {
    ethereum(bytes);
    let which = bytes.first().copied().map_or(0, usize::from);
    let honest = honest_payloads();
    if let Some(honest) = honest.get(which % honest.len()) {
        ethereum(&changed(honest, bytes));
    }
    let size = bytes.len() as u64;
    let message = MessageFormat::ALL.map(|format| Source::Message { format, size });
    let name = Label::new(&String::from_utf8_lossy(bytes));
    let file = HashFunction::ALL.map(|hash| {
        let name = name.clone();
        Source::File { name, size, hash, attached: true }
    });
    // Cut in two where the first byte says.
    let first = bytes.first().map_or(0, |cut| u64::from(*cut).min(size));
    let files = [first, size.saturating_sub(first)];
    let files = files.map(|size| NamedFile { name: name.clone(), size }).to_vec();
    let files = Source::Files { files, hash: HashFunction::Keccak256 };
    let jws = Source::Jws { name: name.clone(), size };
    openpgp(bytes, &name);
    for source in message.into_iter().chain(file).chain([files, jws]) {
        let read = match &source {
            Source::Jws { .. } => Payload::of_jws(&source, bytes.to_vec(), &P256),
            _ => Payload::read(&source, bytes.to_vec()),
        };
        let Ok(read) = read else {
            assert!(size > MAX_PAYLOAD);
            continue;
        };
        is_shown(&source, &read);
    }
}

/// Pasted text, raw, and each form of a signature, a key and a digest with changes. A text that is
/// understood means the same in its plainest form.
pub(crate) fn pasted(bytes: &[u8]) {
    let compact = [[1; 32], [2; 32]].concat();
    let generator = encode_point(&k256::AffinePoint::GENERATOR).unwrap();
    let honest = [
        hex(&compact),
        format!("{{\"r\":\"{0}\",\"s\":\"{0}\"}}", "01".repeat(32)),
        hex(&generator),
        public_key::encode((CurveName::Secp256k1, &generator), &[], KeyFormat::Pem, || Ok([7; 32]))
            .unwrap(),
        public_key::encode((CurveName::Secp256k1, &generator), &[], KeyFormat::Jwk, || Ok([7; 32]))
            .unwrap(),
        format!("SHA256 (a) = {}", "5a".repeat(32)),
        format!("{} *a", "5a".repeat(32)),
    ];
    for content in
        honest.iter().map(|honest| changed(honest.as_bytes(), bytes)).chain([bytes.to_vec()])
    {
        if let Some(Ok(read)) = pasted::signature::<k256::Secp256k1>(&content) {
            let plain =
                pasted::signature::<k256::Secp256k1>(&to_der(&read.r, &read.s)).unwrap().unwrap();
            assert_eq!((plain.r, plain.s), (read.r, read.s));
        }
        if let Some(PublicKey::Secp256k1(point)) =
            pasted::public_key(&content, CurveName::Secp256k1)
        {
            let plain = hex(&encode_point(&point).unwrap());
            let again = pasted::public_key(plain.as_bytes(), CurveName::Secp256k1);
            assert_eq!(again, Some(PublicKey::Secp256k1(point)));
        }
        let text = String::from_utf8_lossy(&content);
        if let Some(digest) = pasted::digest(&text) {
            assert_eq!(pasted::digest(&hex(&digest)), Some(digest));
        }
    }
}

/// A picture with a QR code, raw and changed.
pub(crate) fn picture(bytes: &[u8]) {
    static HONEST: OnceLock<Vec<u8>> = OnceLock::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("code.png");
    let honest = HONEST.get_or_init(|| {
        qr::write(&path, "cosign://pair?relay=ws://a:1").unwrap();
        fs::read(&path).unwrap()
    });
    fs::write(&path, honest).unwrap();
    qr::read(&path, |_| true).unwrap();
    for content in [bytes, &changed(honest, bytes)] {
        fs::write(&path, content).unwrap();
        let _ = qr::read(&path, |_| true);
    }
}
