//! Documents in the home of an open vault. Reading one checks that it is the edition written last.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Home;
use super::editions::{Editions, MISSING, OLDER};
use super::error::Error;
use super::file::{Durability, Writer};
use super::format::{VERSION, edition, put_in, read_any, to_bytes_in};

/// Reads a document, `None` if the file does not exist. With an open vault an older edition is
/// refused, and so is a missing file that must be there.
pub(super) fn read<T: DeserializeOwned>(home: &Home, path: &Path) -> Result<Option<T>, Error> {
    // Read first: if the document were read first, a concurrent write could make it look old.
    let editions = Editions::read(home)?;
    match read_any(home, path)? {
        Some((_, edition)) if edition < editions.least(home, path) => {
            Err(Error::tampered(path, OLDER))
        }
        Some((content, _)) => Ok(Some(content)),
        // Loaded again: another process may have deleted the document since `editions` was read.
        None if editions.demand(home, path) && Editions::load(home)?.demand(home, path) => {
            Err(Error::tampered(path, MISSING))
        }
        None => Ok(None),
    }
}

/// Replaces a document by its next edition.
pub(super) fn write<T: Serialize>(
    writer: &Writer<'_>,
    path: &Path,
    content: T,
) -> Result<(), Error> {
    write_in(writer, path, VERSION, content)
}

/// As [`write()`], in this version.
pub(super) fn write_in<T: Serialize>(
    writer: &Writer<'_>,
    path: &Path,
    version: u64,
    content: T,
) -> Result<(), Error> {
    let home = writer.home();
    if !home.checks() {
        return writer.replace(
            path,
            &to_bytes_in(home, path, version, content)?,
            Durability::Synced,
        );
    }
    // A process that was killed may have written an edition that is not in `editions.json` yet.
    let there = match edition(home, path) {
        Err(Error::Tampered { .. } | Error::Corrupt { .. }) => 0,
        there => there?,
    };
    let next = Editions::load(home)?.least(home, path).max(there).saturating_add(1);
    put_in(writer, path, (next, version), content, Durability::Synced)?;
    Editions::note(writer, path, next)
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
    use serde::Deserialize;

    use super::*;
    use crate::vault::file::Writer;
    use crate::vault::fixture;
    use crate::vault::format::to_bytes;

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
