//! Small JSON files that carry the version of their format and, in the home of an open vault, what
//! authenticates them.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::{Home, authentic, file};

/// The version of every document so far.
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Document<T> {
    #[serde(alias = "v")]
    version: u64,
    #[serde(flatten)]
    content: T,
}

#[derive(Deserialize)]
struct Version {
    #[serde(alias = "v")]
    version: u64,
}

/// Reads a document, `None` if the file does not exist. With an open vault it must be the one that
/// was written.
pub(super) fn read<T: DeserializeOwned>(home: &Home, path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = file::read(path)? else { return Ok(None) };
    authentic::check(home, path, &bytes)?;
    parse(path, &bytes).map(Some)
}

/// Reads a document that every open vault has; `None` only without one.
pub(super) fn read_kept<T: DeserializeOwned>(home: &Home, path: &Path) -> Result<Option<T>, Error> {
    match read(home, path)? {
        None if home.checks() => Err(Error::tampered(path, "missing")),
        document => Ok(document),
    }
}

/// The content of a document.
fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    let corrupt = |_| Error::corrupt(path, "not a document of this program");
    let Version { version } = serde_json::from_slice(bytes).map_err(corrupt)?;
    if version != VERSION {
        return Err(Error::Unsupported { path: path.to_owned(), version });
    }
    let document: Document<T> = serde_json::from_slice(bytes).map_err(corrupt)?;
    Ok(document.content)
}

/// The bytes of a document that will be stored in `path`.
///
/// # Errors
///
/// [`Error::Closed`] if there is a vault, and it is not open.
pub(super) fn to_bytes<T: Serialize>(
    home: &Home,
    path: &Path,
    content: T,
) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(&Document { version: VERSION, content })
        .map_err(|e| Error::io(path)(e.into()))?;
    bytes.push(b'\n');
    authentic::sign(home, path, bytes)
}

/// Bytes as a string of hexadecimal digits; for `#[serde(with)]`.
pub(super) mod digits {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::device::{hex, unhex};

    pub(in crate::vault) fn serialize<S: Serializer>(
        bytes: impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(bytes.as_ref()))
    }

    pub(in crate::vault) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| de::Error::custom("wrong hexadecimal digits"))
    }
}

/// A fingerprint as 64 hexadecimal digits; for `#[serde(with)]`.
pub(super) mod fingerprint {
    use serde::{Deserializer, Serializer};

    use super::digits;
    use crate::device::Fingerprint;

    pub(in crate::vault) fn serialize<S: Serializer>(
        fingerprint: &Fingerprint,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        digits::serialize(fingerprint.as_bytes(), serializer)
    }

    pub(in crate::vault) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Fingerprint, D::Error> {
        digits::deserialize(deserializer).map(Fingerprint::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::file::Writer;
    use crate::vault::fixture;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pet {
        name: String,
        #[serde(with = "digits")]
        chip: [u8; 2],
    }

    fn stored(content: &[u8]) -> Result<Option<Pet>, Error> {
        let home = fixture::home();
        let path = home.data.join("pet.json");
        Writer::lock(&home).unwrap().create(&path, content).unwrap();
        read(&home, &path)
    }

    #[test]
    fn a_document_reads_back() {
        let pet = || Pet { name: "Tom".into(), chip: [1, 0xab] };
        let bytes = to_bytes(&fixture::home(), Path::new("pet.json"), pet()).unwrap();
        assert_eq!(stored(&bytes).unwrap(), Some(pet()));
    }

    #[test]
    fn a_newer_version_is_named_and_not_guessed_at() {
        let newer = br#"{"version":2,"names":["Tom"]}"#;
        assert!(matches!(stored(newer), Err(Error::Unsupported { version: 2, .. })));
    }

    #[test]
    fn anything_else_is_corrupt() {
        for content in
            [&b""[..], b"{}", b"\0\0\0", br#"{"version":1,"name":"Tom","chip":"01"}"#, b"[1]"]
        {
            assert!(matches!(stored(content), Err(Error::Corrupt { .. })), "{content:?}");
        }
    }
}
