//! A second implementation of a signer from docs/protocol.md §7, of one digest or of several, which
//! can lie consistently.
//!
//! It checks nothing that it receives, and answers each round once all messages have arrived.

use std::collections::BTreeMap;

use crate::curve::{AffinePoint, Curve, ProjectivePoint, Scalar};
use crate::group::{BatchSetup, SignSetup};
use cosign_core::PartyId;
use cosign_core::hazmat::crypto::curve::reduce;
use cosign_core::hazmat::crypto::curve::{
    decode_point, decode_scalar, encode_point, encode_scalar,
};
use cosign_core::hazmat::crypto::ecdsa::x_mod_order;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::crypto::share::lagrange;
use cosign_core::hazmat::crypto::tags;
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind, pack};

use crate::group::{Key, Liar, kind_of};
use crate::layout::{Message, encode};
use crate::transfers::{self, Alice, Bob, Guess, Pair, Raised};

/// Its deviations from an honest signer; none by default.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lies {
    /// The digest of a batch about which it lies, by its number.
    pub(crate) item: usize,
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
    /// A right guess in every item before `item`.
    pub(crate) guessed_before: Option<Guess>,
    /// Alters its input in one transfer; the check value fits if Bob's choice bit there is 0.
    pub(crate) raised: Option<Raised>,
}

/// What it signs, and under which names.
struct Terms {
    signers: Vec<PartyId>,
    recipient: Option<PartyId>,
    is_batch: bool,
    items: Vec<Item>,
}

/// One digest.
struct Item {
    digest: [u8; 32],
    tweak: Scalar,
    /// The id in the sessions of its pairs.
    session: [u8; 32],
    /// Behind the name in the labels of its randomness.
    suffix: String,
}

/// A signer and the messages that it has received.
pub(crate) struct Reference {
    me: PartyId,
    terms: Terms,
    session: [u8; 32],
    /// The session id that it puts into the view.
    viewed: [u8; 32],
    secret: Scalar,
    seed: SessionSeed,
    lies: Lies,
    pairs: BTreeMap<PartyId, Pair>,
    bobs: BTreeMap<(usize, PartyId), Bob>,
    heard: BTreeMap<(Kind, PartyId, usize), Message>,
    /// `c_u + d_u` and `c_v + d_v`, over all peers, by item.
    products: Vec<[Scalar; 2]>,
    shares: Vec<Scalar>,
}

impl Reference {
    /// A signer of one digest.
    pub(crate) fn new(
        key: &Key,
        me: PartyId,
        setup: SignSetup,
        seed: SessionSeed,
        lies: Lies,
    ) -> Self {
        let session = |epoch: &[u8; 32]| {
            tags::SIGN_SID.hash::<Curve>(&[
                epoch,
                &[0],
                &setup.sign_id,
                &indices(&setup.signers),
                &derived(key, me, &setup.tweak),
                &encode_scalar(&setup.tweak),
                &setup.digest,
                &[setup.recipient.map_or(0, PartyId::get)],
            ])
        };
        let item = |session| Item {
            digest: setup.digest,
            tweak: setup.tweak,
            session,
            suffix: String::new(),
        };
        let terms = |session| Terms {
            signers: setup.signers.clone(),
            recipient: setup.recipient,
            is_batch: false,
            items: vec![item(session)],
        };
        Self::with(key, me, session, terms, seed, lies)
    }

    /// A signer of several.
    pub(crate) fn of_batch(
        key: &Key,
        me: PartyId,
        setup: BatchSetup,
        seed: SessionSeed,
        lies: Lies,
    ) -> Self {
        let number = |l: usize| (l as u16).to_be_bytes();
        let session = |epoch: &[u8; 32]| {
            let mut parts = vec![
                epoch.to_vec(),
                vec![0],
                setup.sign_id.to_vec(),
                indices(&setup.signers),
                vec![setup.recipient.map_or(0, PartyId::get)],
                number(setup.items.len()).to_vec(),
            ];
            for item in &setup.items {
                parts.push(derived(key, me, &item.tweak).to_vec());
                parts.push(encode_scalar(&item.tweak).to_vec());
                parts.push(item.digest.to_vec());
            }
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            tags::BATCH_SID.hash::<Curve>(&parts)
        };
        let terms = |session: [u8; 32]| {
            let item = |(l, item): (usize, &crate::group::BatchItem)| Item {
                digest: item.digest,
                tweak: item.tweak,
                session: tags::BATCH_ITEM.hash::<Curve>(&[&session, &number(l)]),
                suffix: format!("/{l}"),
            };
            Terms {
                signers: setup.signers.clone(),
                recipient: setup.recipient,
                is_batch: true,
                items: setup.items.iter().enumerate().map(item).collect(),
            }
        };
        Self::with(key, me, session, terms, seed, lies)
    }

    fn with(
        key: &Key,
        me: PartyId,
        session: impl Fn(&[u8; 32]) -> [u8; 32],
        terms: impl Fn([u8; 32]) -> Terms,
        seed: SessionSeed,
        lies: Lies,
    ) -> Self {
        let share = key.shares().remove(&me).unwrap();
        let viewed = session(lies.epoch.as_ref().unwrap_or(share.epoch()));
        let session = session(share.epoch());
        let terms = terms(session);
        let peers = terms.signers.iter().filter(|party| **party != me);
        let pairs = peers.map(|peer| (*peer, Pair::read(key, me, *peer))).collect();
        Self {
            me,
            session,
            viewed,
            secret: *share.secret().expose(),
            seed,
            lies,
            pairs,
            bobs: BTreeMap::new(),
            heard: BTreeMap::new(),
            products: vec![[Scalar::ZERO; 2]; terms.items.len()],
            shares: Vec::new(),
            terms,
        }
    }

    fn kinds(&self) -> [Kind; 3] {
        if self.terms.is_batch {
            [Kind::Sb1, Kind::Sb2, Kind::Sb3]
        } else {
            [Kind::Sg1, Kind::Sg2, Kind::Sg3]
        }
    }

    fn items(&self) -> std::ops::Range<usize> {
        0..self.terms.items.len()
    }

    /// The lie if it is about item `l`, and else the truth.
    fn about<T: Default>(&self, l: usize, lie: T) -> T {
        if l == self.lies.item { lie } else { T::default() }
    }

    fn scalar(&self, name: &str, l: usize) -> Scalar {
        self.seed.scalar::<Curve>(&format!("{name}{}", self.terms.items[l].suffix))
    }

    fn r(&self, l: usize) -> Scalar {
        self.about(l, self.lies.r).unwrap_or_else(|| self.scalar("r", l))
    }

    fn pair_session(&self, l: usize, alice: PartyId, bob: PartyId, nonce: &[u8]) -> [u8; 32] {
        tags::SIGN_PAIR.hash::<Curve>(&[
            &self.terms.items[l].session,
            &[alice.get(), bob.get()],
            nonce,
        ])
    }

    /// `nu` and `C`.
    fn commitment(&self) -> [[u8; 32]; 2] {
        let (nu, salt) = (self.seed.bytes::<32>("nonce"), self.seed.bytes::<32>("salt"));
        let points: Vec<u8> = self.items().flat_map(|l| encode(&self.r(l))).collect();
        let parts: [&[u8]; 5] = [&self.session, &[self.me.get()], &nu, &points, &salt];
        [nu, tags::SIGN_COMMIT.hash::<Curve>(&parts)]
    }

    fn round1(&mut self) -> Vec<Parcel> {
        let [nu, commitment] = self.commitment();
        let mut sent = Vec::new();
        for (peer, pair) in &self.pairs {
            let mut body = [nu, commitment].concat();
            for l in self.items() {
                let pair_session = self.pair_session(l, *peer, self.me, &nu);
                let label = format!("beta{}/{peer}", self.terms.items[l].suffix);
                let guess = match l.cmp(&self.lies.item) {
                    std::cmp::Ordering::Less => self.lies.guessed_before,
                    _ => self.about(l, self.lies.guess),
                };
                let (bob, message) =
                    transfers::extend(&pair_session, &pair.leaves, self.seed.bytes(&label), guess);
                self.bobs.insert((l, *peer), bob);
                body.extend(message);
            }
            sent.push(self.to(*peer, self.kinds()[0], &[&body]));
        }
        sent
    }

    fn view(&self) -> [u8; 32] {
        let mut parts = vec![self.viewed.to_vec()];
        for signer in &self.terms.signers {
            let fields = match self.heard.get(&(self.kinds()[0], *signer, 0)) {
                None => self.commitment().concat(),
                Some(message) => [message.field("nu"), message.field("C")].concat(),
            };
            parts.push([&[signer.get()], &fields[..]].concat());
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        tags::SIGN_VIEW.hash::<Curve>(&parts)
    }

    fn key_share(&self, l: usize, view: &[u8; 32]) -> Scalar {
        let number = (l as u16).to_be_bytes();
        let zeta: Scalar = self
            .pairs
            .iter()
            .map(|(peer, pair)| {
                let parts: [&[u8]; 3] = [&pair.zero_seed, view, &number];
                let parts = if self.terms.is_batch { &parts[..] } else { &parts[..2] };
                let term = tags::ZERO_SHARE.hash_to_scalar::<Curve>(parts);
                if self.me < *peer { term } else { -term }
            })
            .sum();
        let coefficient = lagrange::<Scalar>(self.me, &self.terms.signers, 0);
        let lie = self.about(l, self.lies.share);
        coefficient * (self.secret + self.terms.items[l].tweak) + zeta + lie
    }

    fn round2(&mut self) -> Vec<Parcel> {
        let nu = self.seed.bytes::<32>("nonce");
        let salt = self.seed.bytes::<32>("salt");
        let view = self.view();
        self.shares = self.items().map(|l| self.key_share(l, &view)).collect();
        let mut sent = Vec::new();
        for (peer, pair) in &self.pairs {
            let heard = &self.heard[&(self.kinds()[0], *peer, 0)];
            let (mut rows, mut messages) = (Vec::new(), Vec::new());
            for l in self.items() {
                let pair_session = self.pair_session(l, self.me, *peer, heard.field("nu"));
                let extension = HEADER + 64 + 2224 * l;
                let alice: Alice =
                    transfers::answer(&pair_session, pair, &heard[extension..extension + 2224]);
                let ahat = self
                    .seed
                    .scalar::<Curve>(&format!("ahat{}/{peer}", self.terms.items[l].suffix));
                let lies = self.about(l, self.lies.inputs);
                let inputs = [self.r(l) + lies[0], self.shares[l] + lies[1]];
                let raised = self.about(l, self.lies.raised);
                let (message, c) =
                    transfers::multiply(&pair_session, &nu, &alice, inputs, ahat, raised);
                let psi = encode_scalar(&(self.scalar("phi", l) - self.bobs[&(l, *peer)].chi));
                let points = [self.r(l), self.shares[l], c[0], c[1]].map(|scalar| encode(&scalar));
                rows.push((points, psi));
                messages.push(message);
                self.products[l] = [self.products[l][0] + c[0], self.products[l][1] + c[1]];
            }
            let kind = self.kinds()[1];
            if self.terms.is_batch {
                for (l, message) in messages.iter().enumerate() {
                    let number = (l as u16).to_be_bytes();
                    sent.push(self.to(*peer, Kind::Sb2r, &[&number, message]));
                }
                let rows = rows.iter().map(|(points, psi)| [&points.concat()[..], psi].concat());
                let rows: Vec<u8> = rows.flatten().collect();
                sent.push(self.to(*peer, kind, &[&view, &salt, &rows]));
            } else {
                let (points, psi) = &rows[0];
                let [big_r, rest @ ..] = points;
                let body: [&[u8]; 6] = [&view, big_r, &salt, &rest.concat(), psi, &messages[0]];
                sent.push(self.to(*peer, kind, &body));
            }
        }
        sent
    }

    fn round3(&mut self) -> Vec<Parcel> {
        let mut body = Vec::new();
        for l in self.items() {
            let Some(part) = self.part(l) else { return Vec::new() };
            body.extend(part);
        }
        let recipient = self.terms.recipient;
        let message = pack(self.kinds()[2], self.me, recipient, &self.session, &[&body]);
        let bytes = message.expose();
        let receivers = self.pairs.keys().filter(|peer| recipient.is_none_or(|r| r == **peer));
        receivers.map(|to| Parcel { from: self.me, to: *to, bytes: bytes.clone() }).collect()
    }

    /// `R`, `u`, `w` of one item.
    fn part(&self, l: usize) -> Option<Vec<u8>> {
        let nu = self.seed.bytes::<32>("nonce");
        let own_phi = self.scalar("phi", l);
        let (mut phi, mut products) = (own_phi, self.products[l]);
        let mut nonce_point = ProjectivePoint::GENERATOR * self.r(l);
        for peer in self.pairs.keys() {
            let [first, second, _] = self.kinds();
            let heard = &self.heard[&(second, *peer, 0)];
            let field = |name: &str| match self.terms.is_batch {
                true => heard.field(&format!("{name}[{l}]")).to_vec(),
                false => heard.field(name).to_vec(),
            };
            nonce_point += decode_point::<AffinePoint>(&field("R")).unwrap();
            phi += decode_scalar::<Scalar>(&field("psi")).unwrap();
            let product = match self.terms.is_batch {
                true => &self.heard[&(Kind::Sb2r, *peer, l)][HEADER + 2..],
                false => &heard[HEADER + 228..],
            };
            let pair_session = self.pair_session(l, *peer, self.me, &nu);
            let their_nu = self.heard[&(first, *peer, 0)].field("nu").try_into().unwrap();
            let bob = &self.bobs[&(l, *peer)];
            let d = transfers::receive(&pair_session, their_nu, bob, product);
            products = [products[0] + d[0], products[1] + d[1]];
        }
        let nonce_point = nonce_point.to_affine();
        let encoded = encode_point(&nonce_point)?;
        let u = self.r(l) * phi + products[0];
        let v = self.shares[l] * phi + products[1];
        let digest: Scalar = reduce(&self.terms.items[l].digest);
        let lie = self.about(l, self.lies.w);
        let w = digest * own_phi + x_mod_order::<Curve>(&nonce_point) * v + lie;
        Some([&encoded[..], &encode_scalar(&u), &encode_scalar(&w)].concat())
    }

    fn to(&self, peer: PartyId, kind: Kind, body: &[&[u8]]) -> Parcel {
        let message = pack(kind, self.me, Some(peer), &self.session, body);
        Parcel { from: self.me, to: peer, bytes: message.expose().clone() }
    }
}

fn indices(parties: &[PartyId]) -> Vec<u8> {
    parties.iter().map(|party| party.get()).collect()
}

/// `enc(Q + tweak G)`.
fn derived(key: &Key, me: PartyId, tweak: &Scalar) -> [u8; 33] {
    let public_key = *key.shares()[&me].public_key();
    let derived = ProjectivePoint::from(public_key) + ProjectivePoint::GENERATOR * tweak;
    encode_point(&derived.to_affine()).unwrap()
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
        let number = match kind {
            Kind::Sb2r => usize::from(u16::from_be_bytes([bytes[HEADER], bytes[HEADER + 1]])),
            _ => 0,
        };
        self.heard.insert((kind, from, number), Message(bytes.to_vec()));
        let has = |kind, number| {
            self.pairs.keys().all(|peer| self.heard.contains_key(&(kind, *peer, number)))
        };
        let [first, second, _] = self.kinds();
        let products = !self.terms.is_batch || self.items().all(|l| has(Kind::Sb2r, l));
        match kind {
            _ if kind == first && has(first, 0) => self.round2(),
            _ if kind.round() == second.round() && has(second, 0) && products => self.round3(),
            _ => Vec::new(),
        }
    }
}
