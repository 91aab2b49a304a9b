//! What is written of OpenPGP (RFC 4880, with ECDSA of RFC 6637): a public key, a user id, a signature of version 4 and
//! armour. Nothing of OpenPGP is read.
//!
//! What is hashed is built here from the file, or the user id, and the few things that a request says besides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use sha1::{Digest as _, Sha1};

use super::curve::Curve;
pub use super::preimage::KEY_TIME;
use super::{HashFunction, Refused, as_text, file, git, preimage};
use crate::device::{Label, hex};

/// The longest user id, in bytes.
pub const MAX_USER_ID: u64 = 256;

/// The algorithms: ECDSA, and SHA-256.
const ECDSA: u8 = 19;
const SHA256: u8 = 8;

/// How a file is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As bytes, and the signature stands alone.
    Detached,
    /// As text, which stands above the signature.
    Clear,
}

impl Form {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Detached, Self::Clear];

    /// The name on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Clear => "clear",
        }
    }

    /// The form of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// The type of the signature (RFC 4880 §5.2.1).
    fn signature(self) -> u8 {
        match self {
            Self::Detached => 0x00,
            Self::Clear => 0x01,
        }
    }

    /// What of `file` is hashed.
    ///
    /// # Errors
    /// It is no text, and is to be signed as one.
    fn hashed(self, file: &[u8]) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Detached => Ok(file.to_vec()),
            Self::Clear => {
                let blank = |c| matches!(c, ' ' | '\t');
                let lines = lines(file)?;
                let lines: Vec<&str> =
                    lines.into_iter().map(|line| line.trim_end_matches(blank)).collect();
                Ok(lines.join("\r\n").into_bytes())
            }
        }
    }
}

/// The summary of a file that is signed in OpenPGP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How it is signed.
    pub form: Form,
    /// When, as the requester says, in seconds since 1970.
    pub time: u32,
    /// The fingerprint of the key, in hexadecimal.
    pub fingerprint: String,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What the file is.
    #[serde(flatten)]
    pub file: file::Summary,
}

/// The summary of a certificate: that the key is somebody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whose key it is.
    pub user_id: String,
    /// When this was said, as the requester says, in seconds since 1970.
    pub time: u32,
    /// Until when the key is used, in seconds since 1970; for ever if it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u32>,
    /// The fingerprint of the key, in hexadecimal.
    pub fingerprint: String,
}

/// The summary of an object of git that is signed in OpenPGP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Git {
    /// The commit or tag.
    #[serde(flatten)]
    pub object: git::Object,
    /// When it is signed, as the requester says, in seconds since 1970.
    pub time: u32,
    /// The fingerprint of the key, in hexadecimal.
    pub fingerprint: String,
    /// The SHA-256 of the object without its signature, in hexadecimal.
    pub sha256: String,
}

/// A key as OpenPGP knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The body of its packet.
    body: Vec<u8>,
    /// Its fingerprint of version 4.
    pub fingerprint: [u8; 20],
}

impl Key {
    /// The key of `curve` with this public key, SEC1 compressed; `None` if that is no point.
    pub fn new(curve: &Curve, public_key: &[u8; 33]) -> Option<Self> {
        let point = curve.uncompressed(public_key)?;
        let oid = curve.oid;
        let mut body = vec![4];
        body.extend(KEY_TIME.to_be_bytes());
        body.extend([ECDSA, u8::try_from(oid.len()).ok()?]);
        body.extend(oid);
        body.extend(mpi(&point));
        let fingerprint = Sha1::digest(framed_key(&body)).into();
        Some(Self { body, fingerprint })
    }

    /// The fingerprint, as programs print it: in hexadecimal, upper case.
    pub fn hex(&self) -> String {
        hex(&self.fingerprint).to_uppercase()
    }

    /// What identifies the key in a signature: its issuer fingerprint, and its id.
    fn issuer(&self) -> (Vec<u8>, Vec<u8>) {
        let fingerprint = [&[4][..], &self.fingerprint].concat();
        let id = self.fingerprint.get(12..).unwrap_or_default();
        (subpacket(33, &fingerprint), subpacket(16, id))
    }

    /// The digest of `file` as it is signed, and the summary.
    ///
    /// # Errors
    /// It is no text, and is to be signed as one, it is one of git, or the key is not that old.
    pub(super) fn read(
        &self,
        form: Form,
        time: u32,
        file: &[u8],
    ) -> Result<([u8; 32], Summary), Refused> {
        let statement = self.of_file(form, time)?;
        let content = form.hashed(file)?;
        if git::begins(&content) {
            return Err(Refused::at(
                "file",
                "it begins as a commit, a tag or a push of git, in which the signature would be valid",
            ));
        }
        let hashed = statement.hashed(&content);
        let digest = HashFunction::Sha256.of(&hashed);
        let sha256 = hex(&HashFunction::Sha256.of(file));
        // The end of the signature is a part of what some formats hash.
        let warning = preimage::besides_openpgp(&hashed);
        let file = file::Summary { warning, ..file::content(file) };
        Ok((digest, Summary { form, time, fingerprint: self.hex(), sha256, file }))
    }

    /// The digest of a commit or tag as git has it signed, detached and as bytes, and the summary.
    ///
    /// # Errors
    /// As [`git::Object::read`], or the key is not that old.
    pub(super) fn git(&self, time: u32, object: &[u8]) -> Result<([u8; 32], Git), Refused> {
        let digest = self.of_file(Form::Detached, time)?.digest(object);
        let sha256 = hex(&HashFunction::Sha256.of(object));
        let object = git::Object::read(object)?;
        Ok((digest, Git { object, time, fingerprint: self.hex(), sha256 }))
    }

    /// The digest by which the key is said to be that of `user_id`, and the summary.
    ///
    /// # Errors
    /// The user id is not one line of text, or the times are not in order.
    pub fn certify(
        &self,
        user_id: &[u8],
        time: u32,
        expires: Option<u32>,
    ) -> Result<([u8; 32], Certificate), Refused> {
        let text =
            as_text(user_id).filter(|text| Label::capped(text, usize::MAX).as_str() == *text);
        let text = text.filter(|text| !text.is_empty());
        let Some(text) = text else {
            let why = "it is not one line without control or invisible characters";
            return Err(Refused::at("user id", why));
        };
        let statement = self.of_user_id(time, expires)?;
        let digest = statement.digest(&self.certified(user_id));
        let user_id = text.to_owned();
        Ok((digest, Certificate { user_id, time, expires, fingerprint: self.hex() }))
    }

    /// What is hashed of the key and a user id.
    fn certified(&self, user_id: &[u8]) -> Vec<u8> {
        let length = u32::try_from(user_id.len()).unwrap_or(u32::MAX);
        [&framed_key(&self.body)[..], &[0xb4], &length.to_be_bytes(), user_id].concat()
    }

    fn of_file(&self, form: Form, time: u32) -> Result<Statement, Refused> {
        self.statement(form.signature(), time, Vec::new())
    }

    fn of_user_id(&self, time: u32, expires: Option<u32>) -> Result<Statement, Refused> {
        // It certifies and signs; SHA-256 is preferred; this user id is the first one.
        let mut more =
            [subpacket(27, &[0x03]), subpacket(21, &[SHA256]), subpacket(25, &[1])].concat();
        if let Some(expires) = expires {
            let lasts = expires.checked_sub(KEY_TIME).filter(|_| expires > time);
            let lasts = lasts.ok_or_else(|| Refused::at("expiry", "it is over already"))?;
            more.extend(subpacket(9, &lasts.to_be_bytes()));
        }
        self.statement(0x13, time, more)
    }

    fn statement(&self, signature: u8, time: u32, more: Vec<u8>) -> Result<Statement, Refused> {
        if time < KEY_TIME {
            return Err(Refused::at("time", "it is before 2025, when keys begin"));
        }
        let (fingerprint, id) = self.issuer();
        let hashed = [subpacket(2, &time.to_be_bytes()), fingerprint, more].concat();
        let mut head = vec![4, signature, ECDSA, SHA256];
        head.extend(short(hashed.len()));
        head.extend(hashed);
        Ok(Statement { head, unhashed: id })
    }

    /// The armoured signature of `file`, below its text if it is signed as one. `signature` is r and s.
    ///
    /// # Errors
    /// As [`Payload::read_for`](super::Payload::read_for).
    pub fn signed(
        &self,
        form: Form,
        time: u32,
        file: &[u8],
        signature: &[u8; 64],
    ) -> Result<String, Refused> {
        let packet = self.of_file(form, time)?.packet(&form.hashed(file)?, signature);
        let armour = armour("SIGNATURE", &packet);
        if form == Form::Detached {
            return Ok(armour);
        }
        let mut text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n".to_owned();
        for line in lines(file)? {
            text += if line.starts_with('-') { "- " } else { "" };
            text += line;
            text.push('\n');
        }
        Ok(text + &armour)
    }

    /// The armoured certificate: the key, the user id, and the signature by which the key says that it
    /// is its own.
    ///
    /// # Errors
    /// As [`Payload::read_for`](super::Payload::read_for).
    pub fn certificate(
        &self,
        user_id: &str,
        time: u32,
        expires: Option<u32>,
        signature: &[u8; 64],
    ) -> Result<String, Refused> {
        let statement = self.of_user_id(time, expires)?;
        let packets = [
            packet(6, &self.body),
            packet(13, user_id.as_bytes()),
            statement.packet(&self.certified(user_id.as_bytes()), signature),
        ];
        Ok(armour("PUBLIC KEY BLOCK", &packets.concat()))
    }
}

/// A signature without its numbers.
struct Statement {
    /// The beginning of the packet, up to the end of what is hashed of it.
    head: Vec<u8>,
    /// The subpackets that are not hashed.
    unhashed: Vec<u8>,
}

impl Statement {
    /// The digest of `content` and this (RFC 4880 §5.2.4).
    fn digest(&self, content: &[u8]) -> [u8; 32] {
        HashFunction::Sha256.of(&self.hashed(content))
    }

    /// `content` and this, as they are hashed.
    fn hashed(&self, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(self.head.len()).unwrap_or(u32::MAX);
        [content, &self.head, &[4, 0xff], &length.to_be_bytes()].concat()
    }

    fn packet(&self, content: &[u8], signature: &[u8; 64]) -> Vec<u8> {
        let digest = self.digest(content);
        let (r, s) = signature.split_at(32);
        let mut body = self.head.clone();
        body.extend(short(self.unhashed.len()));
        body.extend(&self.unhashed);
        body.extend(digest.get(..2).unwrap_or_default());
        body.extend(mpi(r));
        body.extend(mpi(s));
        packet(2, &body)
    }
}

/// The lines of a text, without their ends. A line end at the end of the text ends its last line.
fn lines(file: &[u8]) -> Result<Vec<&str>, Refused> {
    let text = as_text(file).ok_or_else(|| Refused::at("file", "it is no plain text in UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let lines: Vec<&str> =
        text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    match lines.iter().any(|line| line.contains('\r')) {
        true => Err(Refused::at("file", "it has a carriage return within a line")),
        false => Ok(lines),
    }
}

/// The packet of a key as it is hashed (RFC 4880 §12.2).
fn framed_key(body: &[u8]) -> Vec<u8> {
    [&[0x99][..], &short(body.len()), body].concat()
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// A number, big-endian, behind the number of its bits (RFC 4880 §3.2).
fn mpi(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let zeros = digits.first().map_or(0, |first| first.leading_zeros());
    let bits = digits.len().saturating_mul(8).saturating_sub(usize::try_from(zeros).unwrap_or(0));
    [&short(bits)[..], &digits].concat()
}

/// A subpacket of a signature, shorter than 191 bytes.
fn subpacket(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len().saturating_add(1)).unwrap_or(u8::MAX);
    [&[length, kind][..], content].concat()
}

/// A packet with a header of the new format (RFC 4880 §4.2.2), shorter than 8,384 bytes.
fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc0 | tag];
    match (u8::try_from(body.len()), body.len().saturating_sub(192)) {
        (Ok(length), _) if length < 192 => packet.push(length),
        (_, rest) => {
            let [high, low] = short(rest);
            packet.extend([high.saturating_add(192), low]);
        }
    }
    packet.extend(body);
    packet
}

/// ASCII armour (RFC 4880 §6.2).
fn armour(what: &str, bytes: &[u8]) -> String {
    let text = BASE64.encode(bytes);
    let mut armour = format!("-----BEGIN PGP {what}-----\n\n");
    for line in text.as_bytes().chunks(64) {
        armour += std::str::from_utf8(line).unwrap_or_default();
        armour.push('\n');
    }
    let [_, sum @ ..] = crc24(bytes).to_be_bytes();
    armour + &format!("={}\n-----END PGP {what}-----\n", BASE64.encode(sum))
}

/// The checksum of armour (RFC 4880 §6.1).
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 16, |sum, _| {
            let carried = if sum & 0x0080_0000 == 0 { 0 } else { 0x0186_4cfb };
            (sum << 1 ^ carried) & 0x00ff_ffff
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::curve::SECP256K1;

    fn key() -> Key {
        let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let point = crate::device::unhex(generator).unwrap().try_into().unwrap();
        Key::new(&SECP256K1, &point).unwrap()
    }

    #[test]
    fn numbers_and_packets_say_their_length() {
        assert_eq!(mpi(&[0, 0, 1]), [0, 1, 1]);
        assert_eq!(mpi(&[1, 0xff]), [0, 9, 1, 0xff]);
        assert_eq!(mpi(&[0]), [0, 0]);
        assert_eq!(packet(2, &[7; 191])[..2], [0xc2, 191]);
        assert_eq!(packet(2, &[7; 192])[..3], [0xc2, 192, 0]);
        assert_eq!(packet(6, &[7; 600])[..3], [0xc6, 193, 152]);
    }

    #[test]
    fn armour_has_the_known_checksum() {
        // Of the digits 1 to 9, in the catalogue of checksums.
        assert_eq!(crc24(b"123456789"), 0x0021_cf02);
        let armour = armour("SIGNATURE", b"123456789");
        assert_eq!(
            armour,
            "-----BEGIN PGP SIGNATURE-----\n\nMTIzNDU2Nzg5\n=Ic8C\n-----END PGP SIGNATURE-----\n"
        );
    }

    #[test]
    fn a_text_is_hashed_without_blanks_at_its_ends_of_lines() {
        let hashed = |text: &[u8]| Form::Clear.hashed(text).map(|t| String::from_utf8(t).unwrap());
        for (text, canonical) in
            [(&b"a\n"[..], "a"), (b"a", "a"), (b"a\n\n", "a\r\n"), (b"a \t\r\n - b\n", "a\r\n - b")]
        {
            assert_eq!(hashed(text).unwrap(), canonical);
        }
        assert!(
            hashed(b"a\rb").is_err() && hashed(b"\x1b[2J").is_err() && hashed(b"\xff").is_err()
        );
        let clear = key().signed(Form::Clear, KEY_TIME, b"- a\nb", &[1; 64]).unwrap();
        assert!(clear.starts_with(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- - a\nb\n-----BEGIN PGP SIGNATURE"
        ));
    }

    #[test]
    fn every_time_form_and_user_id_is_another_digest() {
        let key = key();
        let file = |form, time, bytes: &[u8]| key.read(form, time, bytes).map(|(digest, _)| digest);
        let id = |id: &str, time, expires| key.certify(id.as_bytes(), time, expires).map(|c| c.0);
        let later = KEY_TIME + 1;
        let all = [
            file(Form::Detached, KEY_TIME, b"a"),
            file(Form::Detached, KEY_TIME, b"b"),
            file(Form::Detached, later, b"a"),
            file(Form::Clear, KEY_TIME, b"a"),
            id("a", KEY_TIME, None),
            id("b", KEY_TIME, None),
            id("a", later, None),
            id("a", KEY_TIME, Some(later)),
        ];
        let all: Vec<[u8; 32]> = all.into_iter().map(|digest| digest.unwrap()).collect();
        let other: std::collections::BTreeSet<&[u8; 32]> = all.iter().collect();
        assert_eq!(other.len(), all.len());
    }

    #[test]
    fn what_git_takes_for_a_signed_object_is_refused_as_a_file() {
        let key = key();
        let read = |form, bytes: &[u8]| key.read(form, KEY_TIME, bytes);
        let (short, long) = ("0a".repeat(20), "0A".repeat(32));
        for id in [&short, &long] {
            for text in [
                format!("tree {id}\nauthor A <a@example.org> 1 +0000\n\nall\n"),
                format!("tree {id}\r\n"),
                format!("object {id}\ntype commit\ntag v1\n"),
                "certificate version 0.1\npusher A <a@example.org> 1 +0000\n".to_owned(),
            ] {
                for form in Form::ALL {
                    let Refused(why) = read(form, text.as_bytes()).unwrap_err();
                    assert!(why.contains("git"), "{why}");
                }
            }
        }
        // Blanks at the end of a line are not in what is hashed of a text.
        let blank = format!("tree {short} \t\n");
        assert!(read(Form::Clear, blank.as_bytes()).is_err());
        for text in
            [&blank, &format!("tree {short}0\n"), "tree 5a7f\n", "object lesson\n", "\ntree"]
        {
            assert!(read(Form::Detached, text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_object_of_git_has_the_digest_of_a_detached_signature() {
        let key = key();
        let commit = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
                      author A <a@example.org> 1790000000 +0200\n\
                      committer A <a@example.org> 1790000000 +0200\n\nall\n";
        let (digest, read) = key.git(1_790_000_000, commit.as_bytes()).unwrap();
        assert_eq!(
            hex(&digest),
            "b553d7b9274aee810722f8191be1614990ba8a4c87a3cd58a593a2f1ca9e042b"
        );
        assert_eq!(read.sha256, hex(&HashFunction::Sha256.of(commit.as_bytes())));
        let of = |form| key.of_file(form, 1_790_000_000).unwrap().digest(commit.as_bytes());
        assert_eq!((of(Form::Detached) == digest, of(Form::Clear) == digest), (true, false));
        assert!(key.git(KEY_TIME - 1, commit.as_bytes()).is_err());
        assert!(key.git(1_790_000_000, b"tree\n\n").is_err());
    }

    #[test]
    fn what_another_format_hashes_with_the_end_of_the_signature_is_marked() {
        let key = key();
        let warning =
            |file: &[u8]| key.read(Form::Detached, KEY_TIME, file).unwrap().1.file.warning;
        let header = BASE64.encode(br#"{"alg":"ES256K","b64":false,"crit":["b64"]}"#);
        assert_eq!(warning(format!("{header}.pay bob").as_bytes()), Some(file::Warning::Jws));
        assert_eq!(warning(b"release 1.2\n"), None);
        // Its end is not that of the signature, and 32 bytes are not all that is hashed.
        assert_eq!(warning(&[7; 32]), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let key = key();
        assert!(key.read(Form::Detached, KEY_TIME - 1, b"a").is_err());
        for id in [&b""[..], b"a\nb", b"a\x1b[2J", "a\u{202e}b".as_bytes(), b"\xff", b" a"] {
            assert!(key.certify(id, KEY_TIME, None).is_err(), "{id:?}");
        }
        for expires in [0, KEY_TIME - 1, KEY_TIME, KEY_TIME + 5] {
            assert!(key.certify(b"a", KEY_TIME + 5, Some(expires)).is_err(), "{expires}");
        }
        assert!(key.certify("Zoë <z@example.org>".as_bytes(), KEY_TIME, None).is_ok());
    }
}
