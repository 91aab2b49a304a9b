//! A dealer of a key generation or a reshare with a polynomial of its choice (docs/protocol.md §3.4,
//! §8.2), as far as the end of round 2.

use std::collections::BTreeMap;

use crate::curve::{Curve, ProjectivePoint, Scalar};
use cosign_core::hazmat::crypto::curve::encode_scalar;
use cosign_core::hazmat::crypto::dlog::Claim;
use cosign_core::hazmat::crypto::ot::base;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::crypto::share::Polynomial;
use cosign_core::hazmat::crypto::tags;
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::wire::{Kind, pack};
use cosign_core::{PartyId, Secret};
use k256::elliptic_curve::ops::MulByGenerator;

use crate::group::{Liar, kind_of};
use crate::layout::{Message, encode};

pub(crate) struct Dealer {
    me: PartyId,
    count: u8,
    /// Those above leave.
    parties: u8,
    seed: SessionSeed,
    polynomial: Polynomial<Curve>,
    heard: BTreeMap<PartyId, Vec<u8>>,
}

impl Dealer {
    pub(crate) fn new(me: PartyId, count: u8, seed: SessionSeed, polynomial: Vec<Scalar>) -> Self {
        let polynomial = Polynomial::new(polynomial);
        Self { me, count, parties: count, seed, polynomial, heard: BTreeMap::new() }
    }

    /// Only the first `parties` of the participants are parties of the key then.
    pub(crate) fn for_parties(self, parties: u8) -> Self {
        Self { parties, ..self }
    }

    fn images(&self) -> Vec<u8> {
        self.polynomial.coefficients().iter().flat_map(encode).collect()
    }

    /// `cc` and `salt`.
    fn opening(&self) -> [[u8; 32]; 2] {
        [self.seed.bytes("cc"), self.seed.bytes("salt")]
    }

    fn kg1(&self, session: &[u8; 32]) -> Vec<u8> {
        let [chain_code, salt] = self.opening();
        let parts: [&[u8]; 5] = [session, &[self.me.get()], &self.images(), &chain_code, &salt];
        let commitment = tags::KEYGEN_COMMIT.hash::<Curve>(&parts);
        let nonce: [u8; 32] = self.seed.bytes("nonce");
        pack(Kind::Kg1, self.me, None, session, &[&nonce, &commitment]).expose().clone()
    }

    fn kg2(&self, session: &[u8; 32]) -> Vec<Parcel> {
        let [chain_code, salt] = self.opening();
        let mut body = [&self.images()[..], &chain_code, &salt].concat();
        for (k, secret) in (0_u8..).zip(self.polynomial.coefficients()) {
            let statement = ProjectivePoint::mul_by_generator(secret).to_affine();
            let context: [&[u8]; 2] = [session, &[self.me.get(), k]];
            let claim =
                Claim::<Curve> { tag: &tags::KEYGEN_POK, context: &context, statement: &statement };
            body.extend(
                claim.prove(secret, &self.seed.scalar::<Curve>(&format!("pok/{k}"))).unwrap(),
            );
        }
        let opening = pack(Kind::Kg2b, self.me, None, session, &[&body]);
        let to = |peer: PartyId, message: &Secret<Vec<u8>>| Parcel {
            from: self.me,
            to: peer,
            bytes: message.expose().clone(),
        };
        let mut sent: Vec<_> = self.peers().map(|peer| to(peer, &opening)).collect();
        for peer in self.peers().filter(|peer| peer.get() <= self.parties) {
            let share = encode_scalar(self.polynomial.share_of(peer).expose());
            if self.me.get() > self.parties {
                sent.push(to(peer, &pack(Kind::Kg2p, self.me, Some(peer), session, &[&share])));
                continue;
            }
            let zero: [u8; 32] = self.seed.bytes(&format!("zero/{peer}"));
            let pair = tags::BASEOT_SID.hash::<Curve>(&[session, &[self.me.get(), peer.get()]]);
            let (_, ot1) = base::Receiver::<Curve>::start(&pair, &self.seed, peer.get());
            let body: [&[u8]; 3] = [&share, &zero, &ot1];
            sent.push(to(peer, &pack(Kind::Kg2p, self.me, Some(peer), session, &body)));
        }
        sent
    }

    fn peers(&self) -> impl Iterator<Item = PartyId> {
        PartyId::all(self.count).filter(|party| *party != self.me)
    }
}

impl Liar for Dealer {
    fn me(&self) -> PartyId {
        self.me
    }

    /// It takes the session id from the first message that it receives.
    fn begin(&mut self) -> Vec<Parcel> {
        Vec::new()
    }

    fn hear(&mut self, from: PartyId, bytes: &[u8]) -> Vec<Parcel> {
        if kind_of(bytes) != Kind::Kg1 {
            return Vec::new();
        }
        let sid0 = Message(bytes.to_vec()).session();
        let own = self.kg1(&sid0);
        self.heard.insert(from, bytes.to_vec());
        let mut sent = Vec::new();
        if self.heard.len() == 1 {
            let to_all = self.peers().map(|to| Parcel { from: self.me, to, bytes: own.clone() });
            sent.extend(to_all);
        }
        if self.heard.len() + 1 == usize::from(self.count) {
            self.heard.insert(self.me, own);
            let bodies = self.heard.values().map(|bytes| &bytes[36..]);
            let parts: Vec<&[u8]> = std::iter::once(&sid0[..]).chain(bodies).collect();
            sent.extend(self.kg2(&tags::KEYGEN_SID.hash::<Curve>(&parts)));
        }
        sent
    }
}
