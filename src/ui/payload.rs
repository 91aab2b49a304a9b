//! Payloads as rows of a card. Every line of a text is quoted by itself, so that no text can
//! imitate a row of this device.

mod bitcoin;
mod ethereum;
mod git;
mod openpgp;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::text::quoted;
use crate::payload::ethereum::Account;
use crate::payload::{Content, MAX_PAYLOAD, MessageFormat, Source, Summary, file, jws, message};
use crate::progress::Built;

/// The origin of the digest, in words.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Digest => "by the requester; this device cannot see what it is of".to_owned(),
        Source::File { name, size, hash, attached: false } => {
            let name = quoted(name.as_str());
            format!("by the requester, unseen: {hash} of {name}, {size} bytes")
        }
        Source::File { name, size, hash, attached: true } => {
            let name = quoted(name.as_str());
            format!("here: {hash} of a file of {size} bytes, which the requester calls {name}")
        }
        Source::Message { format, size } => {
            format!("here: {} of {size} bytes", name(*format))
        }
        Source::Files { files, hash } => {
            let (count, size) = (files.len(), source.travels().unwrap_or_default());
            format!(
                "here: for {count} files of {size} bytes, of each of which the {hash} is signed"
            )
        }
        Source::EthTx { size } => format!("here: an Ethereum transaction of {size} bytes"),
        Source::TypedData { size } => format!("here: typed data (EIP-712) of {size} bytes"),
        Source::Psbt { size, .. } => {
            format!(
                "here: of a payment (PSBT) of {size} bytes, of whose inputs the hashes are signed"
            )
        }
        Source::Jws { name, size } => {
            let name = quoted(name.as_str());
            format!(
                "here: of a JWS around a file of {size} bytes, which the requester calls {name}"
            )
        }
        Source::OpenPgp { name, size, .. } => {
            let name = quoted(name.as_str());
            format!(
                "here: of an OpenPGP signature of a file of {size} bytes, which the requester calls {name}"
            )
        }
        Source::OpenPgpKey { .. } => "here: of an OpenPGP key and a user id".to_owned(),
        Source::Git { size, .. } => {
            format!("here: of an OpenPGP signature of a git object of {size} bytes")
        }
    }
}

/// The warning about a file that is not shown although it could be.
pub(super) fn unseen(source: &Source) -> Option<&'static str> {
    match source {
        Source::File { attached: false, size, .. } if *size <= MAX_PAYLOAD => Some(
            "you sign this file unseen: it is said to be small enough to be shown, and was not sent; \
             the program of a signer may be too old, or somebody hides it",
        ),
        _ => None,
    }
}

/// Whether this device has built a file, in words.
pub(super) fn built(built: &Built) -> String {
    match built {
        Built::Here { path } => format!("yes: {}", quoted(path)),
        Built::Missing { not_in } => format!("NO, not in {}", quoted(not_in)),
        Built::Unknown { unknown } => format!("not known: {unknown}"),
    }
}

fn name(format: MessageFormat) -> &'static str {
    match format {
        MessageFormat::Ethereum => "an Ethereum message (EIP-191)",
        MessageFormat::Bitcoin => "a Bitcoin message",
    }
}

/// The rows of a summary: labels and facts. An empty label continues the row before.
/// `public_key` signs, if it is known, and is shown as the account from which a transaction is.
pub(super) fn rows(
    summary: &Summary,
    public_key: Option<&[u8; 33]>,
) -> Vec<(&'static str, String)> {
    let from =
        public_key.and_then(Account::of_key).map(|account| ("from", ethereum::grouped(account)));
    match summary {
        Summary::File(file) => file_rows(file),
        Summary::Message(message) => message_rows(message),
        Summary::Files(several) => several.files.iter().flat_map(one_of_rows).collect(),
        Summary::EthTx(transaction) => {
            let rows = ethereum::transaction(transaction);
            from.into_iter().chain(rows).collect()
        }
        Summary::Psbt(payment) => bitcoin::payment(payment),
        Summary::Jws(jws) => jws_rows(jws),
        Summary::OpenPgp(signed) => openpgp::signed(signed),
        Summary::OpenPgpKey(certificate) => openpgp::certificate(certificate),
        Summary::Git(signed) => git::object(signed),
        Summary::TypedData(typed) => from.into_iter().chain(ethereum::typed(typed)).collect(),
    }
}

fn one_of_rows(file: &file::OneOf) -> Vec<(&'static str, String)> {
    let file::OneOf { name, size, digest, summary } = file;
    let name = quoted(name.as_str());
    let mut rows = vec![
        ("file", format!("{size} bytes, which the requester calls {name}")),
        ("is signed", digest.clone()),
    ];
    rows.extend(file_rows(summary));
    rows
}

fn jws_rows(jws: &jws::Summary) -> Vec<(&'static str, String)> {
    let jws::Summary { header, sha256, file } = jws;
    let mut rows = vec![
        ("format", format!("JSON Web Signature (JWS), {header}")),
        ("SHA-256", format!("{sha256}, of the file")),
    ];
    rows.extend(file_rows(file));
    rows
}

fn file_rows(file: &file::Summary) -> Vec<(&'static str, String)> {
    let file::Summary { looks_like, warning, lines, text, complete } = file;
    let count =
        lines.map(|count| format!(", {count} {}", if count == 1 { "line" } else { "lines" }));
    let mut rows = vec![("looks like", format!("{looks_like}{}", count.unwrap_or_default()))];
    rows.extend(warning.map(|warning| ("warning", signed_for(warning).to_owned())));
    if let Some(text) = text {
        rows.extend(lines_of("content", text));
        if !complete {
            rows.push(("", "this is its beginning: the rest is not shown".to_owned()));
        }
    }
    rows
}

fn signed_for(warning: file::Warning) -> &'static str {
    match warning {
        file::Warning::EthereumMessage => {
            "the signature is valid for an Ethereum message or typed data"
        }
        file::Warning::EthereumTransaction => "the signature is valid for an Ethereum transaction",
        file::Warning::BitcoinMessage => "the signature is valid for a Bitcoin message",
        file::Warning::BitcoinHash => "hashed as Bitcoin transactions are: it may be valid for one",
        file::Warning::Hash => {
            "it may be a hash: what is hashed twice, as a Bitcoin transaction, would be signed"
        }
        file::Warning::OpenPgpSignature => {
            "this is what an OpenPGP signature hashes: the signature is valid for the document in it"
        }
        file::Warning::OpenPgpCertification => {
            "this is what OpenPGP hashes to say whose a key is, or which key belongs to it: the signature is valid for that"
        }
        file::Warning::Jws => {
            "this is what a JSON Web Signature hashes, as for a login: it is valid for that"
        }
        file::Warning::Cose => "this is what a signature of COSE hashes: it is valid for that",
        file::Warning::Dsse => {
            "this is an envelope of DSSE, as of in-toto: the signature is valid for what it states"
        }
        file::Warning::SshSignature => {
            "this is what an SSH signature hashes: the signature is valid for the document of that"
        }
        file::Warning::SshCertificate => {
            "the signature makes it an SSH certificate, by which somebody logs in"
        }
        file::Warning::SshLogin => "the signature logs somebody in over SSH",
        file::Warning::X509Certificate => {
            "the signature makes it an X.509 certificate, issued by this key"
        }
        file::Warning::X509Request => {
            "the signature makes it a request for an X.509 certificate of this key"
        }
        file::Warning::X509RevocationList => {
            "the signature makes it a list of the X.509 certificates that this key revokes"
        }
        file::Warning::OcspResponse => {
            "the signature makes it a response (OCSP) by which an X.509 certificate is good or revoked"
        }
        file::Warning::CmsAttributes => {
            "this is what a signature in CMS hashes, as of mails, PDF and programs: it is valid for a document that is not here"
        }
        file::Warning::Asn1 => {
            "this is a structure of ASN.1 that is not read here: the signature may make it a certificate"
        }
        file::Warning::TlsHandshake => {
            "the signature proves to a TLS connection that it is with this key"
        }
        file::Warning::XmlSignature => {
            "this is what a signature in XML hashes: it is valid for a document that is not here"
        }
        file::Warning::CosmosTransaction => {
            "the signature is valid for a transaction of a Cosmos chain"
        }
        file::Warning::TronTransaction => "the signature is valid for a Tron transaction",
    }
}

fn message_rows(message: &message::Summary) -> Vec<(&'static str, String)> {
    let mut rows: Vec<_> = message.warnings.iter().map(|w| ("warning", warning(*w))).collect();
    match &message.content {
        Content::Text(text) => rows.extend(lines_of("message", text)),
        Content::Hex(digits) => {
            rows.push(("message", "no text; in hexadecimal:".to_owned()));
            rows.push(("", digits.clone()));
        }
    }
    rows
}

fn warning(warning: message::Warning) -> String {
    match warning {
        message::Warning::Empty => "the message is empty",
        message::Warning::LooksLikeAHash => "it looks like a hash: it may stand for something else",
        message::Warning::LooksLikeATransaction => "it looks like a transaction",
    }
    .to_owned()
}

/// `time` in seconds since 1970, as a date.
fn moment(time: impl Into<i64>) -> String {
    let time = time.into();
    let date = OffsetDateTime::from_unix_timestamp(time).ok();
    let text = date.and_then(|date| date.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{time} seconds after 1970"))
}

/// An address or a fingerprint in full, in groups of four characters.
fn in_fours(address: &str) -> String {
    let characters: Vec<char> = address.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// The lines of a text, each in quotes.
fn lines_of(label: &'static str, text: &str) -> Vec<(&'static str, String)> {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    // A line end at the end is a row of its own, so that two texts never look alike.
    labels.zip(text.split('\n').map(quoted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;

    fn rows_of(message: &[u8]) -> Vec<(&'static str, String)> {
        let source = Source::Message { format: MessageFormat::Bitcoin, size: message.len() as u64 };
        rows(Payload::read(&source, message.to_vec()).unwrap().summary(), None)
    }

    fn row(label: &'static str, fact: &str) -> (&'static str, String) {
        (label, fact.to_owned())
    }

    #[test]
    fn every_line_of_a_message_is_quoted_and_what_is_invisible_is_seen() {
        let rows = rows_of("I agree\n  digest       5a7f\n\nto\u{202e}day\n".as_bytes());
        assert_eq!(
            rows,
            [
                row("message", "\"I agree\""),
                row("", "\"␣␣digest␣␣␣␣␣␣␣5a7f\""),
                row("", "\"\""),
                row("", "\"to\\u{202e}day\""),
                row("", "\"\""),
            ]
        );
    }

    #[test]
    fn a_message_that_is_no_text_is_shown_in_hexadecimal() {
        assert_eq!(
            rows_of(b"\x00\xff"),
            [row("message", "no text; in hexadecimal:"), row("", "00ff")]
        );
    }

    #[test]
    fn a_warning_stands_before_the_message() {
        assert_eq!(rows_of(b""), [row("warning", "the message is empty"), row("message", "\"\"")]);
    }
}
