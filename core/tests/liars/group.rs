//! The parties of one ceremony, and the assertions about all of them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::curve::{AffinePoint, Curve, Scalar, is_signature};
use cosign_core::PartyId;
use cosign_core::Secret;
use cosign_core::ecdsa::is_low_s;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::keygen::{KeygenSetup, keygen_with_seed, refresh_with_seed};
use cosign_core::hazmat::protocol::local::Parcel;
use cosign_core::hazmat::protocol::machine::{Machine, Protocol};
use cosign_core::hazmat::protocol::sign::sign_with_seed;
use cosign_core::hazmat::protocol::wire::Kind;
use sha2::{Digest, Sha256};

pub(crate) type BatchItem = cosign_core::BatchItem<Curve>;
pub(crate) type BatchSetup = cosign_core::BatchSetup<Curve>;
pub(crate) type BatchSigning = cosign_core::BatchSigning<Curve>;
pub(crate) type Keygen = cosign_core::Keygen<Curve>;
pub(crate) type KeyShare = cosign_core::KeyShare<Curve>;
pub(crate) type Leaving = cosign_core::Leaving<Curve>;
pub(crate) type Origin = cosign_core::Origin<Curve>;
pub(crate) type Output<D> = cosign_core::Output<D, Curve>;
pub(crate) type Persist = cosign_core::Persist<Curve>;
pub(crate) type SignSetup = cosign_core::SignSetup<Curve>;
pub(crate) type Signature = cosign_core::Signature<Curve>;
pub(crate) type Signed = cosign_core::Signed<Curve>;
pub(crate) type Signing = cosign_core::Signing<Curve>;

/// How long a round may take. Time stands still, so no test takes as long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn id(index: u8) -> PartyId {
    PartyId::new(index).unwrap()
}

pub(crate) fn sha(text: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The randomness of a named party.
pub(crate) fn seed(name: impl AsRef<[u8]>) -> SessionSeed {
    SessionSeed::from_bytes(sha(name))
}

/// The time at which everything begins.
pub(crate) fn noon() -> Instant {
    static NOON: OnceLock<Instant> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to get hold of an instant"
    )]
    *NOON.get_or_init(Instant::now)
}

/// The bytes at the type's place in a message.
pub(crate) fn kind_of(message: &[u8]) -> Kind {
    Kind::from_tag(message[1]).unwrap()
}

// ---------------------------------------------------------------------------------------------
// One party
// ---------------------------------------------------------------------------------------------

/// A party that keeps to the protocol, with all its outputs.
pub(crate) struct Member<P: Protocol<Curve = Curve>> {
    machine: Machine<P>,
    pub(crate) log: Vec<Output<P::Done>>,
    now: Instant,
    collected: usize,
}

impl<P: Protocol<Curve = Curve>> Member<P> {
    /// Starts the machine.
    pub(crate) fn new(machine: Machine<P>) -> Self {
        let mut member = Self { machine, log: Vec::new(), now: noon(), collected: 0 };
        member.machine.start(member.now);
        member.drain();
        member
    }

    pub(crate) fn me(&self) -> PartyId {
        self.machine.me()
    }

    /// Takes a message.
    pub(crate) fn hear(&mut self, from: PartyId, bytes: &[u8]) {
        self.machine.handle(self.now, from, bytes);
        self.drain();
    }

    /// Lets the round's time run out.
    pub(crate) fn wait(&mut self) {
        if let Some(time) = self.machine.wake_at() {
            self.now = time;
            self.machine.tick(time);
            self.drain();
        }
    }

    /// The messages that it has sent since the last call.
    pub(crate) fn collect(&mut self) -> Vec<Parcel> {
        let new = self.log[self.collected..].iter().filter_map(|output| match output {
            Output::Send { to, bytes } => {
                Some(Parcel { from: self.machine.me(), to: *to, bytes: bytes.expose().clone() })
            }
            _ => None,
        });
        let new = new.collect();
        self.collected = self.log.len();
        new
    }

    /// The message of this type that it sent to `to`.
    pub(crate) fn sent(&self, kind: Kind, to: PartyId) -> Vec<u8> {
        let mut found = self.log.iter().filter_map(|output| match output {
            Output::Send { to: receiver, bytes }
                if *receiver == to && kind_of(bytes.expose()) == kind =>
            {
                Some(bytes.expose().clone())
            }
            _ => None,
        });
        found.next().unwrap()
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        match self.log.last() {
            Some(Output::Failed(fault)) => Some(*fault),
            _ => None,
        }
    }

    pub(crate) fn done(&self) -> Option<&P::Done> {
        match self.log.last() {
            Some(Output::Done(done)) => Some(done),
            _ => None,
        }
    }

    /// The share it wants stored.
    pub(crate) fn pending(&self) -> Option<&KeyShare> {
        self.log.iter().find_map(|output| match output {
            Output::Persist(Persist::PendingShare(pending)) => Some(&pending.share),
            _ => None,
        })
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll() {
            self.log.push(output);
        }
    }
}

impl<P: Protocol<Curve = Curve>> Member<P> {
    /// It ended with this fault, found in the round in which it was, and in the way in which faults
    /// must end.
    pub(crate) fn stopped(&mut self, fault: Fault) {
        assert_eq!(self.fault(), Some(fault), "party {}", self.me());
        self.keeps_its_contract();
        let last = ALL.iter().find(|kind| kind.name() == fault.at).map_or(0, |kind| kind.round());
        assert!(self.rounds().iter().all(|round| *round <= last), "{fault}, and went on");
        assert!(self.pending().is_none() || fault.at == "KG4B", "{fault}, and a share came of it");
    }

    /// The invariants of every honest party, whatever the others do.
    pub(crate) fn keeps_its_contract(&mut self) {
        let ended = |o: &Output<P::Done>| matches!(o, Output::Done(_) | Output::Failed(_));
        if let Some(end) = self.log.iter().position(ended) {
            assert_eq!(end + 1, self.log.len(), "something came after the end");
            self.is_silent();
        }
        assert!(self.rounds().is_sorted(), "an earlier round after a later one");
        self.retires_before_it_fails();
        self.stores_before_it_says_so();
        self.evaluates_what_it_said_begins();
    }

    /// §5.4 rule 5: checks are said to begin before anything comes of them, once, and are resolved by
    /// the end.
    fn evaluates_what_it_said_begins(&self) {
        let at = |wanted: fn(&Persist) -> bool| {
            let mut found = self.log.iter().enumerate().filter_map(|(at, output)| match output {
                Output::Persist(persist) if wanted(persist) => Some(at),
                _ => None,
            });
            (found.next(), found.next())
        };
        let (begun, again) = at(|persist| matches!(persist, Persist::ChecksBegin { .. }));
        let (resolved, twice) = at(|persist| matches!(persist, Persist::ChecksResolved));
        let (retired, _) = at(|persist| matches!(persist, Persist::Retired { .. }));
        assert_eq!((again, twice), (None, None), "checks began twice");
        assert_eq!(begun.is_some(), resolved.is_some(), "checks that never began, or never end");
        assert!(begun <= resolved);
        if self.fault().is_some_and(|fault| fault.check == Check::OteCheck) {
            assert!(begun < retired && retired < resolved, "evaluated before it was said");
        }
        let Some(Output::Persist(Persist::ChecksBegin { peers, session })) =
            begun.map(|at| &self.log[at])
        else {
            return;
        };
        assert_eq!((peers.as_slice(), session), (self.machine.peers(), self.machine.session_id()));
    }

    /// §5.4 rule 2: a driver that acts on the outputs in order has the retirement on disk first.
    fn retires_before_it_fails(&self) {
        let retired =
            self.log.iter().position(|o| matches!(o, Output::Persist(Persist::Retired { .. })));
        let banned = self.fault().filter(Fault::bans);
        assert_eq!(retired.is_some(), banned.is_some(), "retired without a reason, or not at all");
        let (Some(at), Some(fault)) = (retired, banned) else { return };
        let between = &self.log[at + 1..self.log.len() - 1];
        let resolved = matches!(between, [Output::Persist(Persist::ChecksResolved)]);
        assert!(between.is_empty() || resolved, "something between the retirement and the failure");
        let Output::Persist(Persist::Retired { peer, check, session }) = &self.log[at] else {
            return;
        };
        assert_eq!((Some(*peer), *check), (fault.culprit, fault.check));
        assert_eq!(session, self.machine.session_id());
    }

    /// §3.4 round 4 and §5.4 rule 5.
    fn stores_before_it_says_so(&self) {
        let stored = |o: &Output<P::Done>| matches!(o, Output::Persist(Persist::PendingShare(_)));
        let resolved = |o: &Output<P::Done>| matches!(o, Output::Persist(Persist::ChecksResolved));
        let sent = |kind: Kind| move |o: &Output<P::Done>| matches!(o, Output::Send { bytes, .. } if kind_of(bytes.expose()) == kind);
        let before = |first: Option<usize>, then: Option<usize>| match (first, then) {
            (None, Some(_)) => false,
            (Some(first), Some(then)) => first < then,
            (_, None) => true,
        };
        let position = |f: &dyn Fn(&Output<P::Done>) -> bool| self.log.iter().position(f);
        assert!(before(position(&stored), position(&sent(Kind::Kg4b))));
        for kind in [Kind::Sg2, Kind::Sb2, Kind::Sb2r] {
            assert!(before(position(&resolved), position(&sent(kind))));
        }
        assert!(self.log.iter().filter(|o| stored(o)).count() <= 1);
    }

    /// After the end, neither messages nor time nor another start bring anything out.
    fn is_silent(&mut self) {
        let own: Vec<Vec<u8>> = self.sends().map(<[u8]>::to_vec).collect();
        let peers = self.machine.peers().to_vec();
        for (peer, bytes) in
            peers.iter().flat_map(|peer| own.iter().map(move |bytes| (peer, bytes)))
        {
            self.machine.handle(self.now, *peer, bytes);
        }
        self.machine.start(self.now);
        self.machine.tick(self.now + 10 * TIMEOUT);
        assert!(self.machine.poll().is_none(), "not silent after the end");
        assert!(self.machine.is_over() && self.machine.wake_at().is_none());
    }

    /// The rounds of its messages.
    fn rounds(&self) -> Vec<u8> {
        self.sends().map(|bytes| kind_of(bytes).round()).collect()
    }

    fn sends(&self) -> impl Iterator<Item = &[u8]> {
        self.log.iter().filter_map(|output| match output {
            Output::Send { bytes, .. } => Some(bytes.expose().as_slice()),
            _ => None,
        })
    }
}

const ALL: [Kind; 13] = [
    Kind::Kg1,
    Kind::Kg2b,
    Kind::Kg2p,
    Kind::Kg3b,
    Kind::Kg3p,
    Kind::Kg4b,
    Kind::Sg1,
    Kind::Sg2,
    Kind::Sg3,
    Kind::Sb1,
    Kind::Sb2,
    Kind::Sb2r,
    Kind::Sb3,
];

// ---------------------------------------------------------------------------------------------
// All parties
// ---------------------------------------------------------------------------------------------

/// A party that is not a machine, because machines cannot lie consistently.
pub(crate) trait Liar {
    fn me(&self) -> PartyId;
    fn begin(&mut self) -> Vec<Parcel>;
    fn hear(&mut self, from: PartyId, bytes: &[u8]) -> Vec<Parcel>;
}

/// Every message of a ceremony, by type, sender and receiver.
pub(crate) type Record = BTreeMap<(Kind, PartyId, PartyId), Vec<u8>>;

/// All parties of a ceremony.
pub(crate) struct Group<P: Protocol<Curve = Curve>> {
    pub(crate) members: BTreeMap<PartyId, Member<P>>,
    liars: Vec<Box<dyn Liar>>,
}

impl<P: Protocol<Curve = Curve>> Group<P> {
    pub(crate) fn of(machines: impl IntoIterator<Item = Machine<P>>) -> Self {
        let members =
            machines.into_iter().map(Member::new).map(|member| (member.me(), member)).collect();
        Self { members, liars: Vec::new() }
    }

    pub(crate) fn with(mut self, liar: impl Liar + 'static) -> Self {
        self.liars.push(Box::new(liar));
        self
    }

    /// Delivers in order; time passes only when nothing is left to deliver. `tamper` replaces each
    /// message.
    pub(crate) fn play(mut self, mut tamper: impl FnMut(Parcel) -> Vec<Parcel>) -> Self {
        let mut mail: VecDeque<Parcel> =
            self.liars.iter_mut().flat_map(|liar| liar.begin()).collect();
        self.members.values_mut().for_each(|member| mail.extend(member.collect()));
        loop {
            while let Some(parcel) = mail.pop_front() {
                for parcel in tamper(parcel) {
                    mail.extend(self.deliver(&parcel));
                }
            }
            let waiting = self.members.values_mut().filter(|member| !member.machine.is_over());
            let mut waiting: Vec<_> = waiting.collect();
            if waiting.is_empty() {
                break;
            }
            waiting.iter_mut().for_each(|member| member.wait());
        }
        self.members.values_mut().for_each(Member::keeps_its_contract);
        self
    }

    /// Plays without a lie, and keeps every message.
    pub(crate) fn recorded(self) -> (Self, Record) {
        let mut record = Record::new();
        let group = self.play(|parcel| {
            let key = (kind_of(&parcel.bytes), parcel.from, parcel.to);
            record.insert(key, parcel.bytes.clone());
            vec![parcel]
        });
        (group, record)
    }

    /// Plays without a lie.
    pub(crate) fn honestly(self) -> Self {
        self.play(|parcel| vec![parcel])
    }

    /// One party's messages of one type, altered on their way to one other party.
    pub(crate) fn told(
        self,
        kind: Kind,
        from: PartyId,
        to: PartyId,
        alter: impl Fn(Vec<u8>) -> Vec<Vec<u8>>,
    ) -> Self {
        self.play(|Parcel { from: sender, to: receiver, bytes }| {
            if (sender, receiver) == (from, to) && bytes.get(1) == Some(&kind.tag()) {
                alter(bytes).into_iter().map(|bytes| Parcel { from, to, bytes }).collect()
            } else {
                vec![Parcel { from: sender, to: receiver, bytes }]
            }
        })
    }

    pub(crate) fn member(&mut self, party: PartyId) -> &mut Member<P> {
        self.members.get_mut(&party).unwrap()
    }

    fn deliver(&mut self, parcel: &Parcel) -> Vec<Parcel> {
        if let Some(member) = self.members.get_mut(&parcel.to) {
            member.hear(parcel.from, &parcel.bytes);
            return member.collect();
        }
        let liar = self.liars.iter_mut().find(|liar| liar.me() == parcel.to);
        liar.map_or_else(Vec::new, |liar| liar.hear(parcel.from, &parcel.bytes))
    }
}

// ---------------------------------------------------------------------------------------------
// Keys
// ---------------------------------------------------------------------------------------------

/// The shares of a key, by party; each test has its own, since pairs are retired in them.
pub(crate) type Shares = BTreeMap<PartyId, Arc<KeyShare>>;

/// A key that an honest run made, kept in its stored form.
pub(crate) struct Key(Vec<Secret<Vec<u8>>>);

impl Key {
    fn make(name: &str, threshold: u8, count: u8) -> Self {
        Self::of(Group::of(keygen_machines(name, threshold, count)).honestly())
    }

    /// The result of an honest key generation or refresh.
    pub(crate) fn of(group: Group<Keygen>) -> Self {
        let stored = |member: &Member<Keygen>| {
            assert!(member.done().is_some(), "{:?}", member.fault());
            member.pending().unwrap().to_bytes()
        };
        Self(group.members.values().map(stored).collect())
    }

    pub(crate) fn shares(&self) -> Shares {
        read(&self.0)
    }

    /// How many parties it has.
    pub(crate) fn count(&self) -> u8 {
        self.0.len() as u8
    }

    /// The stored share of `party`.
    pub(crate) fn stored(&self, party: PartyId) -> &[u8] {
        self.0[usize::from(party.get()) - 1].expose()
    }
}

/// Shares from their stored form.
pub(crate) fn read<S: Borrow<Secret<Vec<u8>>>>(stored: impl IntoIterator<Item = S>) -> Shares {
    let share = |bytes: S| KeyShare::from_bytes(bytes.borrow().expose()).unwrap();
    stored.into_iter().map(share).map(|share| (share.me(), Arc::new(share))).collect()
}

pub(crate) fn two_of_two() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::make("two of two", 2, 2))
}

pub(crate) fn two_of_three() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::make("two of three", 2, 3))
}

pub(crate) fn three_of_three() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::make("three of three", 3, 3))
}

pub(crate) fn keygen_setup(name: &str, threshold: u8, count: u8, me: PartyId) -> KeygenSetup {
    let identities = (1..=count).map(|i| format!("party-{i}").into_bytes()).collect();
    KeygenSetup { instance: sha(name), threshold, me, identities }
}

/// The randomness of `me` in the key generation `name`.
pub(crate) fn keygen_seed(name: &str, me: PartyId) -> SessionSeed {
    seed(format!("keygen|{name}|{me}"))
}

pub(crate) fn keygen_machine(name: &str, threshold: u8, count: u8, me: PartyId) -> Machine<Keygen> {
    let setup = keygen_setup(name, threshold, count, me);
    keygen_with_seed(setup, keygen_seed(name, me), TIMEOUT).unwrap()
}

pub(crate) fn keygen_machines(name: &str, threshold: u8, count: u8) -> Vec<Machine<Keygen>> {
    PartyId::all(count).map(|me| keygen_machine(name, threshold, count, me)).collect()
}

pub(crate) fn refresh_machines(name: &str, shares: &Shares) -> Vec<Machine<Keygen>> {
    let machine = |share: &Arc<KeyShare>| {
        let seed = seed(format!("refresh|{name}|{}", share.me()));
        refresh_with_seed(share, sha(name), seed, TIMEOUT).unwrap()
    };
    shares.values().map(machine).collect()
}

/// The pairs that are retired, each as this party and the other, with the reason.
pub(crate) fn retired(shares: &Shares) -> Vec<(PartyId, PartyId, Check)> {
    let pairs = shares.values().flat_map(|share| {
        let all = PartyId::all(share.count());
        all.filter_map(|peer| share.retired(peer).map(|check| (share.me(), peer, check)))
    });
    pairs.collect()
}

// ---------------------------------------------------------------------------------------------
// Signatures
// ---------------------------------------------------------------------------------------------

/// The digest that is signed.
pub(crate) fn digest() -> [u8; 32] {
    sha("what everybody signs")
}

/// For all signers and without derivation.
pub(crate) fn sign_setup(name: &str, signers: &[PartyId]) -> SignSetup {
    SignSetup {
        signers: signers.to_vec(),
        sign_id: sha(name),
        digest: digest(),
        tweak: Scalar::ZERO,
        recipient: None,
    }
}

/// The randomness of `me` in the signature `name`.
pub(crate) fn sign_seed(name: &str, me: PartyId) -> SessionSeed {
    seed(format!("sign|{name}|{me}"))
}

pub(crate) fn signer(
    name: &str,
    share: &Arc<KeyShare>,
    setup: SignSetup,
) -> Result<Machine<Signing>, Fault> {
    sign_with_seed(Arc::clone(share), setup, sign_seed(name, share.me()), TIMEOUT)
}

pub(crate) fn signers(name: &str, shares: &Shares, setup: &SignSetup) -> Vec<Machine<Signing>> {
    let machine = |party| signer(name, &shares[party], setup.clone()).unwrap();
    setup.signers.iter().map(machine).collect()
}

/// Signs honestly, and lets another implementation verify all signatures.
pub(crate) fn sign_honestly(name: &str, shares: &Shares, parties: &[PartyId]) {
    let machines = signers(name, shares, &sign_setup(name, parties));
    for (party, member) in Group::of(machines).honestly().members {
        let Some(Signed::Signature(signature)) = member.done() else {
            panic!("party {party} has no signature: {:?}", member.fault());
        };
        verify(shares[&party].public_key_bytes(), signature);
    }
}

/// Verifies with `k256`'s own verifier.
pub(crate) fn verify(public_key: [u8; 33], signature: &Signature) {
    let key = cosign_core::curve::decode_point(&public_key).unwrap();
    verify_digest(&key, &digest(), signature);
}

/// As [`verify`], of any digest.
pub(crate) fn verify_digest(key: &AffinePoint, digest: &[u8; 32], signature: &Signature) {
    assert!(is_signature(key, digest, signature.r, signature.s));
    assert!(is_low_s(&signature.s), "a high s");
}

/// The pairs that are retired are those of the honest parties that banned, with the liar.
pub(crate) fn assert_retired<P: Protocol<Curve = Curve>>(
    liar: PartyId,
    group: &Group<P>,
    shares: &Shares,
) {
    let mut expected = Vec::new();
    for (party, member) in group.members.iter().filter(|(party, _)| **party != liar) {
        if let Some(fault) = member.fault().filter(Fault::bans) {
            assert_eq!(fault.culprit, Some(liar), "an honest pair was retired");
            expected.push((*party, liar, fault.check));
        }
    }
    assert_eq!(retired(shares), expected);
}
