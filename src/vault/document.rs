//! Small JSON files that carry the version of their format and, in the home of an open vault, what
//! authenticates them.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::editions::{Editions, MISSING, OLDER};
use super::error::Error;
use super::file::{self, Durability, Writer};
use super::{Home, authentic};

/// The version of every document so far.
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Document<T> {
    #[serde(alias = "v")]
    version: u64,
    /// How often it was written, where that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edition: Option<u64>,
    #[serde(flatten)]
    content: T,
}

#[derive(Deserialize)]
struct Version {
    #[serde(alias = "v")]
    version: u64,
}

/// Reads a document, `None` if the file does not exist. With an open vault it must be the one that
/// was written last, and there if it was.
pub(super) fn read<T: DeserializeOwned>(home: &Home, path: &Path) -> Result<Option<T>, Error> {
    // Before the document, which others may just be replacing by a newer one.
    let editions = Editions::load(home)?;
    match read_any(home, path)? {
        Some((_, edition)) if edition < editions.least(home, path) => {
            Err(Error::tampered(path, OLDER))
        }
        Some((content, _)) => Ok(Some(content)),
        // Unless it was just deleted.
        None if editions.demand(home, path) && Editions::load(home)?.demand(home, path) => {
            Err(Error::tampered(path, MISSING))
        }
        None => Ok(None),
    }
}

/// Reads a document and its edition, whichever that is.
pub(super) fn read_any<T: DeserializeOwned>(
    home: &Home,
    path: &Path,
) -> Result<Option<(T, u64)>, Error> {
    let Some(bytes) = file::read(path)? else { return Ok(None) };
    authentic::check(home, path, &bytes)?;
    let Document { content, edition, .. } = parse(path, &bytes)?;
    Ok(Some((content, edition.unwrap_or_default())))
}

/// Which edition of a document is there.
pub(super) fn edition(home: &Home, path: &Path) -> Result<u64, Error> {
    Ok(read_any::<Map<String, Value>>(home, path)?.map_or(0, |(_, edition)| edition))
}

/// Replaces a document by its next edition.
pub(super) fn write<T: Serialize>(
    writer: &Writer<'_>,
    path: &Path,
    content: T,
) -> Result<(), Error> {
    let home = writer.home();
    if !home.checks() {
        return writer.replace(path, &to_bytes(home, path, content)?, Durability::Synced);
    }
    // A process that was killed may have written an edition that is not noted.
    let there = match edition(home, path) {
        Err(Error::Tampered { .. } | Error::Corrupt { .. }) => 0,
        there => there?,
    };
    let next = Editions::load(home)?.least(home, path).max(there).saturating_add(1);
    put(writer, path, next, content)?;
    Editions::note(writer, path, next)
}

/// Replaces a document by this edition, which is not noted yet.
pub(super) fn put<T: Serialize>(
    writer: &Writer<'_>,
    path: &Path,
    edition: u64,
    content: T,
) -> Result<(), Error> {
    let home = writer.home();
    let edition = home.checks().then_some(edition);
    let bytes = bytes_of(home, path, &Document { version: VERSION, edition, content })?;
    writer.replace(path, &bytes, Durability::Synced)
}

/// The document in these bytes.
fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Document<T>, Error> {
    let corrupt = |_| Error::corrupt(path, "not a document of this program");
    let Version { version } = serde_json::from_slice(bytes).map_err(corrupt)?;
    if version != VERSION {
        return Err(Error::Unsupported { path: path.to_owned(), version });
    }
    serde_json::from_slice(bytes).map_err(corrupt)
}

/// The bytes of a document that will be stored in `path`, and whose editions are not counted.
///
/// # Errors
///
/// [`Error::Closed`] if there is a vault, and it is not open.
pub(super) fn to_bytes<T: Serialize>(
    home: &Home,
    path: &Path,
    content: T,
) -> Result<Vec<u8>, Error> {
    bytes_of(home, path, &Document { version: VERSION, edition: None, content })
}

fn bytes_of<T: Serialize>(
    home: &Home,
    path: &Path,
    document: &Document<T>,
) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(document).map_err(|e| Error::io(path)(e.into()))?;
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
