//! Reshare, import and the whole key (docs/protocol.md §8.2 to §8.5, §10.3).

use std::sync::{Arc, OnceLock};

use crate::curve::{Curve, ProjectivePoint, Scalar};
use cosign_core::hazmat::crypto::curve::encode_point;
use cosign_core::hazmat::crypto::dlog::Claim;
use cosign_core::hazmat::crypto::share::lagrange;
use cosign_core::hazmat::crypto::tags;
use cosign_core::hazmat::crypto::transcript::length_prefixed;
use cosign_core::hazmat::protocol::combine::reveal_private_key;
use cosign_core::hazmat::protocol::fault::{Blame, Check, Fault};
use cosign_core::hazmat::protocol::keygen::reshare::{
    Dealer, ReshareSetup, import_with_seed, join_with_seed, reshare_with_seed,
};
use cosign_core::hazmat::protocol::machine::Machine;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};
use cosign_core::{PartyId, Secret};

use crate::dealer;
use crate::group::*;
use crate::layout::{Field, Message, encode, off_curve, point, scalar};
use crate::sweep::altered;

const NAME: &str = "a reshare with a liar";

// ---------------------------------------------------------------------------------------------
// Reshares of a 2-of-3 key
// ---------------------------------------------------------------------------------------------

/// Who deals, by old index, and who has the key then, by name.
struct Reshare {
    dealers: &'static [u8],
    threshold: u8,
    new: &'static [&'static str],
}

/// Parties 1 and 3 deal; 2 and the new party 4 only receive.
const GROWN: Reshare =
    Reshare { dealers: &[1, 3], threshold: 2, new: &["party-1", "party-2", "party-3", "party-4"] };

/// Participant 1 was party 2, participant 2 is new, participants 3 and 4 were parties 1 and 3: they
/// deal and leave.
const LEFT: Reshare = Reshare { dealers: &[1, 3], threshold: 2, new: &["party-2", "party-4"] };

fn old() -> Shares {
    two_of_three().shares()
}

fn origin() -> Vec<u8> {
    old()[&id(1)].public_data()
}

impl Reshare {
    fn setup(&self, me: u8) -> ReshareSetup {
        let mut identities: Vec<Vec<u8>> =
            self.new.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut dealers = Vec::new();
        for old in self.dealers {
            let identity = format!("party-{old}").into_bytes();
            let known = identities.iter().position(|known| *known == identity);
            let position = known.unwrap_or(identities.len());
            if known.is_none() {
                identities.push(identity);
            }
            dealers.push(Dealer { participant: id(position as u8 + 1), old: *old });
        }
        ReshareSetup {
            instance: sha(NAME),
            threshold: self.threshold,
            count: self.new.len() as u8,
            me: id(me),
            identities,
            dealers,
            origin: origin(),
            requester: id(1),
        }
    }

    fn participants(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.setup(1).identities.len() as u8
    }

    fn machine(&self, me: u8) -> Machine<Keygen> {
        machine(self.setup(me)).unwrap()
    }

    fn group(&self) -> Group<Keygen> {
        Group::of(self.participants().map(|me| self.machine(me)))
    }

    /// Everybody but `liar`, which deals a polynomial with this constant term.
    fn with_constant(&self, liar: u8, constant: Scalar) -> Group<Keygen> {
        self.with_polynomials(&[(liar, [constant, Scalar::from(8_u64)])])
    }

    /// Everybody but these liars, which deal these polynomials.
    fn with_polynomials(&self, liars: &[(u8, [Scalar; 2])]) -> Group<Keygen> {
        let all = self.participants().last().unwrap();
        let honest = self.participants().filter(|me| liars.iter().all(|(liar, _)| liar != me));
        let honest = Group::of(honest.map(|me| self.machine(me)));
        let group = liars.iter().fold(honest, |group, (liar, polynomial)| {
            let seed = seed_of(*liar);
            let dealer = dealer::Dealer::new(id(*liar), all, seed, polynomial.to_vec());
            group.with(dealer.for_parties(self.new.len() as u8))
        });
        group.honestly()
    }

    /// The honest messages.
    fn record(&self) -> Record {
        static RECORDS: [OnceLock<Record>; 2] = [OnceLock::new(), OnceLock::new()];
        let record = &RECORDS[usize::from(self.new.len() == 2)];
        record.get_or_init(|| self.group().recorded().1).clone()
    }

    /// `victim` hears the honest messages, with those of `kind` from `liar` altered: nothing, the
    /// message, or another.
    fn told(
        &self,
        kind: Kind,
        liar: u8,
        victim: u8,
        alter: impl Fn(&mut Message),
    ) -> Member<Keygen> {
        let mut member = Member::new(self.machine(victim));
        for ((at, from, _), bytes) in
            self.record().iter().filter(|((_, _, to), _)| *to == id(victim))
        {
            let mut message = Message(bytes.clone());
            if (*at, *from) == (kind, id(liar)) {
                alter(&mut message);
            }
            if !message.is_empty() {
                member.hear(*from, &message);
            }
        }
        member
    }
}

fn seed_of(participant: u8) -> cosign_core::hazmat::crypto::seed::SessionSeed {
    seed(format!("reshare|{NAME}|{participant}"))
}

/// Whoever was a party of the old key takes part with its share.
fn machine(setup: ReshareSetup) -> Result<Machine<Keygen>, Fault> {
    let identity = setup.identities.get(usize::from(setup.me.get()) - 1).cloned();
    let (old, seed) = (old(), seed_of(setup.me.get()));
    let of = |share: &&Arc<KeyShare>| {
        share.identities().get(usize::from(share.me().get()) - 1) == identity.as_ref()
    };
    match old.values().find(of) {
        Some(share) => reshare_with_seed(setup, share, seed, TIMEOUT),
        None => join_with_seed(setup, seed, TIMEOUT),
    }
}

#[track_caller]
fn blames(mut victim: Member<Keygen>, liar: u8, check: Check, at: &'static str) {
    victim.stopped(Fault::by(id(liar), check, at));
}

/// The shares that an honest run makes.
fn made(group: Group<Keygen>) -> Shares {
    let group = group.honestly();
    assert!(group.members.values().all(|member| member.done().is_some()));
    let stored = group.members.values().filter_map(|member| member.pending());
    read(stored.map(KeyShare::to_bytes))
}

fn value(shares: &[&KeyShare]) -> Scalar {
    let parties: Vec<PartyId> = shares.iter().map(|share| share.me()).collect();
    shares
        .iter()
        .map(|share| lagrange::<Scalar>(share.me(), &parties, 0) * share.secret().expose())
        .sum()
}

// ---------------------------------------------------------------------------------------------
// Without a lie
// ---------------------------------------------------------------------------------------------

#[test]
fn the_key_stays_and_every_new_quorum_signs() {
    let old = old();
    let shares = made(GROWN.group());
    assert_eq!(shares.len(), 4);
    for share in shares.values() {
        assert_eq!(share.public_key(), old[&id(1)].public_key());
        assert_eq!(share.chain_code(), old[&id(1)].chain_code());
        assert_ne!(share.epoch(), old[&id(1)].epoch());
        assert_eq!(share.identities(), GROWN.setup(1).identities);
    }
    for pair in [[1, 4], [2, 4], [2, 3]] {
        sign_honestly("grown", &shares, &pair.map(id));
    }
}

#[test]
fn an_old_share_and_a_new_one_do_not_make_the_key() {
    let (old, new) = (old(), made(GROWN.group()));
    let key = ProjectivePoint::from(*old[&id(1)].public_key());
    for (a, b) in [(1, 2), (1, 3), (2, 1), (2, 4), (3, 4)] {
        let mixed = value(&[&old[&id(a)], &new[&id(b)]]);
        assert_ne!(ProjectivePoint::GENERATOR * mixed, key);
    }
    assert_eq!(ProjectivePoint::GENERATOR * value(&[&new[&id(2)], &new[&id(4)]]), key);
}

/// A dealer that leaves makes no share. It keeps what tells it when to destroy its old one.
#[test]
fn dealers_that_leave_hold_nothing_afterwards() {
    let group = LEFT.group().honestly();
    let epoch = group.members[&id(1)].done().unwrap().epoch;
    for leaver in [3, 4] {
        let member = &group.members[&id(leaver)];
        assert_eq!(member.done().unwrap().epoch, epoch);
        assert!(member.pending().is_none());
        let persisted = member.log.iter().filter_map(|output| match output {
            Output::Persist(persist) => Some(persist),
            _ => None,
        });
        let persisted: Vec<_> = persisted.collect();
        let [Persist::Leaving(leaving), confirmed @ ..] = &persisted[..] else {
            panic!("{persisted:?}")
        };
        assert_eq!(leaving.epoch(), &epoch);
        assert_eq!(leaving.parties().collect::<Vec<_>>(), [id(1), id(2)]);
        assert_eq!(Leaving::from_bytes(&leaving.to_bytes()).as_ref(), Ok(leaving));
        let mut heard = Vec::new();
        for persist in confirmed {
            let Persist::Confirmed { peer, statement } = persist else { panic!("{persist:?}") };
            assert!(leaving.verify(*peer, statement));
            assert!(!leaving.verify(id(3 - peer.get()), statement));
            heard.push(*peer);
        }
        heard.sort_unstable();
        assert_eq!(heard, [id(1), id(2)]);
    }
    let stored = group.members.values().filter_map(|member| member.pending());
    let shares = read(stored.map(KeyShare::to_bytes));
    assert_eq!(shares.len(), 2);
    sign_honestly("left", &shares, &[id(1), id(2)]);
}

/// The share alone from a dealer that leaves, and nothing to it.
#[test]
fn private_messages_go_to_parties_of_the_new_key_alone() {
    let record = LEFT.record();
    let to_leavers = record
        .keys()
        .filter(|(kind, _, to)| to.get() > 2 && matches!(kind, Kind::Kg2p | Kind::Kg3p));
    assert_eq!(to_leavers.count(), 0);
    let from_leavers = record.iter().filter(|((_, from, _), _)| from.get() > 2);
    for ((kind, ..), bytes) in from_leavers {
        assert!(matches!(kind, Kind::Kg1 | Kind::Kg2b | Kind::Kg2p), "{kind:?}");
        assert!(*kind != Kind::Kg2p || bytes.len() == HEADER + 32);
    }
}

/// A ban is of an epoch. Whether to go on with whom one has banned is asked before (§8.5).
#[test]
fn a_retired_pair_takes_part_and_is_new_afterwards() {
    let old = old();
    old[&id(1)].retire(id(2), Check::OteCheck);
    let banned = reshare_with_seed(GROWN.setup(1), &old[&id(1)], seed_of(1), TIMEOUT).unwrap();
    let others = GROWN.participants().skip(1).map(|me| GROWN.machine(me));
    let shares = made(Group::of(others.chain([banned])));
    assert_eq!(retired(&shares), []);
    sign_honestly("brought back", &shares, &[id(1), id(2)]);
    assert_eq!(old[&id(1)].retired(id(2)), Some(Check::OteCheck));
}

///
#[test]
fn an_old_and_a_new_share_part_at_the_first_message() {
    let (old, new) = (old(), made(GROWN.group()));
    let setup = sign_setup("mixed", &[id(1), id(2)]);
    let machines = [
        signer("mixed", &old[&id(1)], setup.clone()).unwrap(),
        signer("mixed", &new[&id(2)], setup).unwrap(),
    ];
    let mut group = Group::of(machines).honestly();
    group.member(id(1)).stopped(Fault::by(id(2), Check::Session, "SG1"));
    group.member(id(2)).stopped(Fault::by(id(1), Check::Session, "SG1"));
}

// ---------------------------------------------------------------------------------------------
// Setup
// ---------------------------------------------------------------------------------------------

#[track_caller]
fn refused(reshare: &Reshare, me: u8, fault: Fault, change: impl Fn(&mut ReshareSetup)) {
    let mut setup = reshare.setup(me);
    change(&mut setup);
    assert_eq!(machine(setup).err(), Some(fault));
}

#[track_caller]
fn is_no_reshare(change: impl Fn(&mut ReshareSetup)) {
    refused(&GROWN, 1, Fault::nobody(Check::Params, "setup"), change);
}

fn dealer_of(participant: u8, old: u8) -> Dealer {
    Dealer { participant: id(participant), old }
}

/// Party 1 asked for it itself, so that its own call is wrong. Participant 4 has no share
/// to compare with, and has both `origin` and the dealers from party 1.
#[test]
fn dealers_are_as_many_as_must_sign_and_the_devices_that_they_were() {
    let params = Some(Fault::nobody(Check::Params, "setup"));
    let told = |pairs: &[(u8, u8)], fault: Option<Fault>| {
        let dealers: Vec<Dealer> = pairs.iter().map(|(who, old)| dealer_of(*who, *old)).collect();
        for (me, fault) in [(1, params), (4, fault)] {
            let setup = ReshareSetup { dealers: dealers.clone(), ..GROWN.setup(me) };
            assert_eq!(machine(setup).err(), fault, "{pairs:?}");
        }
    };
    let public_data = Some(Fault::by(id(1), Check::PublicData, "setup"));
    told(&[], public_data);
    told(&[(1, 1)], public_data);
    told(&[(1, 1), (2, 2), (3, 3)], public_data);
    told(&[(1, 1), (3, 4)], public_data);
    told(&[(1, 1), (3, 17)], public_data);
    told(&[(1, 0), (3, 3)], public_data);
    told(&[(3, 3), (1, 1)], params);
    told(&[(1, 1), (1, 3)], params);
    told(&[(1, 1), (3, 1)], params);
    told(&[(1, 1), (9, 3)], params);
    // Who the others were only holders know.
    told(&[(1, 1), (2, 3)], None);
}

///
#[test]
fn sizes_and_participants_that_make_no_key_are_refused() {
    is_no_reshare(|setup| setup.threshold = 1);
    is_no_reshare(|setup| setup.threshold = 5);
    is_no_reshare(|setup| setup.identities.push(b"party-9".to_vec()));
    is_no_reshare(|setup| setup.identities.extend((0..13).map(|n| vec![n])));
    is_no_reshare(|setup| {
        setup.identities = (0..17).map(|n| vec![n]).collect();
        setup.count = 17;
    });
    is_no_reshare(|setup| setup.identities[3] = setup.identities[2].clone());
    is_no_reshare(|setup| setup.count = 5);
    is_no_reshare(|setup| setup.count = 1);
    is_no_reshare(|setup| setup.me = id(5));
    is_no_reshare(|setup| setup.requester = id(5));
    // Party 1 in the place of another.
    is_no_reshare(|setup| setup.identities.swap(0, 1));
    refused(&LEFT, 1, Fault::nobody(Check::Params, "setup"), |setup| {
        // Those that leave are in the order of their old indices.
        setup.identities.swap(2, 3);
        setup.dealers = vec![dealer_of(4, 1), dealer_of(3, 3)];
    });
}

/// A device that had no share deals nothing, and one that deals has the share that it deals.
#[test]
fn only_holders_deal() {
    let params = Some(Fault::nobody(Check::Params, "setup"));
    let joined = join_with_seed::<Curve>(GROWN.setup(1), seed_of(1), TIMEOUT);
    assert_eq!(joined.err(), params);
    let shares = old();
    let another = reshare_with_seed(GROWN.setup(1), &shares[&id(3)], seed_of(1), TIMEOUT);
    assert_eq!(another.err(), params);
    let spectator = reshare_with_seed(GROWN.setup(4), &shares[&id(2)], seed_of(4), TIMEOUT);
    assert_eq!(spectator.err(), params);
    let key = Secret::new(value(&[&shares[&id(1)], &shares[&id(2)]]));
    assert_eq!(import_with_seed::<Curve>(GROWN.setup(1), &key, seed_of(1), TIMEOUT).err(), params);
}

/// `origin` with one of its parts changed.
fn changed(place: usize, part: &[u8]) -> Vec<u8> {
    let bytes = origin();
    let mut rest = &bytes[..];
    let mut parts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (part, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        parts.push(part);
        rest = after;
    }
    parts[place] = part;
    length_prefixed(&parts)
}

/// the new device, participant 4, knows the key from the requester alone.
#[test]
fn public_data_that_contradicts_itself_blames_the_requester() {
    let told = |bytes: Vec<u8>| {
        for requester in [1, 2] {
            let fault = Fault::by(id(requester), Check::PublicData, "setup");
            refused(&GROWN, 4, fault, |setup| {
                setup.requester = id(requester);
                setup.origin.clone_from(&bytes);
            });
        }
    };
    let whole = origin();
    told(whole[..whole.len() - 1].to_vec());
    told([&whole[..], &[0]].concat());
    told(Vec::new());
    told(changed(2, &point(5)));
    for share in [4, 5, 6] {
        told(changed(share, &point(5)));
        told(changed(share, &off_curve()));
        told(changed(share, &[0; 33]));
    }
    told(changed(2, &off_curve()));
    told(changed(1, &[7; 31]));
    told(changed(3, &[7; 33]));
    for sizes in [[1, 3], [3, 3], [4, 3], [2, 2], [2, 4], [0, 0], [2, 17]] {
        told(changed(0, &sizes));
    }
}

/// The public data of a key that no share here is of: 3-of-3, so it does not go with two dealers.
fn of_three_dealers() -> Vec<u8> {
    three_of_three().shares()[&id(1)].public_data()
}

/// the same key means the same epoch, or other shares of it; and nobody accuses itself.
#[test]
fn public_data_of_another_key_blames_the_requester() {
    for requester in [1, 2] {
        let fault = Fault::by(id(requester), Check::PublicData, "setup");
        let own = Fault::nobody(Check::Params, "setup");
        for me in GROWN.participants() {
            let fault = if me == requester { own } else { fault };
            let told = |origin: Vec<u8>| {
                refused(&GROWN, me, fault, |setup| {
                    setup.requester = id(requester);
                    setup.origin.clone_from(&origin);
                });
            };
            told(of_three_dealers());
            told(Origin::of_import(old()[&id(1)].public_key(), old()[&id(1)].chain_code()));
            if me < 4 {
                told(changed(3, &[7; 32]));
            }
        }
    }
}

/// nobody lied where one of two devices has missed a refresh.
#[test]
fn public_data_of_other_shares_of_the_key_proves_nothing() {
    let (old, newer) = (old(), Group::of(refresh_machines("other", &old())).honestly());
    let newer = read(newer.members.values().map(|member| member.pending().unwrap().to_bytes()));
    let told = |share: &KeyShare, origin: Vec<u8>, requester: u8| {
        let setup =
            ReshareSetup { origin, requester: id(requester), ..GROWN.setup(share.me().get()) };
        reshare_with_seed(setup, share, seed_of(1), TIMEOUT).err()
    };
    for (mine, theirs) in [(&old, &newer), (&newer, &old)] {
        let (share, origin) = (&mine[&id(1)], theirs[&id(2)].public_data());
        let fault = Fault::by(id(2), Check::Session, "setup");
        assert_eq!(fault.blame(), Blame::NotProof);
        assert_eq!(told(share, origin.clone(), 2), Some(fault));
        assert_eq!(told(share, origin, 1), Some(Fault::nobody(Check::Params, "setup")));
        assert_eq!(told(share, mine[&id(2)].public_data(), 2), None);
    }
}

/// what the new device is told is in the session id.
#[test]
fn a_device_that_is_told_something_else_parts_at_the_first_message() {
    let parts = |of: u8, change: &dyn Fn(&mut ReshareSetup)| {
        let mut setup = GROWN.setup(of);
        change(&mut setup);
        let mut member = Member::new(machine(setup).unwrap());
        for from in GROWN.participants().filter(|from| *from != of) {
            let first = &GROWN.record()[&(Kind::Kg1, id(from), id(of))];
            let own = member.sent(Kind::Kg1, id(from));
            let mut peer = Member::new(GROWN.machine(from));
            peer.hear(id(of), &own);
            peer.stopped(Fault::by(id(of), Check::Session, "KG1"));
            if member.fault().is_none() {
                member.hear(id(from), first);
                member.stopped(Fault::by(id(from), Check::Session, "KG1"));
            }
        }
    };
    parts(4, &|setup| setup.origin = changed(1, &[7; 32]));
    parts(4, &|setup| setup.origin = changed(3, &[7; 32]));
    parts(4, &|setup| setup.dealers = vec![dealer_of(1, 1), dealer_of(2, 2)]);
    parts(2, &|setup| setup.identities[3] = b"party-5".to_vec());
    parts(4, &|setup| setup.threshold = 3);
    parts(4, &|setup| setup.instance[0] ^= 1);
}

// ---------------------------------------------------------------------------------------------
// Dealing
// ---------------------------------------------------------------------------------------------

/// another value, its share without the factor, the other dealer's part, and
/// all of it from a dealer that leaves.
#[test]
fn a_dealer_that_deals_another_constant_is_named_by_all() {
    let secret = |party: u8| *old()[&id(party)].secret().expose();
    let part = |party| lagrange::<Scalar>(id(party), &[id(1), id(3)], 0) * secret(party);
    let lies = [
        (GROWN, 3, Scalar::from(5_u64)),
        (GROWN, 1, secret(1)),
        (GROWN, 3, part(1)),
        (LEFT, 4, Scalar::from(5_u64)),
        (LEFT, 3, part(3)),
    ];
    for (reshare, liar, constant) in lies {
        let mut group = reshare.with_constant(liar, constant);
        for member in group.members.values_mut() {
            member.stopped(Fault::by(id(liar), Check::DealerConstant, "KG2B"));
        }
    }
    // The dealer above is believed if it deals its part: all others go on to the next round.
    for (reshare, dealer, constant) in [(GROWN, 1, part(1)), (LEFT, 4, part(3))] {
        let group = reshare.with_constant(dealer, constant);
        // A dealer that leaves has nothing more to say, and the others finish.
        let missing = Fault::by(id(dealer), Check::Missing, "KG3B");
        let leaves = usize::from(dealer) > reshare.new.len();
        for member in group.members.values() {
            assert_eq!(member.fault(), (!leaves).then_some(missing));
        }
    }
}

/// unlike in a key generation, an honest device may deal nothing, so nobody may be left to make the
/// sum one of the degree that it must have.
#[test]
fn dealers_that_all_lie_are_found_before_anything_is_stored() {
    let part = |party: u8| {
        lagrange::<Scalar>(id(party), &[id(1), id(3)], 0) * old()[&id(party)].secret().expose()
    };
    for highest in [8_u64, 1] {
        let highest = Scalar::from(highest);
        let liars = [(1, [part(1), highest]), (3, [part(3), -highest])];
        for member in GROWN.with_polynomials(&liars).members.values_mut() {
            member.stopped(Fault::nobody(Check::Identity, "KG2B"));
            assert_eq!(member.fault().unwrap().blame(), Blame::Somebody);
        }
    }
}

/// who deals nothing publishes nothing, and a dealer no more than the threshold.
#[test]
fn coefficients_that_nobody_asked_for_are_a_wrong_length() {
    let more = |count: usize| {
        move |m: &mut Message| {
            for _ in 0..count {
                m.splice(HEADER..HEADER, point(1));
            }
            m.extend(vec![0; 65 * count]);
        }
    };
    blames(GROWN.told(Kind::Kg2b, 4, 1, more(2)), 4, Check::Malformed, "KG2B");
    blames(GROWN.told(Kind::Kg2b, 1, 4, more(1)), 1, Check::Malformed, "KG2B");
    blames(GROWN.told(Kind::Kg2b, 3, 2, more(1)), 3, Check::Malformed, "KG2B");
}

///
#[test]
fn a_share_off_the_polynomial_blames_its_sender_even_if_that_is_zero() {
    let lie = |m: &mut Message| m.put("share", &scalar(1));
    blames(GROWN.told(Kind::Kg2p, 2, 4, lie), 2, Check::Feldman, "KG2P");
    blames(GROWN.told(Kind::Kg2p, 1, 4, lie), 1, Check::Feldman, "KG2P");
    blames(LEFT.told(Kind::Kg2p, 3, 2, lie), 3, Check::Feldman, "KG2P");
    let none = |m: &mut Message| m.fill("share", 0xff);
    blames(LEFT.told(Kind::Kg2p, 3, 2, none), 3, Check::Malformed, "KG2P");
}

/// as in a key generation. Who deals nothing commits to its chain code all the same.
#[test]
fn openings_and_proofs_are_checked_as_in_a_key_generation() {
    let opening = |m: &mut Message| m.put("A1", &point(1));
    blames(GROWN.told(Kind::Kg2b, 1, 4, opening), 1, Check::Commit, "KG2B");
    for field in ["z0", "z1"] {
        let lie = |m: &mut Message| m.put(field, &scalar(1));
        blames(GROWN.told(Kind::Kg2b, 1, 4, lie), 1, Check::Pok, "KG2B");
        blames(LEFT.told(Kind::Kg2b, 3, 4, lie), 3, Check::Pok, "KG2B");
    }
    for field in ["cc", "salt"] {
        let lie = |m: &mut Message| m.flip(field, 0);
        blames(GROWN.told(Kind::Kg2b, 4, 1, lie), 4, Check::Commit, "KG2B");
    }
}

// ---------------------------------------------------------------------------------------------
// The new shares
// ---------------------------------------------------------------------------------------------

/// from the new device.
#[test]
fn announcements_and_confirmations_are_checked_as_in_a_key_generation() {
    let told = |kind, alter: &dyn Fn(&mut Message)| GROWN.told(kind, 4, 1, alter);
    let by = |victim, check, at| blames(victim, 4, check, at);
    by(told(Kind::Kg3b, &|m| m.put("Q", &point(1))), Check::QMismatch, "KG3B");
    by(told(Kind::Kg3b, &|m| m.flip("cc", 0)), Check::ChainCode, "KG3B");
    by(told(Kind::Kg3b, &|m| m.put("z", &scalar(1))), Check::Pok, "KG3B");
    let both = |m: &mut Message| {
        m.flip("t1.0[0]", 0);
        m.flip("t1.1[0]", 0);
    };
    by(told(Kind::Kg3p, &both), Check::Pprf, "KG3P");
    let mut victim = told(Kind::Kg4b, &|m| m.flip("confirm", 0));
    assert!(victim.pending().is_some());
    victim.stopped(Fault::nobody(Check::Confirm, "KG4B"));
}

/// Of two parties each knows that the other one is to blame, although others dealt.
#[test]
fn a_wrong_confirmation_of_the_only_other_party_names_it() {
    let victim = LEFT.told(Kind::Kg4b, 2, 1, |m| m.flip("confirm", 0));
    blames(victim, 2, Check::Confirm, "KG4B");
}

/// each role has its messages.
#[test]
fn messages_of_another_role_are_refused() {
    let long = |m: &mut Message| m.extend(vec![0; 32 + 8448]);
    blames(LEFT.told(Kind::Kg2p, 3, 2, long), 3, Check::Malformed, "KG2P");

    let record = LEFT.record();
    let private = &record[&(Kind::Kg2p, id(1), id(2))];
    let mut to_leaver = private.clone();
    to_leaver[3] = 3;
    for lie in [private, &to_leaver] {
        let mut victim = Member::new(LEFT.machine(3));
        for from in [1, 2, 4] {
            victim.hear(id(from), &record[&(Kind::Kg1, id(from), id(3))]);
        }
        victim.hear(id(1), lie);
        blames(victim, 1, Check::Routing, "KG2P");
    }

    for (from, check) in [(3, Check::Routing), (9, Check::UnexpectedSender)] {
        for kind in [Kind::Kg3b, Kind::Kg4b] {
            let mut lie = record[&(kind, id(2), id(1))].clone();
            lie[2] = from;
            let mut victim = Member::new(LEFT.machine(1));
            victim.hear(id(from), &lie);
            let at = kind.name();
            assert_eq!(victim.fault(), Some(Fault::by(id(from), check, at)));
        }
    }
}

///
#[test]
fn a_dealer_that_leaves_checks_what_the_others_have() {
    let told = |kind, alter: &dyn Fn(&mut Message)| LEFT.told(kind, 2, 3, alter);
    let mut victim = told(Kind::Kg3b, &|m| m.flip("view", 0));
    victim.stopped(Fault::nobody(Check::View, "KG3B"));
    let by = |victim, check, at| blames(victim, 2, check, at);
    by(told(Kind::Kg3b, &|m| m.put("Q", &point(1))), Check::QMismatch, "KG3B");
    by(told(Kind::Kg3b, &|m| m.flip("cc", 0)), Check::ChainCode, "KG3B");
    by(told(Kind::Kg3b, &|m| m.put("z", &scalar(1))), Check::Pok, "KG3B");
    // Two parties announce, and either may have announced differently: neither is named.
    let mut victim = told(Kind::Kg4b, &|m| m.flip("confirm", 0));
    victim.stopped(Fault::nobody(Check::Confirm, "KG4B"));
    assert_eq!(confirmed(&victim), [id(1)]);
    let mut victim = told(Kind::Kg4b, &|m| m.clear());
    victim.wait();
    assert_eq!(confirmed(&victim), [id(1)]);
    by(victim, Check::Missing, "KG4B");
}

/// The parties whose confirmations it wants stored: also where the round fails for another one's.
fn confirmed(member: &Member<Keygen>) -> Vec<PartyId> {
    let peers = member.log.iter().filter_map(|output| match output {
        Output::Persist(Persist::Confirmed { peer, .. }) => Some(*peer),
        _ => None,
    });
    peers.collect()
}

/// Each field of each message, altered, from those who stay and those who go, to the device that comes
/// and to one that goes.
#[test]
fn a_lie_in_any_field_stops_those_who_come_and_those_who_go() {
    let mut lies = 0;
    for ((kind, liar, victim), honest) in LEFT.record() {
        let pair = (liar.get(), victim.get());
        if kind == Kind::Kg3p || ![(1, 2), (3, 2), (2, 3), (4, 3)].contains(&pair) {
            continue;
        }
        let honest = Message(honest);
        // The transfers are swept in key generations, and show later.
        let swept = |field: &&Field| field.name != "zero" && !field.name.contains('[');
        for field in honest.fields().iter().filter(swept) {
            for lie in altered(&honest, field, &[]) {
                let mut member = LEFT.told(kind, pair.0, pair.1, |m| m.clone_from(&lie));
                let fault = member.fault().expect(&field.name);
                // After a first message of its own it has another session than all others.
                let parted = (kind, fault.check) == (Kind::Kg1, Check::Session);
                let named = fault.culprit.is_none_or(|culprit| culprit == liar);
                assert!(named || parted, "{} of {}: {fault}", field.name, kind.name());
                member.stopped(fault);
                lies += 1;
            }
        }
    }
    assert!(lies > 200, "{lies}");
}

/// both copies hold and give the same epoch; the confirmations show that there are two.
#[test]
fn another_announcement_for_a_dealer_that_leaves_is_found_by_confirming() {
    let shares = made(LEFT.group());
    let share = &shares[&id(2)];
    let mut victim = LEFT.told(Kind::Kg3b, 2, 3, |m| {
        let (session, statement) = (m.session(), share.public_shares()[1]);
        let context: [&[u8]; 3] = [&session, m.field("view"), &[2]];
        let claim = Claim::<Curve> {
            tag: &tags::KEYGEN_POK_SHARE,
            context: &context,
            statement: &statement,
        };
        let proof = claim.prove(share.secret().expose(), &Scalar::from(424_242_u64)).unwrap();
        m.put("T", &proof[..33]);
        m.put("z", &proof[33..]);
    });
    victim.stopped(Fault::nobody(Check::Confirm, "KG4B"));
}

///
#[test]
fn another_first_message_for_one_participant_makes_another_session() {
    let victim = GROWN.told(Kind::Kg1, 1, 4, |m| m.flip("nonce", 0));
    blames(victim, 1, Check::Session, "KG2B");
}

///
#[test]
fn a_second_valid_proof_of_a_dealer_is_found_by_comparing() {
    let constant = lagrange::<Scalar>(id(1), &[id(1), id(3)], 0) * old()[&id(1)].secret().expose();
    let mut victim = GROWN.told(Kind::Kg2b, 1, 4, |m| {
        let statement = (ProjectivePoint::GENERATOR * constant).to_affine();
        assert_eq!(m.field("A0"), encode_point(&statement).unwrap());
        let (session, place) = (m.session(), [1, 0]);
        let context: [&[u8]; 2] = [&session, &place];
        let claim =
            Claim::<Curve> { tag: &tags::KEYGEN_POK, context: &context, statement: &statement };
        let proof = claim.prove(&constant, &Scalar::from(424_242_u64)).unwrap();
        m.put("T0", &proof[..33]);
        m.put("z0", &proof[33..]);
    });
    victim.stopped(Fault::nobody(Check::View, "KG3B"));
}

/// A proof that one dealer made does not serve another, nor another session.
#[test]
fn a_copied_proof_blames_its_sender() {
    let other = GROWN.record()[&(Kind::Kg2b, id(3), id(4))].clone();
    let copied = |m: &mut Message| {
        let other = Message(other.clone());
        m.put("T0", other.field("T0"));
        m.put("z0", other.field("z0"));
    };
    blames(GROWN.told(Kind::Kg2b, 1, 4, copied), 1, Check::Pok, "KG2B");
}

#[test]
fn a_dealer_that_does_not_come_is_missed() {
    for reshare in [GROWN, LEFT] {
        let mut victim = reshare.told(Kind::Kg1, 3, 1, |m| m.clear());
        victim.wait();
        blames(victim, 3, Check::Missing, "KG1");
    }
}

// ---------------------------------------------------------------------------------------------
// Import
// ---------------------------------------------------------------------------------------------

/// Party 1 of two has a key and shows `shown` times the generator.
fn import_setup(me: u8, shown: u64) -> ReshareSetup {
    let public_key = ProjectivePoint::GENERATOR * Scalar::from(shown);
    ReshareSetup {
        instance: sha("an import"),
        threshold: 2,
        count: 2,
        me: id(me),
        identities: vec![b"party-1".to_vec(), b"party-2".to_vec()],
        dealers: vec![dealer_of(1, 0)],
        origin: Origin::of_import(&public_key.to_affine(), &[9; 32]),
        requester: id(1),
    }
}

fn imported(key: u64, shown: u64) -> Result<Machine<Keygen>, Fault> {
    let key = Secret::new(Scalar::from(key));
    import_with_seed(import_setup(1, shown), &key, seed_of(1), TIMEOUT)
}

#[test]
fn an_imported_key_is_the_key_of_its_shares() {
    let joined = join_with_seed(import_setup(2, 7), seed_of(2), TIMEOUT).unwrap();
    let shares = made(Group::of([imported(7, 7).unwrap(), joined]));
    assert_eq!(shares[&id(2)].public_key_bytes(), point(7));
    assert_eq!(shares[&id(2)].chain_code(), &[9; 32]);
    sign_honestly("imported", &shares, &[id(1), id(2)]);
    let whole = reveal_private_key(&[&shares[&id(2)], &shares[&id(1)]]).unwrap();
    assert_eq!(*whole.expose(), Scalar::from(7_u64));
}

///
#[test]
fn another_key_than_the_one_that_was_shown_is_not_imported() {
    assert_eq!(imported(8, 7).err(), Some(Fault::nobody(Check::Params, "setup")));
    let polynomial = vec![Scalar::from(8_u64), Scalar::from(3_u64)];
    let liar = dealer::Dealer::new(id(1), 2, seed_of(1), polynomial);
    let victim = join_with_seed(import_setup(2, 7), seed_of(2), TIMEOUT).unwrap();
    let mut group = Group::of([victim]).with(liar).honestly();
    group.member(id(2)).stopped(Fault::by(id(1), Check::DealerConstant, "KG2B"));

    let other = join_with_seed(import_setup(2, 8), seed_of(2), TIMEOUT).unwrap();
    let mut group = Group::of([imported(7, 7).unwrap(), other]).honestly();
    group.member(id(1)).stopped(Fault::by(id(2), Check::Session, "KG1"));
    group.member(id(2)).stopped(Fault::by(id(1), Check::Session, "KG1"));
}

/// nobody else had a hand in it.
#[test]
fn an_import_that_deals_a_share_of_zero_blames_its_dealer() {
    let slope = -Scalar::from(7_u64) * Scalar::from(2_u64).invert().unwrap();
    let liar = dealer::Dealer::new(id(1), 2, seed_of(1), vec![Scalar::from(7_u64), slope]);
    let victim = join_with_seed(import_setup(2, 7), seed_of(2), TIMEOUT).unwrap();
    let mut group = Group::of([victim]).with(liar).honestly();
    let fault = Fault::by(id(1), Check::Identity, "KG2B");
    assert_eq!(fault.blame(), Blame::Malice);
    group.member(id(2)).stopped(fault);
}

/// and a key that is none.
#[test]
fn an_import_has_one_dealer_among_the_parties() {
    let refused = |fault, change: &dyn Fn(&mut ReshareSetup)| {
        let mut setup = import_setup(2, 7);
        change(&mut setup);
        assert_eq!(join_with_seed::<Curve>(setup, seed_of(2), TIMEOUT).err(), Some(fault));
    };
    let params = Fault::nobody(Check::Params, "setup");
    let public_data = Fault::by(id(1), Check::PublicData, "setup");
    refused(params, &|setup| setup.dealers = vec![dealer_of(3, 0)]);
    refused(public_data, &|setup| setup.dealers = vec![dealer_of(1, 0), dealer_of(2, 0)]);
    refused(public_data, &|setup| setup.dealers = vec![dealer_of(1, 1)]);
    refused(public_data, &|setup| setup.dealers.clear());
    refused(params, &|setup| setup.dealers = vec![dealer_of(2, 0)]);
    refused(params, &|setup| {
        // The importer cannot leave.
        setup.identities.push(b"party-3".to_vec());
        setup.dealers = vec![dealer_of(3, 0)];
    });
    refused(public_data, &|setup| setup.origin.truncate(40));
    refused(public_data, &|setup| setup.origin[10 + 4] = 0);
}

// ---------------------------------------------------------------------------------------------
// The whole key
// ---------------------------------------------------------------------------------------------

#[test]
fn any_quorum_of_one_epoch_makes_the_same_key_before_and_after_a_reshare() {
    let (old, new) = (old(), made(GROWN.group()));
    let mut keys = Vec::new();
    for (shares, parties) in [
        (&old, &[1, 2][..]),
        (&old, &[3, 1]),
        (&old, &[1, 2, 3]),
        (&new, &[2, 4]),
        (&new, &[4, 1, 3]),
    ] {
        let quorum: Vec<&KeyShare> = parties.iter().map(|party| &*shares[&id(*party)]).collect();
        keys.push(encode(reveal_private_key(&quorum).unwrap().expose()));
    }
    assert!(keys.iter().all(|key| *key == old[&id(1)].public_key_bytes()));
}

/// C-01 to C-05
#[test]
fn shares_that_make_no_key_are_refused() {
    let (old, new) = (old(), made(GROWN.group()));
    let other = two_of_two().shares();
    let refused = |shares: &[&KeyShare]| {
        let fault = Some(Fault::nobody(Check::Params, "combine"));
        assert_eq!(reveal_private_key(shares).err(), fault);
    };
    refused(&[]);
    refused(&[&old[&id(1)]]);
    refused(&[&old[&id(1)], &new[&id(2)]]);
    refused(&[&old[&id(1)], &old[&id(1)]]);
    refused(&[&old[&id(1)], &old[&id(2)], &old[&id(2)]]);
    refused(&[&old[&id(1)], &old[&id(2)], &new[&id(3)]]);
    refused(&[&old[&id(1)], &other[&id(2)]]);
    // A damaged share is none: its secret does not fit its public share.
    let mut damaged = two_of_three().stored(id(2)).to_vec();
    damaged[20 + 32 + 31] ^= 1;
    assert!(KeyShare::from_bytes(&damaged).is_err());
}
