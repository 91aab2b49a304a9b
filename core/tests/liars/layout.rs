//! The fields of every message (docs/protocol.md §3.4, §7.2 to §7.5, §7.9), by which a lie names what it
//! changes.

use std::ops::{Deref, DerefMut, Range};

use crate::curve::{AffinePoint, ProjectivePoint, Scalar};
use cosign_core::curve::decode_point;
use cosign_core::hazmat::crypto::curve::{encode_point, encode_scalar};
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};
use k256::elliptic_curve::ops::MulByGenerator;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any bytes are one.
    Bytes,
    /// A compressed point.
    Point,
    /// A scalar below the group order.
    Scalar,
    /// Many of them.
    Scalars,
}

/// A field of a body.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) range: Range<usize>,
    pub(crate) form: Form,
}

/// Bytes of a message, with names for its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn kind(&self) -> Kind {
        Kind::from_tag(self.0[1]).unwrap()
    }

    pub(crate) fn fields(&self) -> Vec<Field> {
        fields(self.kind(), self.0.len() - HEADER)
    }

    pub(crate) fn range(&self, name: &str) -> Range<usize> {
        self.fields().into_iter().find(|field| field.name == name).unwrap().range
    }

    pub(crate) fn field(&self, name: &str) -> &[u8] {
        &self.0[self.range(name)]
    }

    pub(crate) fn put(&mut self, name: &str, value: &[u8]) {
        let range = self.range(name);
        self.0[range].copy_from_slice(value);
    }

    /// Every byte of the field becomes `byte`.
    pub(crate) fn fill(&mut self, name: &str, byte: u8) {
        let range = self.range(name);
        self.0[range].fill(byte);
    }

    /// Flips the lowest bit of one byte of the field.
    pub(crate) fn flip(&mut self, name: &str, byte: usize) {
        let range = self.range(name);
        self.0[range][byte] ^= 1;
    }

    /// The session id in the frame.
    pub(crate) fn session(&self) -> [u8; 32] {
        self.0[4..HEADER].try_into().unwrap()
    }
}

impl Deref for Message {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Message {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// The fields of a body of `length` bytes, in order; together they are all of it.
///
/// Coefficients are numbered from the first that is published, which in a refresh is not the
/// constant term. The two OT messages are cut into their points, the trees into their parts.
fn fields(kind: Kind, length: usize) -> Vec<Field> {
    use Form::{Bytes, Point, Scalar, Scalars};
    let mut layout = Layout::default();
    match kind {
        Kind::Kg1 => layout.all(&[("nonce", 32, Bytes), ("C", 32, Bytes)]),
        Kind::Kg2b => {
            let coefficients = (length - 64) / 98;
            (0..coefficients).for_each(|k| layout.add(format!("A{k}"), 33, Point));
            layout.all(&[("cc", 32, Bytes), ("salt", 32, Bytes)]);
            for k in 0..coefficients {
                layout.add(format!("T{k}"), 33, Point);
                layout.add(format!("z{k}"), 32, Scalar);
            }
        }
        Kind::Kg2p => {
            layout.add("share".to_owned(), 32, Scalar);
            // A dealer that leaves sends nothing else.
            if length > 32 {
                layout.add("zero".to_owned(), 32, Bytes);
                layout.points("R");
            }
        }
        Kind::Kg3b => layout.all(&[
            ("view", 32, Bytes),
            ("Q", 33, Point),
            ("cc", 32, Bytes),
            ("T", 33, Point),
            ("z", 32, Scalar),
        ]),
        Kind::Kg3p => {
            layout.points("S");
            for tree in 0..32 {
                for part in ["t1.0", "t1.1", "t2.0", "t2.1", "t3.0", "t3.1", "tt", "dig"] {
                    layout.add(format!("{part}[{tree}]"), 32, Bytes);
                }
            }
        }
        Kind::Kg4b => layout.all(&[("confirm", 32, Bytes)]),
        Kind::Sg1 => layout.all(&[
            ("nu", 32, Bytes),
            ("C", 32, Bytes),
            ("u", 2176, Bytes),
            ("xbar", 16, Bytes),
            ("h_t", 32, Bytes),
        ]),
        Kind::Sg2 => layout.all(&[
            ("view", 32, Bytes),
            ("R", 33, Point),
            ("salt", 32, Bytes),
            ("pk", 33, Point),
            ("Gamma_u", 33, Point),
            ("Gamma_v", 33, Point),
            ("psi", 32, Scalar),
            ("atilde", 416 * 96, Scalars),
            ("eta", 32, Scalar),
            ("muhat", 32, Bytes),
        ]),
        Kind::Sg3 => layout.all(&[("R", 33, Point), ("u", 32, Scalar), ("w", 32, Scalar)]),
        Kind::Sb1 => {
            layout.all(&[("nu", 32, Bytes), ("C", 32, Bytes)]);
            let item = [("u", 2176, Bytes), ("xbar", 16, Bytes), ("h_t", 32, Bytes)];
            layout.items(&item, (length - 64) / 2224);
        }
        Kind::Sb2 => {
            layout.all(&[("view", 32, Bytes), ("salt", 32, Bytes)]);
            let item = [
                ("R", 33, Point),
                ("pk", 33, Point),
                ("Gamma_u", 33, Point),
                ("Gamma_v", 33, Point),
                ("psi", 32, Scalar),
            ];
            layout.items(&item, (length - 64) / 164);
        }
        Kind::Sb2r => layout.all(&[
            ("number", 2, Bytes),
            ("atilde", 416 * 96, Scalars),
            ("eta", 32, Scalar),
            ("muhat", 32, Bytes),
        ]),
        Kind::Sb3 => {
            layout.items(&[("R", 33, Point), ("u", 32, Scalar), ("w", 32, Scalar)], length / 97);
        }
    }
    layout.0
}

#[derive(Default)]
struct Layout(Vec<Field>);

impl Layout {
    fn add(&mut self, name: String, length: usize, form: Form) {
        let start = self.0.last().map_or(HEADER, |field| field.range.end);
        self.0.push(Field { name, range: start..start + length, form });
    }

    fn all(&mut self, fields: &[(&str, usize, Form)]) {
        fields.iter().for_each(|(name, length, form)| self.add((*name).to_owned(), *length, *form));
    }

    /// The same fields for each item of a batch, such as `psi[1]`.
    fn items(&mut self, fields: &[(&str, usize, Form)], count: usize) {
        for l in 0..count {
            let names =
                fields.iter().map(|(name, length, form)| (format!("{name}[{l}]"), length, form));
            names.for_each(|(name, length, form)| self.add(name, *length, *form));
        }
    }

    /// Two points for each of 128 base transfers, such as `R[7].1`.
    fn points(&mut self, name: &str) {
        for i in 0..128 {
            for branch in 0..2 {
                self.add(format!("{name}[{i}].{branch}"), 33, Form::Point);
            }
        }
    }
}

/// `multiple * G`, encoded.
pub(crate) fn point(multiple: u64) -> [u8; 33] {
    encode(&Scalar::from(multiple))
}

/// `scalar * G`, encoded.
pub(crate) fn encode(scalar: &Scalar) -> [u8; 33] {
    encode_point(&ProjectivePoint::mul_by_generator(scalar).to_affine()).unwrap()
}

/// An encoded small scalar.
pub(crate) fn scalar(value: u64) -> [u8; 32] {
    encode_scalar(&Scalar::from(value))
}

/// A compressed encoding whose x is on no point of the curve.
pub(crate) fn off_curve() -> [u8; 33] {
    let points = (5..=u8::MAX).map(|x| {
        let mut bytes = [0; 33];
        (bytes[0], bytes[32]) = (2, x);
        bytes
    });
    points.into_iter().find(|bytes| decode_point::<AffinePoint>(bytes).is_err()).unwrap()
}
