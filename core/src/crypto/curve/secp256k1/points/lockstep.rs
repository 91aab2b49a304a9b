//! Many multiplications in lockstep.
//!
//! An affine addition takes half the field multiplications of a projective one, but a division.
//! Hundreds of points in lockstep share one inversion.

use k256::{AffinePoint, Scalar};
use zeroize::Zeroizing;

use super::{
    Affine, BETA, Field, GENERATOR, HALF_DIGITS, Table, digit, halved, invert_all, multiple, split,
};

/// `scalar G` of every scalar.
pub(crate) fn multiples_of_generator(scalars: &[Scalar]) -> Zeroizing<Vec<AffinePoint>> {
    let halved: Zeroizing<Vec<Scalar>> = Zeroizing::new(scalars.iter().map(halved).collect());
    let mut steps = Steps::starting_at(scalars.len(), |i, point| {
        *point = multiple(&GENERATOR[0], digit(&halved[i], 0));
    });
    for (place, table) in GENERATOR.iter().enumerate().skip(1) {
        steps.add(|i| multiple(table, digit(&halved[i], place)));
    }
    steps.points()
}

/// `scalar point` of every point and its scalar.
pub(crate) fn multiples(points: &[Affine], scalars: &[Scalar]) -> Zeroizing<Vec<AffinePoint>> {
    let tables = tables(points);
    let halves: Zeroizing<Vec<[Scalar; 2]>> = Zeroizing::new(scalars.iter().map(split).collect());
    let term = |i: usize, half: usize, place: usize| {
        let mut term = multiple(&tables[i], digit(&halves[i][half], place));
        if half == 1 {
            // `lambda (x, y) = (beta x, y)`.
            term.x *= *BETA;
        }
        term
    };
    let mut steps = Steps::starting_at(points.len(), |i, point| {
        *point = term(i, 0, HALF_DIGITS - 1);
    });
    steps.add(|i| term(i, 1, HALF_DIGITS - 1));
    for place in (0..HALF_DIGITS - 1).rev() {
        (0..4).for_each(|_| steps.double());
        (0..2).for_each(|half| steps.add(|i| term(i, half, place)));
    }
    steps.points()
}

/// The odd multiples of every point.
fn tables(points: &[Affine]) -> Zeroizing<Vec<Table>> {
    let mut steps = Steps::starting_at(points.len(), |i, point| *point = points[i]);
    steps.double();
    let twice = steps.at.clone();
    let mut steps = Steps::starting_at(points.len(), |i, point| *point = points[i]);
    let mut tables = Zeroizing::new(points.iter().map(|point| [*point; 8]).collect::<Vec<_>>());
    for odd in 1..8 {
        steps.add(|i| twice[i]);
        tables.iter_mut().zip(steps.at.iter()).for_each(|(table, point)| table[odd] = *point);
    }
    tables
}

/// The sums so far, one for each multiplication.
struct Steps {
    at: Zeroizing<Vec<Affine>>,
    /// The terms of an addition.
    terms: Zeroizing<Vec<Affine>>,
    /// The divisors.
    runs: Zeroizing<Vec<Field>>,
}

impl Steps {
    fn starting_at(count: usize, mut place: impl FnMut(usize, &mut Affine)) -> Self {
        let zero = Affine { x: Field::ZERO, y: Field::ZERO };
        let mut at = Zeroizing::new(vec![zero; count]);
        at.iter_mut().enumerate().for_each(|(i, point)| place(i, point));
        Self {
            at,
            terms: Zeroizing::new(vec![zero; count]),
            runs: Zeroizing::new(vec![Field::ZERO; count]),
        }
    }

    /// Adds to every point another that is neither it nor its negative.
    fn add(&mut self, term: impl Fn(usize) -> Affine) {
        for (i, slot) in self.terms.iter_mut().enumerate() {
            *slot = term(i);
        }
        for ((run, point), term) in self.runs.iter_mut().zip(self.at.iter()).zip(self.terms.iter())
        {
            *run = term.x + point.x.negate(1);
        }
        invert_all(&mut self.runs);
        let points = self.at.iter_mut().zip(self.terms.iter()).zip(self.runs.iter());
        for ((point, term), inverse) in points {
            let slope = (term.y + point.y.negate(1)) * inverse;
            point.follow(&slope, &term.x);
        }
    }

    /// Doubles every point.
    fn double(&mut self) {
        for (run, point) in self.runs.iter_mut().zip(self.at.iter()) {
            *run = point.y.double();
        }
        invert_all(&mut self.runs);
        for (point, inverse) in self.at.iter_mut().zip(self.runs.iter()) {
            let square = point.x.square();
            let slope = (square.double() + square) * inverse;
            let x = point.x;
            point.follow(&slope, &x);
        }
    }

    fn points(&self) -> Zeroizing<Vec<AffinePoint>> {
        Zeroizing::new(self.at.iter().map(Affine::point).collect())
    }
}

impl Affine {
    /// Adds the point at `x`; `slope` is that of the line through both.
    fn follow(&mut self, slope: &Field, x: &Field) {
        let sum = (slope.square() + self.x.negate(1) + x.negate(1)).normalize_weak();
        self.y = (*slope * (self.x + sum.negate(1)) + self.y.negate(1)).normalize_weak();
        self.x = sum;
    }
}
