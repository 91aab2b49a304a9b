//! Signing with one liar among two or three signers, and the assertions about each lie.

use crate::curve::some_tweak;
use cosign_core::PartyId;
use cosign_core::hazmat::crypto::seed::SessionSeed;
use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::wire::Kind;

use crate::group::*;
use crate::layout::Message;
use crate::reference::{Lies, Reference};

/// The signers, the key, the liar, and its victims.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) key: &'static Key,
    pub(crate) setup: SignSetup,
    pub(crate) liar: PartyId,
    pub(crate) victim: PartyId,
}

const NAME: &str = "a signature with a liar";

/// Every place a liar and a victim can have: first and last, with gaps in the signer list, among
/// three, with a signature for one party only, and under a derived key.
pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |key, signers: &[u8], liar, victim| {
        let signers: Vec<PartyId> = signers.iter().copied().map(id).collect();
        Scene { key, setup: sign_setup(NAME, &signers), liar: id(liar), victim: id(victim) }
    };
    let mut for_one = scene(two_of_three(), &[1, 3], 3, 1);
    for_one.setup.recipient = Some(id(1));
    let mut derived = scene(three_of_three(), &[1, 2, 3], 1, 3);
    derived.setup.tweak = some_tweak();
    vec![
        scene(two_of_two(), &[1, 2], 2, 1),
        scene(two_of_two(), &[1, 2], 1, 2),
        scene(two_of_three(), &[2, 3], 3, 2),
        for_one,
        scene(three_of_three(), &[1, 2, 3], 2, 1),
        derived,
    ]
}

impl Scene {
    /// All parties, as machines.
    pub(crate) fn group(&self, shares: &Shares) -> Group<Signing> {
        Group::of(signers(NAME, shares, &self.setup))
    }

    /// One party as a machine.
    pub(crate) fn member(&self, shares: &Shares, party: PartyId) -> Member<Signing> {
        Member::new(signer(NAME, &shares[&party], self.setup.clone()).unwrap())
    }

    /// All parties but the liar.
    pub(crate) fn honest(&self, shares: &Shares) -> Group<Signing> {
        let honest = self.setup.signers.iter().filter(|party| **party != self.liar);
        Group::of(honest.map(|p| signer(NAME, &shares[p], self.setup.clone()).unwrap()))
    }

    /// A signer's randomness.
    pub(crate) fn seed(&self, party: PartyId) -> SessionSeed {
        sign_seed(NAME, party)
    }

    /// The liar, written a second time.
    pub(crate) fn reference(&self, lies: Lies) -> Reference {
        Reference::new(self.key, self.liar, self.setup.clone(), self.seed(self.liar), lies)
    }

    /// A fault that names the liar.
    pub(crate) fn by_liar(&self, check: Check, at: &'static str) -> Fault {
        Fault::by(self.liar, check, at)
    }

    /// The victim stopped with `fault`, and nothing else came of the lie.
    pub(crate) fn assert(&self, mut group: Group<Signing>, shares: &Shares, fault: Fault) {
        group.member(self.victim).stopped(fault);
        assert_retired(self.liar, &group, shares);
        let parties = &self.setup.signers;
        if retired(shares).is_empty() {
            sign_honestly("after a lie", shares, parties);
        } else {
            self.assert_banned(shares);
        }
    }

    /// S-40: the pair never signs again, not even a first message leaves; every other pair does.
    fn assert_banned(&self, shares: &Shares) {
        let refused = signer("again", &shares[&self.victim], self.setup.clone());
        assert_eq!(refused.err(), Some(self.by_liar(Check::PairRetired, "setup")));
        if self.setup.signers.len() < shares.len() {
            for without in [self.liar, self.victim] {
                let others: Vec<_> = shares.keys().copied().filter(|p| *p != without).collect();
                sign_honestly("without the pair", shares, &others);
            }
        }
    }
}

/// A lie in one type of message.
pub(crate) struct Told<'a> {
    kind: Kind,
    alter: Box<dyn Fn(&mut Message) + 'a>,
}

/// The liar alters its messages of `kind` to the victim.
pub(crate) fn told<'a>(kind: Kind, alter: impl Fn(&mut Message) + 'a) -> Told<'a> {
    Told { kind, alter: Box::new(alter) }
}

impl Told<'_> {
    /// The liar is named, and the pair retired.
    #[track_caller]
    pub(crate) fn bans(&self, check: Check, at: &'static str) {
        assert!(check.bans());
        self.stops(|scene| scene.by_liar(check, at));
    }

    /// The liar is named.
    #[track_caller]
    pub(crate) fn blames(&self, check: Check, at: &'static str) {
        assert!(!check.bans());
        self.stops(|scene| scene.by_liar(check, at));
    }

    /// There is no culprit.
    #[track_caller]
    pub(crate) fn blames_nobody(&self, check: Check, at: &'static str) {
        self.stops(|_| Fault::nobody(check, at));
    }

    fn stops(&self, fault: impl Fn(&Scene) -> Fault) {
        for scene in scenes() {
            let shares = scene.key.shares();
            let group = scene.group(&shares).told(self.kind, scene.liar, scene.victim, |bytes| {
                let mut message = Message(bytes);
                (self.alter)(&mut message);
                vec![message.0]
            });
            scene.assert(group, &shares, fault(&scene));
        }
    }
}

/// The liar does everything consistently with `lies`.
pub(crate) fn lives(lies: Lies, fault: impl Fn(&Scene) -> Fault) {
    for scene in scenes() {
        let shares = scene.key.shares();
        let liar = scene.reference(lies);
        let group = scene.honest(&shares).with(liar).honestly();
        scene.assert(group, &shares, fault(&scene));
    }
}
