//! Round 2 (docs/protocol.md §7.3, §7.4): multiply, check all products, then make the partial
//! signatures.

use std::collections::VecDeque;

use super::round1::{Mask, Nonce, Own, bug, commit};
use super::round3::{Partial, Round3};
use super::{Form, Item, Round, Terms};
use crate::crypto::curve::{
    AffinePoint, Curve, POINT, ProjectivePoint, Scalar, decode_point, encode_point, encode_scalar,
    reduce,
};
use crate::crypto::ecdsa::x_mod_order;
use crate::crypto::mul::{self, MulError};
use crate::crypto::ot::extension::Checked;
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::encoded;
use crate::protocol::machine::{Gathered, Messages, Step};
use crate::protocol::wire::{Kind, OPENING, Reader, Received, pack};
use crate::secret::Secret;
use k256::elliptic_curve::Field as _;
use k256::elliptic_curve::group::{Curve as _, Group as _};

/// Multiplies with every peer, and awaits the openings and products of all signers.
#[derive(Debug)]
pub(super) struct Round2<C: Curve> {
    pub(super) terms: Terms<C>,
    pub(super) nonces: Vec<Nonce<C>>,
    pub(super) own: Own,
    pub(super) view: [u8; 32],
    /// `sk_i`, by item.
    pub(super) shares: Vec<Secret<Scalar<C>>>,
    /// `pk_i`, by item; none before the openings are made.
    pub(super) public_shares: Vec<AffinePoint<C>>,
    /// In index order.
    pub(super) products: Vec<PeerProducts<C>>,
}

/// The state of the products with one peer.
#[derive(Debug)]
pub(super) struct PeerProducts<C: Curve> {
    pub(super) peer: PartyId,
    /// The peer's `nu`.
    pub(super) nonce: [u8; 32],
    pub(super) commitment: [u8; 32],
    /// Products that were not sent yet, by item.
    pub(super) unmade: VecDeque<Unmade<C>>,
    /// The others, which come before them.
    pub(super) made: Vec<Product<C>>,
}

/// The means of one product: its transfers were checked.
#[derive(Debug)]
pub(super) struct Unmade<C: Curve> {
    /// `sid_p`, with this party as A.
    pub(super) pair_session: [u8; 32],
    pub(super) checked: Checked,
    /// `ahat`.
    pub(super) mask_of_sum: Secret<Scalar<C>>,
    /// For the product with the peer as A.
    pub(super) mask: Mask<C>,
}

/// One product, of which this party's half was sent.
#[derive(Debug)]
pub(super) struct Product<C: Curve> {
    mask: Mask<C>,
    /// `c`, this party's summands of its products with the peer's mask.
    summands: Secret<[Scalar<C>; 2]>,
}

/// A peer's opening of one item.
struct Opened<C: Curve> {
    nonce_point: AffinePoint<C>,
    public_share: AffinePoint<C>,
    gammas: [AffinePoint<C>; 2],
    /// `phi_j - chi_{j,i}`.
    psi: Scalar<C>,
}

/// Sums of one item over all signers, as far as this party knows them.
struct Sums<C: Curve> {
    nonce_point: ProjectivePoint<C>,
    public_share: ProjectivePoint<C>,
    /// `phi_i + sum_j psi_{j->i}`.
    phi: Secret<Scalar<C>>,
    /// Both products.
    products: Secret<[Scalar<C>; 2]>,
}

impl<C: Curve> Round2<C> {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.terms.session
    }

    // ---------------------------------------------------------------------------------------------
    // This party's messages
    // ---------------------------------------------------------------------------------------------

    /// Whether messages of this round were not made yet.
    pub(super) fn has_more(&self) -> bool {
        self.public_shares.is_empty()
    }

    /// The next messages of a batch: the products one by one, and then the openings, which tell their
    /// results.
    pub(super) fn more(&mut self) -> Result<Messages, Fault> {
        let Some((peer, number, product)) = self.multiply()? else {
            return self.open(Vec::new());
        };
        let body: [&[u8]; 2] = [&super::number(number), &product];
        Ok(vec![(peer, self.pack(Kind::Sb2r, peer, &body))])
    }

    /// The messages of a single signature, in which the opening comes before the product.
    pub(super) fn multiplied_at_once(&mut self) -> Result<Messages, Fault> {
        let mut products = Vec::with_capacity(self.products.len());
        while let Some((_, _, product)) = self.multiply()? {
            products.push(product);
        }
        self.open(products)
    }

    /// Makes the next product, if there is one: the peer, the number of the item, the message.
    /// All peers are kept equally busy.
    fn multiply(&mut self) -> Result<Option<(PartyId, usize, Vec<u8>)>, Fault> {
        let unfinished = self.products.iter_mut().filter(|products| !products.unmade.is_empty());
        let Some(products) = unfinished.min_by_key(|products| products.made.len()) else {
            return Ok(None);
        };
        let Some(unmade) = products.unmade.pop_front() else { return Ok(None) };
        let number = products.made.len();
        let (Some(nonce), Some(share)) = (self.nonces.get(number), self.shares.get(number)) else {
            return Err(bug(self.terms.form.opening()));
        };
        let Unmade { pair_session, checked, mask_of_sum, mask } = unmade;
        let inputs = [nonce.r.expose(), share.expose()];
        let (message, summands) =
            mul::multiply::<C>(&pair_session, &self.own.nonce, checked, inputs, mask_of_sum);
        products.made.push(Product { mask, summands });
        Ok(Some((products.peer, number, message)))
    }

    /// The openings for all peers, once all products are made. `behind` has what follows the opening
    /// of each peer in the same message.
    fn open(&mut self, behind: Vec<Vec<u8>>) -> Result<Messages, Fault> {
        let kind = self.terms.form.opening();
        let items = self.terms.items.len();
        let made = self.products.iter().flat_map(|products| &products.made);
        let summands = made.flat_map(|product| product.summands.expose());
        let points = C::few_of_generator(self.shares.iter().map(Secret::expose).chain(summands));
        let encoded: Option<Vec<_>> = points.iter().map(encode_point).collect();
        let encoded = encoded.ok_or(bug(kind))?;
        let (public_shares, gammas) = encoded.split_at_checked(items).ok_or(bug(kind))?;
        let mut behind = behind.into_iter();
        let mut sends = Vec::with_capacity(self.products.len());
        for (products, gammas) in self.products.iter().zip(gammas.chunks_exact(2 * items)) {
            let mut rest = Vec::with_capacity(items * OPENING);
            let gammas = gammas.as_chunks::<2>().0;
            let ours = self.nonces.iter().zip(public_shares);
            for ((nonce, share), (product, gammas)) in ours.zip(products.made.iter().zip(gammas)) {
                let psi = *nonce.phi.expose() - product.mask.extended.chi();
                if self.terms.form == Form::Batch {
                    rest.extend_from_slice(&nonce.encoded);
                }
                rest.extend_from_slice(share);
                rest.extend_from_slice(gammas.as_flattened());
                rest.extend_from_slice(&encode_scalar(&psi));
            }
            let behind = behind.next().unwrap_or_default();
            let (view, salt) = (&self.view[..], &self.own.salt[..]);
            let peer = products.peer;
            let message = match (self.terms.form, self.nonces.as_slice()) {
                (Form::Single, [nonce]) => {
                    self.pack(kind, peer, &[view, &nonce.encoded, salt, &rest, &behind])
                }
                _ => self.pack(kind, peer, &[view, salt, &rest]),
            };
            sends.push((peer, message));
        }
        self.public_shares = points.iter().take(items).copied().collect();
        Ok(sends)
    }

    fn pack(&self, kind: Kind, peer: PartyId, body: &[&[u8]]) -> Secret<Vec<u8>> {
        pack(kind, self.terms.me(), Some(peer), &self.terms.session, body)
    }

    // ---------------------------------------------------------------------------------------------
    // The others' messages
    // ---------------------------------------------------------------------------------------------

    /// Checks every peer's openings and products, and makes this party's part of the signatures.
    pub(super) fn finish(self: Box<Self>, messages: &Gathered) -> Result<Step<Round<C>>, Fault> {
        let kind = self.terms.form.opening();
        let mut sums: Vec<Sums<C>> =
            self.nonces.iter().zip(&self.public_shares).map(Sums::new).collect();
        for (products, message) in self.products.iter().zip(messages.of(kind)) {
            self.terms.check_pair(products.peer, kind.name())?;
            let (opened, rest) = self.check_opening(products, &message)?;
            let theirs: Vec<Reader<'_>> = match self.terms.form {
                Form::Single => vec![rest],
                Form::Batch => {
                    messages.from(Kind::Sb2r, products.peer).map(|m| m.reader()).collect()
                }
            };
            let theirs = products.made.iter().zip(opened).zip(theirs);
            for (sums, ((product, opened), reader)) in sums.iter_mut().zip(theirs) {
                let summands = self
                    .check_product(product, &products.nonce, &opened, reader)
                    .map_err(|fault| self.retire(fault))?;
                sums.add(&opened, product, &summands);
            }
        }
        let parts = self.nonces.iter().zip(&self.shares).zip(&self.terms.items).zip(sums);
        let parts =
            parts.map(|(((nonce, share), item), sums)| self.partial(nonce, share, item, &sums));
        let own = parts.collect::<Result<Vec<_>, _>>()?;
        let Self { terms, .. } = *self;
        let sends = for_recipients(&own, &terms);
        Ok(Step::round(Round::Three(Box::new(Round3 { terms, own })), sends))
    }

    /// The opening of one peer, in the order of §7.4: view, commitment, encodings. What follows it in
    /// the message is left to be read.
    fn check_opening<'a>(
        &self,
        products: &PeerProducts<C>,
        message: &Received<'a>,
    ) -> Result<(Vec<Opened<C>>, Reader<'a>), Fault> {
        let mut reader = message.reader();
        if reader.array::<32>()? != &self.view {
            // A party sent the two of us different messages; it need not be this peer.
            return Err(Fault::nobody(Check::View, message.kind.name()));
        }
        let items = self.terms.items.len();
        let mut nonce_points = Vec::with_capacity(items);
        let mut rows = Vec::with_capacity(items);
        let salt;
        match self.terms.form {
            Form::Single => {
                nonce_points.extend_from_slice(reader.bytes(POINT)?);
                salt = reader.array()?;
                rows.push(reader.part(OPENING - POINT)?);
            }
            Form::Batch => {
                salt = reader.array()?;
                for _ in 0..items {
                    nonce_points.extend_from_slice(reader.bytes(POINT)?);
                    rows.push(reader.part(OPENING - POINT)?);
                }
            }
        }
        let opening = commit(&self.terms, products.peer, &products.nonce, &nonce_points, salt);
        if opening != products.commitment {
            return Err(message.fault(Check::Commit));
        }
        let opened =
            nonce_points.as_chunks::<POINT>().0.iter().zip(rows).map(|(point, mut row)| {
                Ok(Opened {
                    nonce_point: decode_point(point)
                        .map_err(|_| message.fault(Check::Malformed))?,
                    public_share: row.point()?,
                    gammas: [row.point()?, row.point()?],
                    psi: row.scalar()?,
                })
            });
        Ok((opened.collect::<Result<_, Fault>>()?, reader))
    }

    /// This party's summands `d` of one product of the peer with its mask.
    fn check_product(
        &self,
        product: &Product<C>,
        nonce: &[u8; 32],
        opened: &Opened<C>,
        mut reader: Reader<'_>,
    ) -> Result<Secret<[Scalar<C>; 2]>, Fault> {
        if self.terms.form == Form::Batch {
            // The number of the item, by which the machine has put the message in its place.
            reader.bytes(2)?;
        }
        let fault = |check| reader.fault(check);
        let Mask { pair_session, extended } = &product.mask;
        let summands =
            mul::receive::<C>(pair_session, nonce, extended, reader.rest()).map_err(|error| {
                fault(match error {
                    MulError::Malformed => Check::Malformed,
                    MulError::Check => Check::RvoleCheck,
                })
            })?;
        // The multiplied values must be the nonce and the key share of the peer's public points.
        let points = [opened.nonce_point, opened.public_share];
        let claimed = &opened.gammas;
        let [is_u, is_v] = C::are_differences(points, extended.chi(), summands.expose(), claimed);
        if !is_u {
            return Err(fault(Check::GammaU));
        }
        if !is_v {
            return Err(fault(Check::GammaV));
        }
        Ok(summands)
    }

    /// Retires the pair in memory if the fault demands it; the machine outputs that for storage.
    fn retire(&self, fault: Fault) -> Fault {
        if let (true, Some(peer)) = (fault.bans(), fault.culprit) {
            self.terms.share.retire(peer, fault.check);
        }
        fault
    }

    /// This party's part of one signature.
    fn partial(
        &self,
        nonce: &Nonce<C>,
        share: &Secret<Scalar<C>>,
        item: &Item<C>,
        sums: &Sums<C>,
    ) -> Result<Partial<C>, Fault> {
        self.check_key(item, sums.public_share)?;
        let nonce_point = sums.nonce_point.to_affine();
        let r = x_mod_order::<C>(&nonce_point);
        if sums.nonce_point == ProjectivePoint::<C>::identity() || r == Scalar::<C>::ZERO {
            return Err(Fault::nobody(Check::RInvalid, self.terms.form.opening().name()));
        }
        let [of_nonce, of_share] = sums.products.expose();
        let phi = sums.phi.expose();
        let u = Secret::new(*nonce.r.expose() * phi + of_nonce);
        let v = Secret::new(*share.expose() * phi + of_share);
        let w =
            Secret::new(reduce::<Scalar<C>>(&item.digest) * nonce.phi.expose() + r * v.expose());
        Ok(Partial { nonce_point, u, w })
    }

    /// Checks that the public shares of this session add up to the key. With three signers the
    /// culprit is unknown.
    fn check_key(&self, item: &Item<C>, sum: ProjectivePoint<C>) -> Result<(), Fault> {
        if sum == ProjectivePoint::<C>::from(item.public_key) {
            return Ok(());
        }
        let culprit = match self.products.as_slice() {
            [only] => Some(only.peer),
            _ => None,
        };
        Err(Fault { check: Check::PkSum, culprit, at: self.terms.form.opening().name() })
    }
}

impl<C: Curve> Sums<C> {
    /// This party's own part.
    fn new((nonce, public_share): (&Nonce<C>, &AffinePoint<C>)) -> Self {
        Self {
            nonce_point: nonce.point.into(),
            public_share: (*public_share).into(),
            phi: Secret::new(*nonce.phi.expose()),
            products: Secret::new([Scalar::<C>::ZERO; 2]),
        }
    }

    fn add(&mut self, opened: &Opened<C>, product: &Product<C>, theirs: &Secret<[Scalar<C>; 2]>) {
        self.nonce_point += opened.nonce_point;
        self.public_share += opened.public_share;
        *self.phi.expose_mut() += opened.psi;
        let summands = theirs.expose().iter().zip(product.summands.expose());
        for (sum, (d, c)) in self.products.expose_mut().iter_mut().zip(summands) {
            *sum += *c + d;
        }
    }
}

/// The partial signatures for all receivers of the signatures except this party (§7.5).
fn for_recipients<C: Curve>(parts: &[Partial<C>], terms: &Terms<C>) -> Messages {
    let mut body = Vec::new();
    for Partial { nonce_point, u, w } in parts {
        body.extend_from_slice(&encoded(nonce_point));
        body.extend_from_slice(&encode_scalar(u.expose()));
        body.extend_from_slice(&encode_scalar(w.expose()));
    }
    let recipient = terms.recipient;
    let message = pack(terms.form.partial(), terms.me(), recipient, &terms.session, &[&body]);
    let receivers = terms.peers().filter(|peer| recipient.is_none_or(|r| r == *peer));
    receivers.map(|peer| (peer, Secret::new(message.expose().clone()))).collect()
}
