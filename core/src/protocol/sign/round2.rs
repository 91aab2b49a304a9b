//! Round 2 (docs/protocol.md §7.4): check all products, then make the partial signature.

use k256::{AffinePoint, ProjectivePoint, Scalar};

use super::round1::{Mask, Nonce, commit};
use super::round3::{Partial, Round3};
use super::{Round, Signing, Terms};
use crate::crypto::curve::{POINT, decode_point, encode_scalar};
use crate::crypto::ecdsa::x_mod_order;
use crate::crypto::mul::{self, MulError};
use crate::crypto::points::few::differences;
use crate::crypto::transcript::reduce;
use crate::party::PartyId;
use crate::protocol::fault::{Check, Fault};
use crate::protocol::key::encoded;
use crate::protocol::machine::{Gathered, Step};
use crate::protocol::wire::{Kind, Received, pack};
use crate::secret::Secret;

/// Awaits the openings and products of all signers.
#[derive(Debug)]
pub(super) struct Round2 {
    pub(super) terms: Terms,
    pub(super) nonce: Nonce,
    pub(super) view: [u8; 32],
    /// `sk_i`.
    pub(super) share: Secret<Scalar>,
    /// `pk_i`.
    pub(super) public_share: AffinePoint,
    /// In index order.
    pub(super) products: Vec<PeerProducts>,
}

/// The state of the products with one peer.
#[derive(Debug)]
pub(super) struct PeerProducts {
    pub(super) peer: PartyId,
    /// The peer's `nu`.
    pub(super) nonce: [u8; 32],
    pub(super) commitment: [u8; 32],
    pub(super) mask: Mask,
    /// `c`, this party's summands of its products with the peer's mask.
    pub(super) summands: Secret<[Scalar; 2]>,
}

/// The decoded SG2 of one peer.
struct Opened {
    nonce_point: AffinePoint,
    public_share: AffinePoint,
    /// `phi_j - chi_{j,i}`.
    psi: Scalar,
    /// `d`, this party's summands of the peer's products with our mask.
    summands: Secret<[Scalar; 2]>,
}

/// Sums over all signers, as far as this party knows them.
struct Sums {
    nonce_point: ProjectivePoint,
    public_share: ProjectivePoint,
    /// `phi_i + sum_j psi_{j->i}`.
    phi: Secret<Scalar>,
    /// Both products.
    products: Secret<[Scalar; 2]>,
}

impl Round2 {
    pub(super) fn session(&self) -> &[u8; 32] {
        &self.terms.session
    }

    /// Checks every peer's openings and products, and makes this party's part of the signature.
    pub(super) fn finish(self: Box<Self>, messages: &Gathered) -> Result<Step<Signing>, Fault> {
        let mut sums = Sums {
            nonce_point: self.nonce.point.into(),
            public_share: self.public_share.into(),
            phi: Secret::new(*self.nonce.phi.expose()),
            products: Secret::new([Scalar::ZERO; 2]),
        };
        for (product, message) in self.products.iter().zip(messages.of(Kind::Sg2)) {
            self.terms.check_pair(product.peer, Kind::Sg2.name())?;
            let opened = self.check(product, &message).map_err(|fault| self.retire(fault))?;
            sums.add(&opened, product);
        }
        self.check_key(sums.public_share)?;
        let nonce_point = sums.nonce_point.to_affine();
        let r = x_mod_order(&nonce_point);
        if sums.nonce_point == ProjectivePoint::IDENTITY || r == Scalar::ZERO {
            return Err(Fault::nobody(Check::RInvalid, Kind::Sg2.name()));
        }

        let Self { terms, nonce, share, .. } = *self;
        let [of_nonce, of_share] = sums.products.expose();
        let phi = sums.phi.expose();
        let u = Secret::new(*nonce.r.expose() * phi + of_nonce);
        let v = Secret::new(*share.expose() * phi + of_share);
        let w = Secret::new(reduce(&terms.setup.digest) * nonce.phi.expose() + r * v.expose());
        let own = Partial { nonce_point, u, w };
        let sends = own.for_recipients(&terms);
        Ok(Step::round(Signing(Round::Three(Box::new(Round3 { terms, own }))), sends))
    }

    /// SG2 of one peer, in the order of §7.4: view, commitment, encodings, products.
    fn check(&self, product: &PeerProducts, message: &Received<'_>) -> Result<Opened, Fault> {
        let mut reader = message.reader();
        if reader.array::<32>()? != &self.view {
            // A party sent the two of us different messages; it need not be this peer.
            return Err(Fault::nobody(Check::View, Kind::Sg2.name()));
        }
        let (nonce_point, salt) = (reader.bytes(POINT)?, reader.array()?);
        let opening = commit(&self.terms, product.peer, &product.nonce, nonce_point, salt);
        if opening != product.commitment {
            return Err(message.fault(Check::Commit));
        }
        let nonce_point = decode_point(nonce_point).map_err(|_| message.fault(Check::Malformed))?;
        let public_share = reader.point()?;
        let gammas = [reader.point()?, reader.point()?];
        let psi = reader.scalar()?;

        let Mask { pair_session, extended } = &product.mask;
        let summands = mul::receive(pair_session, &product.nonce, extended, reader.rest())
            .map_err(|error| {
                message.fault(match error {
                    MulError::Malformed => Check::Malformed,
                    MulError::Check => Check::RvoleCheck,
                })
            })?;
        // The multiplied values must be the nonce and the key share of the peer's public points.
        let products = differences([nonce_point, public_share], extended.chi(), summands.expose());
        let checks = [Check::GammaU, Check::GammaV];
        for ((product, gamma), check) in products.iter().zip(gammas).zip(checks) {
            if !product.is(&gamma) {
                return Err(message.fault(check));
            }
        }
        Ok(Opened { nonce_point, public_share, psi, summands })
    }

    /// Retires the pair in memory if the fault demands it; the machine outputs that for storage.
    fn retire(&self, fault: Fault) -> Fault {
        if let (true, Some(peer)) = (fault.bans(), fault.culprit) {
            self.terms.share.retire(peer, fault.check);
        }
        fault
    }

    /// Checks that the public shares of this session add up to the key. With three signers the
    /// culprit is unknown.
    fn check_key(&self, sum: ProjectivePoint) -> Result<(), Fault> {
        if sum == ProjectivePoint::from(self.terms.public_key) {
            return Ok(());
        }
        let culprit = match self.products.as_slice() {
            [only] => Some(only.peer),
            _ => None,
        };
        Err(Fault { check: Check::PkSum, culprit, at: Kind::Sg2.name() })
    }
}

impl Sums {
    fn add(&mut self, opened: &Opened, product: &PeerProducts) {
        self.nonce_point += opened.nonce_point;
        self.public_share += opened.public_share;
        *self.phi.expose_mut() += opened.psi;
        let theirs = opened.summands.expose().iter().zip(product.summands.expose());
        for (sum, (d, c)) in self.products.expose_mut().iter_mut().zip(theirs) {
            *sum += *c + d;
        }
    }
}

impl Partial {
    /// SG3 for all receivers of the signature except this party (§7.5).
    fn for_recipients(&self, terms: &Terms) -> Vec<(PartyId, Vec<u8>)> {
        let body: [&[u8]; 3] = [
            &encoded(&self.nonce_point),
            &encode_scalar(self.u.expose()),
            &encode_scalar(self.w.expose()),
        ];
        let recipient = terms.setup.recipient;
        let message = pack(Kind::Sg3, terms.me(), recipient, &terms.session, &body);
        let receivers = terms.peers().filter(|peer| recipient.is_none_or(|r| r == *peer));
        receivers.map(|peer| (peer, message.clone())).collect()
    }
}
