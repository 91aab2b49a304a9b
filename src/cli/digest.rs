//! The 32 bytes that are signed: given, or the hash of a file.

use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::given::by;
use crate::device::{Label, hex};
use crate::pasted;
use crate::report::unreadable;
use crate::report::{self, Code, Failure};
use crate::request::{HashFunction, Source};
use crate::vault::given::{self, Guard};

/// What is signed or checked, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The 32 bytes.
    pub bytes: [u8; 32],
    /// How it was computed, in the words that an approver sees.
    pub source: Source,
}

/// The digest that a command line means: given in hexadecimal, or the hash of a file (`-` is
/// standard input).
pub fn of(
    digest: Option<&str>,
    file: Option<&Path>,
    hash: Option<HashFunction>,
    deadline: Option<Instant>,
) -> Result<Digest, Failure> {
    match (digest, file) {
        (_, Some(path)) => Digest::of_file(path, hash.unwrap_or_default(), deadline),
        (Some(text), None) => Digest::of_text(text),
        (None, None) => Err(Failure::new(Code::Usage, "neither a digest nor a file was given")
            .hint("give a digest of 64 hexadecimal digits, or --file FILE")),
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
        Ok(Self { bytes, source: Source::Digest })
    }

    fn of_file(
        path: &Path,
        hash: HashFunction,
        deadline: Option<Instant>,
    ) -> Result<Self, Failure> {
        let shown = path.display();
        let (name, read) = if path == Path::new("-") {
            ("standard input".into(), by(deadline, move || hashed(io::stdin().lock(), hash)))
        } else {
            let file = given::open(path, Guard::Open)
                .map_err(|error| unreadable(error, &format!("file {shown}")))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // It may be a pipe that the caller opened.
            (name, by(deadline, move || hashed(file, hash)))
        };
        let (bytes, size) = read
            .ok_or_else(|| report::slow(&name, "its end"))?
            .map_err(|e| Failure::new(Code::System, format!("cannot read {shown}: {e}")))?;
        let source = Source::File { name: Label::new(&name), size, hash };
        Ok(Self { bytes, source })
    }
}

/// The hash of all that `input` holds, and how many bytes that was. Memory stays small.
fn hashed(mut input: impl Read, hash: HashFunction) -> io::Result<([u8; 32], u64)> {
    fn fill<D: sha2::Digest + io::Write>(input: &mut impl Read) -> io::Result<(D, u64)> {
        let mut digest = D::new();
        let size = io::copy(&mut io::BufReader::with_capacity(1 << 16, input), &mut digest)?;
        Ok((digest, size))
    }
    Ok(match hash {
        HashFunction::Sha256 => {
            let (digest, size) = fill::<Sha256>(&mut input)?;
            (digest.finalize().into(), size)
        }
        HashFunction::Sha256d => {
            let (digest, size) = fill::<Sha256>(&mut input)?;
            (Sha256::digest(digest.finalize()).into(), size)
        }
        HashFunction::Keccak256 => {
            let (digest, size) = fill::<Keccak256>(&mut input)?;
            (digest.finalize().into(), size)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(content: &[u8], hash: HashFunction) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let digest = of(None, Some(file.path()), Some(hash), None).unwrap();
        let Source::File { size, .. } = digest.source else { panic!() };
        assert_eq!(size, content.len() as u64);
        digest.hex()
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
        let code = |text: &str| of(Some(text), None, None, None).map_err(|f| f.code);
        assert_eq!(code(&"5A".repeat(32)).unwrap().hex(), "5a".repeat(32));
        for bad in ["", "5a", &"5a".repeat(33), &"zz".repeat(32)] {
            assert_eq!(code(bad), Err(Code::Usage), "{bad}");
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let code = |path: &str| of(None, Some(Path::new(path)), None, None).unwrap_err().code;
        assert_eq!(code("/nonexistent/file"), Code::NotFound);
        assert_eq!(code("/"), Code::Usage);
    }
}
