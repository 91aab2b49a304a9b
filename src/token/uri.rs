//! `pkcs11:` URIs (RFC 7512): a token, an object on it, and a module.
//!
//! Attributes are parsed strictly: an unknown or repeated one is an error, since a URI that is only
//! half understood may name another token. A PIN in a URI ends up in process lists and shell
//! histories, so `pin-value` is refused; `pin-source` names a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::TokenInfo;

/// A `pkcs11:` URI. An attribute that is not given matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    /// The token's label.
    pub token: Option<String>,
    /// The token's manufacturer.
    pub manufacturer: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The token's model.
    pub model: Option<String>,
    /// The module's manufacturer.
    pub library_manufacturer: Option<String>,
    /// The module's description of itself.
    pub library_description: Option<String>,
    /// The module's version, `MAJOR` or `MAJOR.MINOR`.
    pub library_version: Option<String>,
    /// The slot's description.
    pub slot_description: Option<String>,
    /// The slot's manufacturer.
    pub slot_manufacturer: Option<String>,
    /// The slot's number, which may change when a reader is plugged in again.
    pub slot_id: Option<u64>,
    /// An object's label.
    pub object: Option<String>,
    /// An object's id.
    pub id: Option<Vec<u8>>,
    /// An object's kind.
    pub kind: Option<Kind>,
    /// The module's file, or its folder.
    pub module_path: Option<PathBuf>,
    /// The module's name, without `lib` and ending.
    pub module_name: Option<String>,
    /// The file that holds the PIN.
    pub pin_source: Option<PathBuf>,
}

/// The kind of an object in a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `public`
    Public,
    /// `private`
    Private,
    /// `cert`
    Certificate,
    /// `secret-key`
    SecretKey,
    /// `data`
    Data,
}

/// Why a text is not a valid `pkcs11:` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    Scheme,
    /// A part is not `name=value`, or has characters or a `%` that do not belong there.
    Malformed(String),
    /// An attribute that RFC 7512 does not know.
    Unknown(String),
    /// An attribute that was given twice.
    Twice(String),
    /// `pin-value`.
    PinInside,
    /// A `pin-source` that is not a file.
    PinSource,
}

impl Uri {
    /// Whether this matches the token `info`. Attributes of an object are ignored.
    pub fn matches(&self, info: &TokenInfo) -> bool {
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.trim_end() == found)
        };
        let version = |wanted: &String| {
            let major = info.library_version.split('.').next().unwrap_or_default();
            *wanted == info.library_version || wanted == major
        };
        same(&self.token, &info.label)
            && same(&self.manufacturer, &info.manufacturer)
            && same(&self.serial, &info.serial)
            && same(&self.model, &info.model)
            && same(&self.library_manufacturer, &info.library_manufacturer)
            && same(&self.library_description, &info.library_description)
            && self.library_version.as_ref().is_none_or(version)
            && same(&self.slot_description, &info.slot_description)
            && same(&self.slot_manufacturer, &info.slot_manufacturer)
            && self.slot_id.is_none_or(|slot| slot == info.slot)
    }

    /// The URI of the token `info`, without attributes that change when it is plugged in elsewhere.
    pub fn of(info: &TokenInfo) -> Self {
        // Left out if it could not be parsed again: the vault's header would become unreadable.
        let some = |text: &str| {
            Some(text.to_owned()).filter(|text| !text.is_empty() && !text.contains('\0'))
        };
        Self {
            token: some(&info.label),
            manufacturer: some(&info.manufacturer),
            serial: some(&info.serial),
            model: some(&info.model),
            ..Self::default()
        }
    }

    fn set_path(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        let text = || text(name, value);
        match name {
            "token" => once(&mut self.token, name, text()?),
            "manufacturer" => once(&mut self.manufacturer, name, text()?),
            "serial" => once(&mut self.serial, name, text()?),
            "model" => once(&mut self.model, name, text()?),
            "library-manufacturer" => once(&mut self.library_manufacturer, name, text()?),
            "library-description" => once(&mut self.library_description, name, text()?),
            "library-version" => {
                let version = text()?;
                let number = |part: &str| part.parse::<u8>().is_ok();
                if !version.split('.').all(number) || version.split('.').count() > 2 {
                    return Err(UriError::Malformed(format!("{name}={value}")));
                }
                once(&mut self.library_version, name, version)
            }
            "slot-description" => once(&mut self.slot_description, name, text()?),
            "slot-manufacturer" => once(&mut self.slot_manufacturer, name, text()?),
            "slot-id" => {
                let number = value.parse();
                let number = number.map_err(|_| UriError::Malformed(format!("{name}={value}")))?;
                once(&mut self.slot_id, name, number)
            }
            "object" => once(&mut self.object, name, text()?),
            "id" => once(&mut self.id, name, decoded(name, value)?),
            "type" => {
                let kind = KINDS.iter().find(|(_, text)| *text == value).map(|(kind, _)| *kind);
                let malformed = || UriError::Malformed(format!("{name}={value}"));
                once(&mut self.kind, name, kind.ok_or_else(malformed)?)
            }
            _ => Err(UriError::Unknown(name.to_owned())),
        }
    }

    fn set_query(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        match name {
            "module-path" => once(&mut self.module_path, name, text(name, value)?.into()),
            "module-name" => {
                let module = text(name, value)?;
                if module.contains('/') {
                    return Err(UriError::Malformed(format!("{name}={value}")));
                }
                once(&mut self.module_name, name, module)
            }
            "pin-source" => once(&mut self.pin_source, name, file(&text(name, value)?)?),
            "pin-value" => Err(UriError::PinInside),
            // RFC 7512, 2.3: unknown query attributes are ignored, as they are for other programs.
            _ => Ok(()),
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"));
        let rest = scheme.and_then(|scheme| text.get(scheme.len()..)).ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = split(part)?;
            uri.set_path(name, value)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = split(part)?;
            uri.set_query(name, value)?;
        }
        Ok(uri)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot_id = self.slot_id.map(|slot| slot.to_string());
        let kind = self.kind.and_then(|kind| KINDS.iter().find(|(k, _)| *k == kind));
        let mut path: Vec<(&str, Option<&[u8]>)> = vec![
            ("token", bytes(&self.token)),
            ("manufacturer", bytes(&self.manufacturer)),
            ("serial", bytes(&self.serial)),
            ("model", bytes(&self.model)),
            ("library-manufacturer", bytes(&self.library_manufacturer)),
            ("library-description", bytes(&self.library_description)),
            ("library-version", bytes(&self.library_version)),
            ("slot-description", bytes(&self.slot_description)),
            ("slot-manufacturer", bytes(&self.slot_manufacturer)),
            ("slot-id", bytes(&slot_id)),
            ("object", bytes(&self.object)),
            ("id", self.id.as_deref()),
        ];
        path.push(("type", kind.map(|(_, text)| text.as_bytes())));
        f.write_str("pkcs11:")?;
        write_parts(f, &path, ";")?;
        let module_path = self.module_path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let pin_source = self.pin_source.as_ref().map(|path| path.to_string_lossy().into_owned());
        let query = [
            ("module-path", bytes(&module_path)),
            ("module-name", bytes(&self.module_name)),
            ("pin-source", bytes(&pin_source)),
        ];
        if query.iter().any(|(_, value)| value.is_some()) {
            f.write_str("?")?;
        }
        write_parts(f, &query, "&")
    }
}

impl Serialize for Uri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|e: UriError| de::Error::custom(e))
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("does not begin with pkcs11:"),
            Self::Malformed(part) => write!(f, "has a malformed part {part:?}"),
            Self::Unknown(name) => {
                write!(f, "has an attribute {name:?} that RFC 7512 does not know")
            }
            Self::Twice(name) => write!(f, "has {name:?} twice"),
            Self::PinInside => f.write_str(
                "holds a PIN (pin-value), which others can see: use --pin-file, or pin-source with \
                 a file",
            ),
            Self::PinSource => f.write_str("has a pin-source that is no absolute path of a file"),
        }
    }
}

impl std::error::Error for UriError {}

fn bytes(text: &Option<String>) -> Option<&[u8]> {
    text.as_ref().map(String::as_bytes)
}

fn write_parts(
    f: &mut fmt::Formatter<'_>,
    parts: &[(&str, Option<&[u8]>)],
    separator: &str,
) -> fmt::Result {
    let given = parts.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    for (i, (name, value)) in given.enumerate() {
        write!(f, "{}{name}=", if i == 0 { "" } else { separator })?;
        for byte in value {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/'
                    if *name != "id" =>
                {
                    write!(f, "{}", char::from(*byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
    }
    Ok(())
}

fn split(part: &str) -> Result<(&str, &str), UriError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    part.split_once('=')
        .filter(|(name, _)| !name.is_empty() && name.chars().all(fits))
        .ok_or_else(|| UriError::Malformed(part.chars().take(80).collect()))
}

fn once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), UriError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Twice(name.to_owned())),
    }
}

/// Decodes a percent-encoded value. Characters outside RFC 7512, such as a quoted space, are taken
/// as they are.
fn decoded(name: &str, value: &str) -> Result<Vec<u8>, UriError> {
    let malformed = || UriError::Malformed(format!("{name}={value}"));
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let high = digit().ok_or_else(malformed)?;
        let low = digit().ok_or_else(malformed)?;
        bytes.push(u8::try_from(high << 4 | low).map_err(|_| malformed())?);
    }
    Ok(bytes)
}

fn text(name: &str, value: &str) -> Result<String, UriError> {
    String::from_utf8(decoded(name, value)?)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| UriError::Malformed(format!("{name}={value}")))
}

/// Parses `/path`, `file:/path` or `file:///path`. The form `|command` of RFC 7512 is refused,
/// since a URI must not run programs.
fn file(source: &str) -> Result<PathBuf, UriError> {
    let path = source.strip_prefix("file:").unwrap_or(source);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('/') { Ok(path.into()) } else { Err(UriError::PinSource) }
}

const KINDS: &[(Kind, &str)] = &[
    (Kind::Public, "public"),
    (Kind::Private, "private"),
    (Kind::Certificate, "cert"),
    (Kind::SecretKey, "secret-key"),
    (Kind::Data, "data"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> TokenInfo {
        TokenInfo {
            slot: 7,
            label: "My Token".into(),
            manufacturer: "SoftHSM project".into(),
            serial: "0123abcd".into(),
            model: "SoftHSM v2".into(),
            library_version: "2.6".into(),
            ..TokenInfo::default()
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_understood() {
        let uri: Uri = "pkcs11:object=my-pubkey;type=public".parse().unwrap();
        assert_eq!((uri.object.as_deref(), uri.kind), (Some("my-pubkey"), Some(Kind::Public)));
        let uri: Uri =
            "pkcs11:object=my-key;type=private?pin-source=file:/etc/token".parse().unwrap();
        assert_eq!(uri.pin_source, Some("/etc/token".into()));
        let uri: Uri = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;\
                        manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;\
                        id=%69%95%3E%5C%F4%BD%EC%91;serial=\
                        ?pin-source=file:/etc/token_pin&module-name=mypkcs11"
            .parse()
            .unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.id, Some(b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91".to_vec()));
        assert_eq!((uri.serial.as_deref(), uri.kind), (Some(""), Some(Kind::Certificate)));
        assert_eq!(uri.module_name.as_deref(), Some("mypkcs11"));
        let uri: Uri = "pkcs11:slot-description=Sun%20Metaslot".parse().unwrap();
        assert_eq!(uri.slot_description.as_deref(), Some("Sun Metaslot"));
        let uri: Uri = "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;\
                        library-description=Soft%20Token%20Library;library-version=1.23"
            .parse()
            .unwrap();
        assert_eq!(uri.library_version.as_deref(), Some("1.23"));
        let uri: Uri = "pkcs11:token=%C3%A9?module-path=/mnt/lib.so&x-other=1".parse().unwrap();
        assert_eq!(
            (uri.token.as_deref(), uri.module_path),
            (Some("é"), Some("/mnt/lib.so".into()))
        );
        assert_eq!("pkcs11:".parse(), Ok(Uri::default()));
        assert_eq!("PKCS11:".parse(), Ok(Uri::default()));
    }

    #[test]
    fn a_token_is_named_by_all_that_can_be_written_into_a_uri() {
        let uri = Uri::of(&info());
        assert_eq!(
            uri.to_string(),
            "pkcs11:token=My%20Token;manufacturer=SoftHSM%20project;serial=0123abcd;model=SoftHSM%20v2"
        );
        for label in ["", "a\0b"] {
            assert_eq!(Uri::of(&TokenInfo { label: label.into(), ..info() }).token, None);
        }
        let uri: Uri = "pkcs11:slot-manufacturer=ACME".parse().unwrap();
        assert_eq!(uri.slot_manufacturer.as_deref(), Some("ACME"));
    }

    #[test]
    fn what_is_half_understood_is_refused() {
        let malformed = |text: &str| UriError::Malformed(text.to_owned());
        for (text, why) in [
            ("", UriError::Scheme),
            ("pkcs11", UriError::Scheme),
            ("http://x", UriError::Scheme),
            ("pkcs11é:", UriError::Scheme),
            ("pkcs11:token", malformed("token")),
            ("pkcs11:=x", malformed("=x")),
            ("pkcs11:token=a;token=b", UriError::Twice("token".into())),
            ("pkcs11:tokens=a", UriError::Unknown("tokens".into())),
            ("pkcs11:token=%2", malformed("token=%2")),
            ("pkcs11:token=%zz", malformed("token=%zz")),
            ("pkcs11:token=%FF", malformed("token=%FF")),
            ("pkcs11:token=%00", malformed("token=%00")),
            ("pkcs11:type=key", malformed("type=key")),
            ("pkcs11:slot-id=x", malformed("slot-id=x")),
            ("pkcs11:library-version=1.2.3", malformed("library-version=1.2.3")),
            ("pkcs11:?pin-value=1234", UriError::PinInside),
            ("pkcs11:?pin-source=|cat%20/etc/pin", UriError::PinSource),
            ("pkcs11:?pin-source=pin.txt", UriError::PinSource),
            ("pkcs11:?module-name=../x", malformed("module-name=../x")),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_uri_reads_back_from_what_it_prints() {
        for text in [
            "pkcs11:",
            "pkcs11:token=My%20Token;serial=0123abcd",
            "pkcs11:token=a%3Bb%3Fc%26d%25e%3D;id=%00%FF%61;type=private",
            "pkcs11:slot-id=7;object=x?module-path=/lib/a%20b.so&pin-source=/etc/pin",
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(uri.to_string(), text);
        }
        for label in ["My Token", "", "a;b?c&d%e=\u{1b}[2J\n", "\u{fffd}é", "a\0b", "%00"] {
            let uri = Uri::of(&TokenInfo { label: label.into(), ..info() });
            assert_eq!(uri.to_string().parse(), Ok(uri), "{label:?}");
        }
    }

    #[test]
    fn every_given_attribute_must_match() {
        let means = |text: &str| text.parse::<Uri>().unwrap().matches(&info());
        for text in [
            "pkcs11:",
            "pkcs11:token=My%20Token",
            "pkcs11:token=My%20Token;serial=0123abcd;manufacturer=SoftHSM%20project",
            "pkcs11:slot-id=7;library-version=2;object=anything;id=%01",
            "pkcs11:library-version=2.6",
        ] {
            assert!(means(text), "{text}");
        }
        for text in [
            "pkcs11:token=my%20token",
            "pkcs11:token=My%20Token;serial=0123abce",
            "pkcs11:slot-id=8",
            "pkcs11:library-version=2.7",
            "pkcs11:model=",
        ] {
            assert!(!means(text), "{text}");
        }
    }
}
