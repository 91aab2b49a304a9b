//! Digests: given on the command line, or computed from a file, a message, a transaction or typed
//! data.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum as _;

use super::args::{PayloadArgs, PaymentArgs, SignatureFormat};
use super::given::by;
use crate::curve::CurveName;
use crate::device::{Label, hex};
use crate::driver::clock;
use crate::pasted;
use crate::payload::bitcoin::Network;
use crate::payload::bitcoin::payment::{self, MAX_PAYMENT};
use crate::payload::curve::{Curve, SECP256K1, Signer};
use crate::payload::ethereum::typed_data::{MAX_TYPED_DATA, TypedData};
use crate::payload::ethereum::{Account, Refused, given as transactions};
use crate::payload::git::{self, MAX_OBJECT};
use crate::payload::openpgp::{Form, MAX_USER_ID};
use crate::payload::{
    HashFunction, Kind, MAX_FILES, MAX_MESSAGE, MAX_PAYLOAD, MAX_TRANSACTION, MessageFormat,
    NamedFile, Payload, Source,
};
use crate::report::unreadable;
use crate::report::{self, Code, Failure};
use crate::vault::given::{self, Guard};

/// What a commit or a tag is called where it is refused.
const OBJECT: &str = "the object of git";

/// A digest, and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The 32 bytes.
    pub bytes: [u8; 32],
    /// Its origin, as an approver sees it.
    pub source: Source,
    /// The payload, if there is one and it is small enough to be sent.
    pub payload: Option<Arc<Payload>>,
    /// The account that a transaction says it is from.
    pub from: Option<Account>,
    /// A payment, which becomes the payload once the key is known.
    pub payment: Option<Payment>,
    /// So do these bytes of something in OpenPGP, in which the key itself is hashed.
    pub keyed: Option<Vec<u8>>,
}

/// A PSBT as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    bytes: Vec<u8>,
    network: Network,
    /// Whether it was given in binary, and not in base64.
    pub is_binary: bool,
}

/// The digest of a command line: given as text, or that of a file or a message.
pub fn of(
    digest: Option<&str>,
    payload: &PayloadArgs,
    deadline: Option<Instant>,
) -> Result<Digest, Failure> {
    let format = payload.message_format.unwrap_or_default();
    match (digest, payload) {
        (_, PayloadArgs { file, hash, .. }) if !file.is_empty() => {
            let hash = hash.unwrap_or_default();
            match file.as_slice() {
                [path] => Digest::of_file(path, hash, deadline),
                several => Digest::of_files(several, hash, deadline),
            }
        }
        (_, PayloadArgs { message: Some(text), .. }) => {
            Digest::of_message(text.as_bytes().to_vec(), format)
        }
        (_, PayloadArgs { message_file: Some(path), .. }) => {
            Digest::of_message(content(path, deadline)?, format)
        }
        (_, PayloadArgs { eth_tx: Some(argument), .. }) => {
            let is_text = argument.starts_with("0x") || argument.trim_start().starts_with('{');
            let text = match is_text {
                true => argument.clone().into_bytes(),
                false => content(Path::new(argument), deadline)?,
            };
            Digest::of_transaction(&text)
        }
        (_, PayloadArgs { typed_data: Some(path), .. }) => {
            Digest::of_typed_data(content(path, deadline)?)
        }
        (Some(text), _) => Digest::of_text(text),
        (None, _) => Err(Failure::new(Code::Usage, "nothing that could be signed was given")
            .hint("give a digest of 64 hexadecimal digits, --file FILE or --message TEXT")),
    }
}

/// Base64 without the line ends that some tools put into it.
fn unwrapped(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// The digest of a payment, if one is given, or else of a digest or payload.
pub fn of_any(
    digest: Option<&str>,
    payload: &PayloadArgs,
    payment: &PaymentArgs,
    deadline: Option<Instant>,
) -> Result<Digest, Failure> {
    match &payment.psbt {
        Some(path) => Digest::of_payment(&content(path, deadline)?, payment.network),
        None => of(digest, payload, deadline),
    }
}

impl Digest {
    /// The digest's 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.bytes)
    }

    fn of_text(text: &str) -> Result<Self, Failure> {
        let bytes = pasted::digest(text).ok_or_else(|| {
            let shown = Label::capped(text, 80);
            Failure::new(Code::Usage, format!("{shown:?} is not understood as a digest")).hint(
                "64 hexadecimal digits, 32 bytes in base64, or a line of sha256sum; for what is in a file use \
                 --file FILE",
            )
        })?;
        Ok(Self {
            bytes,
            source: Source::Digest,
            payload: None,
            from: None,
            payment: None,
            keyed: None,
        })
    }

    fn of_message(message: Vec<u8>, format: MessageFormat) -> Result<Self, Failure> {
        let source = Source::Message { format, size: message.len() as u64 };
        let payload = Payload::read(&source, message).map_err(|_| {
            Failure::new(Code::Usage, format!("the message is longer than {MAX_MESSAGE} bytes"))
                .hint("sign it as a file: --file FILE")
        })?;
        Ok(Self::of_payload(source, payload))
    }

    fn of_payload(source: Source, payload: Payload) -> Self {
        let bytes = *payload.digest();
        Self {
            bytes,
            source,
            payload: Some(Arc::new(payload)),
            from: None,
            payment: None,
            keyed: None,
        }
    }

    fn of_transaction(text: &[u8]) -> Result<Self, Failure> {
        let text = String::from_utf8_lossy(text);
        let (transaction, from) =
            transactions::read(&text).map_err(|why| refused("the transaction", &why))?;
        let bytes = transaction.encode();
        let source = Source::EthTx { size: bytes.len() as u64 };
        if !source.is_within_limits() {
            let why = format!("the transaction is longer than {MAX_TRANSACTION} bytes");
            return Err(Failure::new(Code::Usage, why));
        }
        let payload = Payload::read(&source, bytes)
            .map_err(|_| report::bug("a transaction is read once and not again"))?;
        Ok(Self { from, ..Self::of_payload(source, payload) })
    }

    fn of_typed_data(json: Vec<u8>) -> Result<Self, Failure> {
        let source = Source::TypedData { size: json.len() as u64 };
        if !source.is_within_limits() {
            let why = format!("the typed data are longer than {MAX_TYPED_DATA} bytes");
            return Err(Failure::new(Code::Usage, why));
        }
        TypedData::read(&json).map_err(|why| refused("the typed data", &why))?;
        let payload = Payload::read(&source, json)
            .map_err(|_| report::bug("typed data are read once and not again"))?;
        Ok(Self::of_payload(source, payload))
    }

    /// A PSBT, in binary or base64. What of it is signed depends on the key.
    fn of_payment(given: &[u8], network: Option<Network>) -> Result<Self, Failure> {
        let is_binary = given.starts_with(b"psbt");
        let bytes = match is_binary {
            true => given.to_vec(),
            false => BASE64
                .decode(unwrapped(given))
                .map_err(|_| Failure::new(Code::Usage, "this is no PSBT, in binary or base64"))?,
        };
        let network = network.unwrap_or_default();
        let source = Source::Psbt { network, size: bytes.len() as u64 };
        if !source.is_within_limits() {
            let why = format!("the payment is longer than {MAX_PAYMENT} bytes");
            return Err(Failure::new(Code::Usage, why));
        }
        payment::check(&bytes).map_err(|why| refused("the payment", &why))?;
        let digest = HashFunction::Sha256.of(&bytes);
        let payment = Some(Payment { bytes, network, is_binary });
        Ok(Self { bytes: digest, source, payload: None, from: None, payment, keyed: None })
    }

    /// Fails if keys on `curve` sign no such thing, or have none at the end of `path` below them.
    pub fn fits(&self, curve: CurveName, path: &[u32]) -> Result<(), Failure> {
        let is_of_wallets = !path.is_empty() || self.source.kind().is_of_wallets();
        match is_of_wallets && !curve.has_wallets() {
            true => Err(report::no_wallet(curve)),
            false => Ok(()),
        }
    }

    /// As a key on `curve` signs it, or one at the end of `path` below such a key.
    ///
    /// # Errors
    /// Keys on this curve sign no such thing.
    pub fn on(self, curve: CurveName, path: &[u32]) -> Result<Self, Failure> {
        self.fits(curve, path)?;
        match (&self.source, &self.payload) {
            (Source::Jws { .. }, Some(payload)) => {
                Self::of_jws(Curve::named(curve), self.source.clone(), payload.bytes().to_vec())
            }
            _ => Ok(self),
        }
    }

    fn of_jws(curve: &Curve, source: Source, bytes: Vec<u8>) -> Result<Self, Failure> {
        let payload = Payload::of_jws(&source, bytes, curve)
            .map_err(|_| report::bug("a file is not as long as it is"))?;
        Ok(Self::of_payload(source, payload))
    }

    /// With the payment as the key `signer` signs it, or what is in OpenPGP, if it is one of these. `path`
    /// is what the command line says of a key below.
    ///
    /// # Errors
    /// The key does not sign it; the reason names the input.
    pub fn signed_by(
        self,
        path: &[u32],
        signer: impl FnOnce() -> Result<Signer, Failure>,
    ) -> Result<Self, Failure> {
        if let Some(bytes) = &self.keyed {
            let bytes = bytes.clone();
            let what = match self.source.kind() {
                Kind::OpenPgpKey => "the certificate",
                Kind::Git => OBJECT,
                _ => "the file",
            };
            let payload = Payload::of_openpgp(&self.source, bytes, &signer()?, path)
                .map_err(|why| refused(what, &why))?;
            return Ok(Self::of_payload(self.source, payload));
        }
        let Some(Payment { bytes, network, .. }) = &self.payment else { return Ok(self) };
        if !path.is_empty() {
            return Err(report::payment_with_path());
        }
        let signer = signer()?;
        let xpub = signer.xpub().ok_or_else(|| report::no_wallet(CurveName::P256))?;
        let payload = Payload::of_payment(*network, bytes.clone(), xpub)
            .map_err(|why| refused("the payment", &why))?;
        Ok(Self { payload: Some(Arc::new(payload)), ..self })
    }

    /// The digest of the signature's own form, if `format` is one that is hashed itself.
    ///
    /// # Errors
    /// There is no file, or it is too long or hashed otherwise.
    pub fn formed(self, format: Option<SignatureFormat>) -> Result<Self, Failure> {
        let format = match format {
            Some(format @ (SignatureFormat::Jws | SignatureFormat::OpenPgp)) => format,
            Some(SignatureFormat::OpenPgpClear) => SignatureFormat::OpenPgpClear,
            _ => return Ok(self),
        };
        let named = format.to_possible_value();
        let named = named.as_ref().map_or("", |value| value.get_name());
        let usage = |what: &str, hint: &str| {
            Failure::new(Code::Usage, format!("--format {named} {what}")).hint(hint)
        };
        let (name, size) = match &self.source {
            Source::File { hash, .. } if *hash != HashFunction::Sha256 => {
                let what = format!("hashes with sha256, not with {hash}");
                return Err(usage(&what, "leave --hash out"));
            }
            Source::File { name, size, .. } => (name.clone(), *size),
            Source::Files { .. } => return Err(usage("is for one file", "sign them one by one")),
            _ => return Err(usage("is for a file", "name one with --file FILE")),
        };
        let Some(payload) = &self.payload else {
            let what = format!("is for a file of at most {MAX_PAYLOAD} bytes");
            return Err(usage(&what, "sign a list of checksums, as of sha256sum, instead"));
        };
        let bytes = payload.bytes().to_vec();
        let form = match format {
            SignatureFormat::OpenPgp => Form::Detached,
            SignatureFormat::OpenPgpClear => Form::Clear,
            _ => {
                // The algorithm is that of the key's curve, once the key is known.
                return Self::of_jws(&SECP256K1, Source::Jws { name, size }, bytes);
            }
        };
        Ok(Self::keyed(Source::OpenPgp { name, size, form, time: now()? }, bytes))
    }

    /// That the key is that of `user_id`.
    pub fn of_user_id(user_id: &str, time: u32, expires: Option<u32>) -> Result<Self, Failure> {
        let size = user_id.len() as u64;
        let source = Source::OpenPgpKey { size, time, expires };
        if !source.is_within_limits() {
            let why = format!("the user id is longer than {MAX_USER_ID} bytes");
            return Err(Failure::new(Code::Usage, why));
        }
        Ok(Self::keyed(source, user_id.as_bytes().to_vec()))
    }

    /// A commit or tag of git, to be signed now.
    pub fn of_git(object: Vec<u8>) -> Result<Self, Failure> {
        let source = Source::Git { size: object.len() as u64, time: now()? };
        if !source.is_within_limits() {
            let why = format!("{OBJECT} is longer than {MAX_OBJECT} bytes");
            return Err(Failure::new(Code::Usage, why));
        }
        git::Object::read(&object).map_err(|why| refused(OBJECT, &why))?;
        Ok(Self::keyed(source, object))
    }

    /// What becomes the payload once the key is known.
    fn keyed(source: Source, bytes: Vec<u8>) -> Self {
        let digest = HashFunction::Sha256.of(&bytes);
        Self { bytes: digest, source, payload: None, from: None, payment: None, keyed: Some(bytes) }
    }

    /// The digests that are signed, in their order.
    pub fn list(&self) -> &[[u8; 32]] {
        self.payload.as_ref().map_or(std::slice::from_ref(&self.bytes), |payload| payload.list())
    }

    /// Several files, all of which travel. Their signatures go by their names.
    fn of_files(
        paths: &[PathBuf],
        hash: HashFunction,
        deadline: Option<Instant>,
    ) -> Result<Self, Failure> {
        if paths.len() > MAX_FILES {
            let most = format!("at most {MAX_FILES} files are signed at once");
            return Err(Failure::new(Code::Usage, most).hint("sign the others afterwards"));
        }
        let (mut files, mut all) = (Vec::new(), Vec::new());
        for path in paths {
            let (name, read) = reading(path, deadline, |mut input| beginning(&mut input))?;
            let read = read.ok_or_else(|| report::slow(&name, "its end"))?;
            let content = read.map_err(|e| cannot_read(path, &e))?;
            let file = NamedFile { name: Label::new(&name), size: content.len() as u64 };
            if files.iter().any(|other: &NamedFile| other.name == file.name) {
                let message = format!("two of the files are called {:?}", file.name.as_str());
                return Err(Failure::new(Code::Usage, message).hint("sign them one by one"));
            }
            files.push(file);
            all.extend(content);
            if all.len() as u64 > MAX_PAYLOAD {
                let most = format!("the files are longer than {MAX_PAYLOAD} bytes together");
                return Err(Failure::new(Code::Usage, most).hint("sign them one by one"));
            }
        }
        let source = Source::Files { files, hash };
        let payload = Payload::read(&source, all)
            .map_err(|_| report::bug("the files are not as long as they are"))?;
        Ok(Self::of_payload(source, payload))
    }

    fn of_file(
        path: &Path,
        hash: HashFunction,
        deadline: Option<Instant>,
    ) -> Result<Self, Failure> {
        let (name, read) = reading(path, deadline, move |mut input| {
            let start = beginning(&mut input)?;
            if start.len() as u64 <= MAX_PAYLOAD {
                return Ok((start, None));
            }
            let rest = hash.of_all(io::Cursor::new(start).chain(input))?;
            Ok((Vec::new(), Some(rest)))
        })?;
        let read = read.ok_or_else(|| report::slow(&name, "its end"))?;
        let (content, large) = read.map_err(|e| cannot_read(path, &e))?;
        let (label, size) = (Label::new(&name), content.len() as u64);
        if let Some((bytes, size)) = large {
            let source = Source::File { name: label, size, hash, attached: false };
            return Ok(Self {
                bytes,
                source,
                payload: None,
                from: None,
                payment: None,
                keyed: None,
            });
        }
        let source = Source::File { name: label, size, hash, attached: true };
        let payload = Payload::read(&source, content)
            .map_err(|_| report::bug("a file is not as long as it is"))?;
        Ok(Self::of_payload(source, payload))
    }
}

/// The time that goes into what is signed, in seconds since 1970.
pub fn now() -> Result<u32, Failure> {
    u32::try_from(clock::unix_now())
        .map_err(|_| Failure::new(Code::System, "the clock of this device is wrong"))
}

/// What is given is no such payload.
fn refused(what: &str, why: &Refused) -> Failure {
    Failure::new(Code::Usage, format!("{what} cannot be signed: {}", Label::capped(&why.0, 256)))
}

/// The beginning of the file at `path`: all of it, or one byte more than the limit of a payload.
pub(super) fn content(path: &Path, deadline: Option<Instant>) -> Result<Vec<u8>, Failure> {
    let (name, read) = reading(path, deadline, |mut input| beginning(&mut input))?;
    let bytes = read.ok_or_else(|| report::slow(&name, "its end"))?;
    bytes.map_err(|e| cannot_read(path, &e))
}

/// The result of `read` for the file at `path` (`-` is standard input), and the file's name; `None`
/// if `deadline` passes first.
fn reading<T: Send + 'static>(
    path: &Path,
    deadline: Option<Instant>,
    read: impl FnOnce(Box<dyn Read>) -> io::Result<T> + Send + 'static,
) -> Result<(String, Option<io::Result<T>>), Failure> {
    if path == Path::new("-") {
        let read = by(deadline, move || read(Box::new(io::stdin().lock())));
        return Ok(("standard input".to_owned(), read));
    }
    // Accepts a pipe only as a descriptor of the caller: opening a named pipe could wait forever.
    let file = given::open(path, Guard::Open)
        .map_err(|error| unreadable(error, &format!("file {}", path.display())))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, by(deadline, move || read(Box::new(file)))))
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::System, format!("cannot read {}: {error}", path.display()))
}

/// The first bytes of `input`: all of them, or one more than the limit of a payload.
fn beginning(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input.take(MAX_PAYLOAD.saturating_add(1)).read_to_end(&mut start)?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(path: &Path, hash: HashFunction) -> Result<Digest, Failure> {
        let file = vec![path.to_owned()];
        of(None, &PayloadArgs { file, hash: Some(hash), ..PayloadArgs::default() }, None)
    }

    fn hash_of(content: &[u8], hash: HashFunction) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let digest = of_file(file.path(), hash).unwrap();
        let Source::File { size, attached, .. } = digest.source else { panic!() };
        assert_eq!(size, content.len() as u64);
        assert_eq!(attached, size <= MAX_PAYLOAD);
        digest.hex()
    }

    #[test]
    fn a_file_too_large_to_travel_has_the_same_digest() {
        let size = usize::try_from(MAX_PAYLOAD).unwrap();
        for content in [vec![7; size], vec![7; size + 1], vec![7; 3 * size]] {
            for hash in HashFunction::ALL {
                assert_eq!(hash_of(&content, hash), hex(&hash.of(&content)));
            }
        }
    }

    #[test]
    fn each_hash_gives_its_known_answer() {
        assert_eq!(
            hash_of(b"abc", HashFunction::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hash_of(b"hello", HashFunction::Sha256d),
            "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"
        );
        assert_eq!(
            hash_of(b"", HashFunction::Keccak256),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
    }

    #[test]
    fn a_digest_has_exactly_64_digits() {
        let code = |text: &str| of(Some(text), &PayloadArgs::default(), None).map_err(|f| f.code);
        assert_eq!(code(&"5A".repeat(32)).unwrap().hex(), "5a".repeat(32));
        for bad in ["", "5a", &"5a".repeat(33), &"zz".repeat(32)] {
            assert_eq!(code(bad), Err(Code::Usage), "{bad}");
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let code = |path: &str| of_file(Path::new(path), HashFunction::Sha256).unwrap_err().code;
        assert_eq!(code("/nonexistent/file"), Code::NotFound);
        assert_eq!(code("/"), Code::Usage);
    }
}
