//! One or two multiplications: Jacobian coordinates, with tables of affine points.

use k256::{AffinePoint, Scalar};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Affine, BETA, Field, GENERATOR, HALF_DIGITS, Table, digit, halved, invert_all, multiple, split,
};

/// The point `(x / z^2, y / z^3)`; the identity, where `z` is zero. Magnitudes are at most 6, 3 and 2.
#[derive(Clone, Copy, Zeroize)]
pub(crate) struct Jacobian {
    x: Field,
    y: Field,
    z: Field,
}

/// `scalar G` of every scalar.
pub(crate) fn multiples_of_generator<'a>(
    scalars: impl Iterator<Item = &'a Scalar>,
) -> Zeroizing<Vec<AffinePoint>> {
    let multiple = |scalar| {
        let digits = Zeroizing::new(halved(scalar));
        let mut sum = Jacobian::from(multiple(&GENERATOR[0], digit(&digits, 0)));
        for (place, table) in GENERATOR.iter().enumerate().skip(1) {
            sum.add(&multiple(table, digit(&digits, place)));
        }
        sum
    };
    let points = Zeroizing::new(scalars.map(multiple).collect::<Vec<_>>());
    Zeroizing::new(divide(&points).iter().map(Affine::point).collect())
}

/// `scalar point_i - summand_i G` of two public points.
pub(crate) fn differences(
    points: [AffinePoint; 2],
    scalar: &Scalar,
    summands: &[Scalar; 2],
) -> Zeroizing<[Jacobian; 2]> {
    let halves = Zeroizing::new(split(scalar));
    let tables = tables(&points.each_ref().map(Affine::of_public));
    let difference = |i: usize| {
        let term = |half: usize, place: usize| {
            let mut term = multiple(&tables[i], digit(&halves[half], place));
            if half == 1 {
                // `lambda (x, y) = (beta x, y)`.
                term.x *= *BETA;
            }
            term
        };
        let mut sum = Jacobian::from(term(0, HALF_DIGITS - 1));
        sum.add(&term(1, HALF_DIGITS - 1));
        for place in (0..HALF_DIGITS - 1).rev() {
            (0..4).for_each(|_| sum.double());
            (0..2).for_each(|half| sum.add(&term(half, place)));
        }
        // Negation of a scalar branches on zero.
        let digits = Zeroizing::new(halved(&(Scalar::ZERO - summands[i])));
        for (place, table) in GENERATOR.iter().enumerate() {
            sum.add(&multiple(table, digit(&digits, place)));
        }
        sum
    };
    Zeroizing::new([difference(0), difference(1)])
}

/// The odd multiples of every point.
fn tables(points: &[Affine]) -> Vec<Table> {
    let mut odd = Vec::with_capacity(8 * points.len());
    for point in points {
        let mut sum = Jacobian::from(*point);
        odd.push(sum);
        sum.double();
        for times in 3..16 {
            sum.add(point);
            if times % 2 == 1 {
                odd.push(sum);
            }
        }
    }
    divide(&odd).as_chunks().0.to_vec()
}

/// Affine coordinates of all points with one inversion; zeros, if one is the identity.
fn divide(points: &[Jacobian]) -> Zeroizing<Vec<Affine>> {
    let mut inverses = Zeroizing::new(points.iter().map(|point| point.z).collect::<Vec<_>>());
    invert_all(&mut inverses);
    let divided = |(point, inverse): (&Jacobian, &Field)| {
        let square = inverse.square();
        Affine { x: point.x * square, y: point.y * (square * inverse) }
    };
    Zeroizing::new(points.iter().zip(inverses.iter()).map(divided).collect())
}

impl From<Affine> for Jacobian {
    fn from(Affine { x, y }: Affine) -> Self {
        Self { x, y, z: Field::ONE }
    }
}

impl Jacobian {
    /// Whether this is `point`.
    pub(crate) fn is(&self, point: &AffinePoint) -> bool {
        let Affine { x, y } = Affine::of_public(point);
        let square = self.z.square();
        let same_x = (x * square + self.x.negate(6)).normalizes_to_zero();
        let same_y = (y * (square * self.z) + self.y.negate(3)).normalizes_to_zero();
        bool::from(same_x & same_y & !self.z.normalizes_to_zero())
    }

    /// Doubles the point.
    fn double(&mut self) {
        let yy = self.y.square();
        let d = (self.x * yy).mul_single(4);
        let e = self.x.square().mul_single(3);
        self.z = (self.y * self.z).double();
        self.x = (e.square() + d.double().negate(8)).normalize_weak();
        let eight = yy.square().mul_single(8);
        self.y = (e * (d + self.x.negate(1)) + eight.negate(8)).normalize_weak();
    }

    /// Adds a point that is neither this one nor its negative.
    fn add(&mut self, point: &Affine) {
        let zz = self.z.square();
        let h = point.x * zz + self.x.negate(6);
        let r = point.y * (zz * self.z) + self.y.negate(3);
        let hh = h.square();
        let hhh = h * hh;
        let v = self.x * hh;
        self.x = r.square() + hhh.negate(1) + v.double().negate(2);
        self.y = r * (v + self.x.negate(6)) + (self.y * hhh).negate(1);
        self.z *= h;
    }
}
