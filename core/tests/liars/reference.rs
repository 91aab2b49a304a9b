//! A second implementation of a signer from docs/protocol.md §7, which can lie consistently.
//!
//! It checks nothing that it receives, and answers each round once all messages have arrived.

use std::collections::BTreeMap;

use cosign_core::PartyId;
use cosign_core::hazmat::crypto::curve::{
    decode_point, decode_scalar, encode_point, encode_scalar,
};
use cosign_core::hazmat::crypto::ecdsa::x_mod_order;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::crypto::share::lagrange;
use cosign_core::hazmat::crypto::tags;
use cosign_core::hazmat::crypto::transcript::reduce;
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::sign::SignSetup;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind, pack};
use k256::{ProjectivePoint, Scalar};

use crate::group::{Key, Liar, kind_of};
use crate::layout::{Message, encode};
use crate::transfers::{self, Alice, Bob, Guess, Pair, Raised};

/// Its deviations from an honest signer; none by default.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lies {
    /// Its part of the nonce, instead of a random one.
    pub(crate) r: Option<Scalar>,
    /// Added to its inputs of the multiplication: nonce, key share.
    pub(crate) inputs: [Scalar; 2],
    /// Added to its key share, everywhere.
    pub(crate) share: Scalar,
    /// Added to its part of the numerator.
    pub(crate) w: Scalar,
    /// The epoch under which it computes the view, instead of the key's; the session ids of its
    /// messages remain right.
    pub(crate) epoch: Option<[u8; 32]>,
    /// A guess of the holes of every peer for which it extends transfers.
    pub(crate) guess: Option<Guess>,
    /// Alters its input in one transfer; the check value fits if Bob's choice bit there is 0.
    pub(crate) raised: Option<Raised>,
}

/// A signer and the messages that it has received.
pub(crate) struct Reference {
    me: PartyId,
    setup: SignSetup,
    session: [u8; 32],
    /// The session id that it puts into the view.
    viewed: [u8; 32],
    secret: Scalar,
    seed: SessionSeed,
    lies: Lies,
    pairs: BTreeMap<PartyId, Pair>,
    bobs: BTreeMap<PartyId, Bob>,
    heard: BTreeMap<(Kind, PartyId), Message>,
    /// `c_u + d_u` and `c_v + d_v`, over all peers.
    products: [Scalar; 2],
    share: Scalar,
}

impl Reference {
    pub(crate) fn new(
        key: &Key,
        me: PartyId,
        setup: SignSetup,
        seed: SessionSeed,
        lies: Lies,
    ) -> Self {
        let share = key.shares().remove(&me).unwrap();
        let public_key =
            ProjectivePoint::from(*share.public_key()) + ProjectivePoint::GENERATOR * setup.tweak;
        let signers: Vec<u8> = setup.signers.iter().map(|party| party.get()).collect();
        let session = |epoch: &[u8; 32]| {
            tags::SIGN_SID.hash(&[
                epoch,
                &[0],
                &setup.sign_id,
                &signers,
                &encode_point(&public_key.to_affine()).unwrap(),
                &encode_scalar(&setup.tweak),
                &setup.digest,
                &[setup.recipient.map_or(0, PartyId::get)],
            ])
        };
        let viewed = session(lies.epoch.as_ref().unwrap_or(share.epoch()));
        let session = session(share.epoch());
        let peers = setup.signers.iter().filter(|party| **party != me);
        let pairs = peers.map(|peer| (*peer, Pair::read(key, me, *peer))).collect();
        Self {
            me,
            setup,
            session,
            viewed,
            secret: *share.secret().expose(),
            seed,
            lies,
            pairs,
            bobs: BTreeMap::new(),
            heard: BTreeMap::new(),
            products: [Scalar::ZERO; 2],
            share: Scalar::ZERO,
        }
    }

    fn r(&self) -> Scalar {
        self.lies.r.unwrap_or_else(|| self.seed.scalar("r"))
    }

    fn pair_session(&self, alice: PartyId, bob: PartyId, nonce: &[u8]) -> [u8; 32] {
        tags::SIGN_PAIR.hash(&[&self.session, &[alice.get(), bob.get()], nonce])
    }

    /// `nu` and `C`.
    fn commitment(&self) -> [[u8; 32]; 2] {
        let (nu, salt) = (self.seed.bytes::<32>("nonce"), self.seed.bytes::<32>("salt"));
        let parts: [&[u8]; 5] = [&self.session, &[self.me.get()], &nu, &encode(&self.r()), &salt];
        [nu, tags::SIGN_COMMIT.hash(&parts)]
    }

    fn round1(&mut self) -> Vec<Parcel> {
        let [nu, commitment] = self.commitment();
        let mut sent = Vec::new();
        for (peer, pair) in &self.pairs {
            let pair_session = self.pair_session(*peer, self.me, &nu);
            let beta = transfers::beta(&self.seed, *peer);
            let (bob, message) =
                transfers::extend(&pair_session, &pair.leaves, beta, self.lies.guess);
            self.bobs.insert(*peer, bob);
            sent.push(self.to(*peer, Kind::Sg1, &[&nu, &commitment, &message]));
        }
        sent
    }

    fn round2(&mut self) -> Vec<Parcel> {
        let [nu, commitment] = self.commitment();
        let mut parts = vec![self.viewed.to_vec()];
        for signer in &self.setup.signers {
            let fields = match self.heard.get(&(Kind::Sg1, *signer)) {
                None => [&nu[..], &commitment].concat(),
                Some(message) => [message.field("nu"), message.field("C")].concat(),
            };
            parts.push([&[signer.get()], &fields[..]].concat());
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let view = tags::SIGN_VIEW.hash(&parts);

        let zeta: Scalar = self
            .pairs
            .iter()
            .map(|(peer, pair)| {
                let term = tags::ZERO_SHARE.hash_to_scalar(&[&pair.zero_seed, &view]);
                if self.me < *peer { term } else { -term }
            })
            .sum();
        let coefficient = lagrange(self.me, &self.setup.signers, 0);
        self.share = coefficient * (self.secret + self.setup.tweak) + zeta + self.lies.share;
        let salt = self.seed.bytes::<32>("salt");
        let phi = self.seed.scalar("phi");
        let inputs = [self.r() + self.lies.inputs[0], self.share + self.lies.inputs[1]];

        let mut sent = Vec::new();
        for (peer, pair) in &self.pairs {
            let heard = &self.heard[&(Kind::Sg1, *peer)];
            let pair_session = self.pair_session(self.me, *peer, heard.field("nu"));
            let alice: Alice = transfers::answer(&pair_session, pair, &heard[HEADER + 64..]);
            let ahat = self.seed.scalar(&format!("ahat/{peer}"));
            let raised = self.lies.raised;
            let (message, c) =
                transfers::multiply(&pair_session, &nu, &alice, inputs, ahat, raised);
            let psi = encode_scalar(&(phi - self.bobs[peer].chi));
            let points = [self.r(), self.share, c[0], c[1]].map(|scalar| encode(&scalar));
            let [big_r, rest @ ..] = &points;
            let body: [&[u8]; 6] = [&view, big_r, &salt, &rest.concat(), &psi, &message];
            sent.push(self.to(*peer, Kind::Sg2, &body));
            self.products = [self.products[0] + c[0], self.products[1] + c[1]];
        }
        sent
    }

    fn round3(&mut self) -> Vec<Parcel> {
        let nu = self.seed.bytes::<32>("nonce");
        let mut phi = self.seed.scalar("phi");
        let own_phi = phi;
        let mut nonce_point = ProjectivePoint::GENERATOR * self.r();
        for (peer, bob) in &self.bobs {
            let heard = &self.heard[&(Kind::Sg2, *peer)];
            nonce_point += decode_point(heard.field("R")).unwrap();
            phi += decode_scalar(heard.field("psi")).unwrap();
            let pair_session = self.pair_session(*peer, self.me, &nu);
            let their_nu = self.heard[&(Kind::Sg1, *peer)].field("nu").try_into().unwrap();
            let d = transfers::receive(&pair_session, their_nu, bob, &heard[HEADER + 228..]);
            self.products = [self.products[0] + d[0], self.products[1] + d[1]];
        }
        let nonce_point = nonce_point.to_affine();
        let Some(encoded) = encode_point(&nonce_point) else { return Vec::new() };
        let u = self.r() * phi + self.products[0];
        let v = self.share * phi + self.products[1];
        let w = reduce(&self.setup.digest) * own_phi + x_mod_order(&nonce_point) * v + self.lies.w;
        let recipient = self.setup.recipient;
        let body: [&[u8]; 3] = [&encoded, &encode_scalar(&u), &encode_scalar(&w)];
        let bytes = pack(Kind::Sg3, self.me, recipient, &self.session, &body);
        let receivers = self.pairs.keys().filter(|peer| recipient.is_none_or(|r| r == **peer));
        receivers.map(|to| Parcel { from: self.me, to: *to, bytes: bytes.clone() }).collect()
    }

    fn to(&self, peer: PartyId, kind: Kind, body: &[&[u8]]) -> Parcel {
        let bytes = pack(kind, self.me, Some(peer), &self.session, body);
        Parcel { from: self.me, to: peer, bytes }
    }
}

impl Liar for Reference {
    fn me(&self) -> PartyId {
        self.me
    }

    fn begin(&mut self) -> Vec<Parcel> {
        self.round1()
    }

    fn hear(&mut self, from: PartyId, bytes: &[u8]) -> Vec<Parcel> {
        let kind = kind_of(bytes);
        self.heard.insert((kind, from), Message(bytes.to_vec()));
        let all = self.pairs.keys().all(|peer| self.heard.contains_key(&(kind, *peer)));
        match kind {
            Kind::Sg1 if all => self.round2(),
            Kind::Sg2 if all => self.round3(),
            _ => Vec::new(),
        }
    }
}
