//! Faults in the frame of a message (docs/protocol.md §2.5), for every type: found before the body
//! is decoded, and never a reason to retire a pair.

use std::sync::OnceLock;

use cosign_core::hazmat::protocol::fault::{Check, Fault};
use cosign_core::hazmat::protocol::machine::Protocol;
use cosign_core::hazmat::protocol::wire::{HEADER, Kind};

use crate::curve::Curve;
use crate::group::*;

const NAME: &str = "frames";

const KEYGEN: [Kind; 6] = [Kind::Kg1, Kind::Kg2b, Kind::Kg2p, Kind::Kg3b, Kind::Kg3p, Kind::Kg4b];
const SIGN: [Kind; 3] = [Kind::Sg1, Kind::Sg2, Kind::Sg3];

/// A ceremony of parties 1 and 3 whose other side's messages are known: 1 is the victim.
trait Ceremony: Protocol<Curve = Curve> {
    const KINDS: &'static [Kind];

    fn record() -> &'static Record;

    fn victim() -> Member<Self>;

    /// The other party.
    const PEER: u8;

    fn message(kind: Kind) -> Vec<u8> {
        Self::record()[&(kind, id(Self::PEER), id(1))].clone()
    }

    /// The victim in the round of `kind`, waiting for it and for whatever comes with it.
    fn before(kind: Kind) -> Member<Self> {
        let mut victim = Self::victim();
        for earlier in Self::KINDS.iter().filter(|k| k.round() < kind.round()) {
            victim.hear(id(Self::PEER), &Self::message(*earlier));
        }
        assert!(victim.fault().is_none());
        victim
    }

    /// The first type of the same round: where a message of no known type is found.
    fn present(kind: Kind) -> &'static str {
        Self::KINDS.iter().find(|k| k.round() == kind.round()).map_or("", |k| k.name())
    }
}

impl Ceremony for Keygen {
    const KINDS: &'static [Kind] = &KEYGEN;
    const PEER: u8 = 2;

    fn record() -> &'static Record {
        static RECORD: OnceLock<Record> = OnceLock::new();
        RECORD.get_or_init(|| Group::of(keygen_machines(NAME, 2, 2)).recorded().1)
    }

    fn victim() -> Member<Self> {
        Member::new(keygen_machine(NAME, 2, 2, id(1)))
    }
}

impl Ceremony for Signing {
    const KINDS: &'static [Kind] = &SIGN;
    const PEER: u8 = 3;

    fn record() -> &'static Record {
        static RECORD: OnceLock<Record> = OnceLock::new();
        RECORD.get_or_init(|| {
            let setup = sign_setup(NAME, &[id(1), id(3)]);
            Group::of(signers(NAME, &two_of_three().shares(), &setup)).recorded().1
        })
    }

    fn victim() -> Member<Self> {
        let setup = sign_setup(NAME, &[id(1), id(3)]);
        Member::new(signer(NAME, &two_of_three().shares()[&id(1)], setup).unwrap())
    }
}

/// The victim hears `bytes` where it waits for `kind`, and stops.
#[track_caller]
fn refuses<C: Ceremony>(kind: Kind, bytes: &[u8], check: Check, at: &'static str) {
    let mut victim = C::before(kind);
    victim.hear(id(C::PEER), bytes);
    victim.stopped(Fault::by(id(C::PEER), check, at));
}

/// S-33, S-34
#[test]
fn every_other_length_is_malformed() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            let message = C::message(*kind);
            let longer = [&message[..], &[0]].concat();
            let shorter = &message[..message.len() - 1];
            let mut huge = vec![0; 1 << 20];
            huge[..message.len()].copy_from_slice(&message);
            for bytes in [&longer, shorter, &huge, &message[..HEADER], &message[..2]] {
                refuses::<C>(*kind, bytes, Check::Malformed, kind.name());
            }
            for bytes in [&[][..], &[1]] {
                refuses::<C>(*kind, bytes, Check::Malformed, C::present(*kind));
            }
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// S-35
#[test]
fn every_other_version_is_refused() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            for version in [0, 2, 255] {
                let mut message = C::message(*kind);
                message[0] = version;
                refuses::<C>(*kind, &message, Check::Version, kind.name());
            }
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// S-36, S-37: a frame must name the channel's peer as sender and the victim as receiver.
#[test]
fn forged_senders_and_receivers_are_refused() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            let honest = C::message(*kind);
            for (place, index) in [0, 1, 2, 3, 255].into_iter().flat_map(|i| [(2, i), (3, i)]) {
                let mut message = honest.clone();
                message[place] = index;
                if message != honest {
                    refuses::<C>(*kind, &message, Check::Routing, kind.name());
                }
            }
            let own = C::record()[&(*kind, id(1), id(C::PEER))].clone();
            refuses::<C>(*kind, &own, Check::Routing, kind.name());
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// A type that the ceremony does not have, in a message that is as long as one that it has.
#[test]
fn types_that_take_no_part_are_refused() {
    fn all<C: Ceremony>(others: &[Kind]) {
        for kind in C::KINDS {
            let strange = [0, 0x21, 255];
            for tag in strange.into_iter().chain(others.iter().map(|other| other.tag())) {
                let mut message = C::message(*kind);
                message[1] = tag;
                refuses::<C>(*kind, &message, Check::Routing, C::present(*kind));
            }
        }
    }
    all::<Keygen>(&SIGN);
    all::<Signing>(&KEYGEN);
}

/// A message under the type of another has the wrong length for it: no two types have one length.
#[test]
fn a_message_under_the_type_of_another_is_malformed() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            for other in C::KINDS.iter().filter(|other| *other != kind) {
                let mut message = C::message(*kind);
                message[1] = other.tag();
                let mut victim = C::before(*kind);
                victim.hear(id(C::PEER), &message);
                let fault = Fault::by(id(C::PEER), Check::Malformed, other.name());
                assert_eq!(victim.fault(), Some(fault));
                victim.keeps_its_contract();
            }
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

#[test]
fn another_session_id_is_another_session() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            for place in [4, 20, 35] {
                let mut message = C::message(*kind);
                message[place] ^= 0x80;
                refuses::<C>(*kind, &message, Check::Session, kind.name());
            }
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// S-31: whether the round goes on meanwhile or not. The last message of all comes after the end.
#[test]
fn a_second_message_of_one_type_is_a_duplicate() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            let mut victim = C::before(*kind);
            victim.hear(id(C::PEER), &C::message(*kind));
            victim.hear(id(C::PEER), &C::message(*kind));
            if Some(kind) == C::KINDS.last() {
                assert!(victim.done().is_some());
            } else {
                let duplicate = Fault::by(id(C::PEER), Check::Duplicate, kind.name());
                assert_eq!(victim.fault(), Some(duplicate));
            }
            victim.keeps_its_contract();
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// S-32
#[test]
fn a_message_that_does_not_come_is_missing() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS {
            let mut victim = C::before(*kind);
            for other in C::KINDS.iter().filter(|k| k.round() == kind.round() && *k != kind) {
                victim.hear(id(C::PEER), &C::message(*other));
            }
            victim.wait();
            victim.stopped(Fault::by(id(C::PEER), Check::Missing, kind.name()));
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// S-46: other parties of the key, numbers of no party, and the victim itself.
#[test]
fn whoever_takes_no_part_is_not_listened_to() {
    fn all<C: Ceremony>(strangers: &[u8]) {
        for kind in C::KINDS {
            for stranger in strangers {
                let mut message = C::message(*kind);
                message[2] = *stranger;
                let mut victim = C::before(*kind);
                victim.hear(id(*stranger), &message);
                victim.stopped(Fault::by(id(*stranger), Check::UnexpectedSender, kind.name()));
            }
        }
    }
    all::<Keygen>(&[1, 3, 16]);
    all::<Signing>(&[1, 2, 16]);
}

/// A party that is ahead of the others may send each later message early, once.
#[test]
fn messages_ahead_of_their_round_are_kept_and_taken_once() {
    fn all<C: Ceremony>() {
        let mut victim = C::victim();
        for kind in C::KINDS.iter().rev() {
            victim.hear(id(C::PEER), &C::message(*kind));
        }
        assert!(victim.done().is_some(), "{:?}", victim.fault());
        victim.keeps_its_contract();
        for kind in C::KINDS.iter().filter(|kind| kind.round() > 1) {
            let mut victim = C::victim();
            victim.hear(id(C::PEER), &C::message(*kind));
            assert!(victim.fault().is_none());
            victim.hear(id(C::PEER), &C::message(*kind));
            let duplicate = Fault::by(id(C::PEER), Check::Duplicate, kind.name());
            assert_eq!(victim.fault(), Some(duplicate));
            victim.keeps_its_contract();
        }
    }
    all::<Keygen>();
    all::<Signing>();
}

/// The frame of an early message is checked on arrival, and its session, which may be unknown then,
/// when its round begins.
#[test]
fn messages_ahead_of_their_round_are_checked_like_others() {
    fn all<C: Ceremony>() {
        for kind in C::KINDS.iter().filter(|kind| kind.round() > 1) {
            let mut early = C::message(*kind);
            early.push(0);
            let mut victim = C::victim();
            victim.hear(id(C::PEER), &early);
            let malformed = Fault::by(id(C::PEER), Check::Malformed, kind.name());
            assert_eq!(victim.fault(), Some(malformed));

            let mut early = C::message(*kind);
            early[4] ^= 1;
            let mut victim = C::victim();
            victim.hear(id(C::PEER), &early);
            for earlier in C::KINDS.iter().filter(|k| k.round() < kind.round()) {
                assert!(victim.fault().is_none());
                victim.hear(id(C::PEER), &C::message(*earlier));
            }
            let session = Fault::by(id(C::PEER), Check::Session, kind.name());
            assert_eq!(victim.fault(), Some(session));
            victim.keeps_its_contract();
        }
    }
    all::<Keygen>();
    all::<Signing>();
}
