//! Pairing of a group: 2 to 8 devices compute six digits, the same on every screen, and one
//! comparison pairs every two of them.
//!
//! ```text
//! L    = kept ; fp_1 ; name_1 ; .. ; fp_m ; name_m          fingerprints ascending
//! T    = SHA256("cosign/pair-group/v1" ; L)
//! i -> all : h_i = SHA256("yes" ; Y_i),  c_i = HMAC(N_i, "commit" ; T ; fp_i ; h_i)
//! i -> all : N_i                                            once all m pairs (c, h) are there
//! K    = HMAC(N_1 || .. || N_m, "key" ; T ; c_1 ; h_1 ; .. ; c_m ; h_m)
//! code = first 8 bytes of HMAC(K, "code"), big-endian, mod 10^6
//! i -> all : Y_i                                            after the local yes
//! ```
//!
//! `;` puts every part behind its length; HMAC is HMAC-SHA256. `N_i` and `Y_i` are 32 fresh random
//! bytes. Who carries the messages does not matter: what a device did not receive as the others did
//! gives it other digits. A device opens its nonce only when everything else that its code depends
//! on is fixed, so whatever the other `m - 1` do, its code is one of a million by chance. `K` is
//! known to all members, so a yes is the opening of a hash that is part of the code: nobody can say
//! it for another one.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Code, mac};
use crate::crypto::transcript::length_prefixed;
use crate::device::Fingerprint;
use crate::secret::Secret;

/// The fewest devices of a group.
pub const FEWEST: usize = 2;
/// The most devices of a group: more are not compared at a glance.
pub const MOST: usize = 8;

/// A device of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its name for itself, as all devices show it.
    pub name: Vec<u8>,
}

/// Why the pairing of a group failed. Members are counted from 0, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// The list has fewer than [`FEWEST`] or more than [`MOST`] devices, or is not in ascending
    /// order of different fingerprints.
    List,
    /// This device is not in the list.
    NotAMember,
    /// There are not as many values as members.
    Count,
    /// The commitment of this device is not the one that it made.
    OwnCommitment,
    /// The opening of this member does not fit its commitment.
    Opening {
        /// The member.
        member: usize,
    },
    /// The yes is not that of this member, or there is no such member.
    Yes {
        /// The member.
        member: usize,
    },
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "the list of the group is not one",
            Self::NotAMember => "this device is not in the list of the group",
            Self::Count => "not every member of the group has one value",
            Self::OwnCommitment => "this device's commitment was altered",
            Self::Opening { .. } => "a nonce does not fit its commitment",
            Self::Yes { .. } => "a yes is not that of its member",
        })
    }
}

impl std::error::Error for GroupError {}

/// The devices of a group, in the one order that all have, and whether the pairings are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    members: Vec<Member>,
    kept: bool,
}

impl Roster {
    /// The group of `members`. `kept`: whether every two keep the pairing until it is forgotten.
    ///
    /// # Errors
    /// [`GroupError::List`].
    pub fn new(members: Vec<Member>, kept: bool) -> Result<Self, GroupError> {
        let ascending = members.windows(2).all(|two| match two {
            [one, next] => one.fingerprint < next.fingerprint,
            _ => false,
        });
        if !(FEWEST..=MOST).contains(&members.len()) || !ascending {
            return Err(GroupError::List);
        }
        Ok(Self { members, kept })
    }

    /// The devices, by ascending fingerprint.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether every two keep the pairing until it is forgotten.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// The place of the device with this fingerprint.
    pub fn place_of(&self, fingerprint: &Fingerprint) -> Option<usize> {
        self.members.iter().position(|member| member.fingerprint == *fingerprint)
    }

    fn transcript(&self) -> [u8; 32] {
        let kept = [u8::from(self.kept)];
        let mut parts: Vec<&[u8]> = vec![LABEL, &kept];
        for member in &self.members {
            parts.extend([member.fingerprint.as_bytes().as_slice(), &member.name]);
        }
        Sha256::digest(length_prefixed(&parts)).into()
    }
}

/// What a member sends before any nonce is opened: 32 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// `c_i`, to its nonce.
    pub nonce: [u8; 32],
    /// `h_i`, to its yes.
    pub yes: [u8; 32],
}

/// A member that has committed.
#[derive(Debug)]
pub struct Committed {
    roster: Roster,
    transcript: [u8; 32],
    me: usize,
    commitment: Commitment,
    nonce: Secret<[u8; 32]>,
    yes: Secret<[u8; 32]>,
}

impl Committed {
    /// Starts for the device `me`; `nonce` and `yes` are 32 fresh random bytes each. Returns what
    /// all others have to get.
    ///
    /// # Errors
    /// [`GroupError::NotAMember`].
    pub fn start(
        roster: Roster,
        me: &Fingerprint,
        nonce: Secret<[u8; 32]>,
        yes: Secret<[u8; 32]>,
    ) -> Result<(Self, Commitment), GroupError> {
        let place = roster.place_of(me).ok_or(GroupError::NotAMember)?;
        let transcript = roster.transcript();
        let yes_hash = hash_of_yes(yes.expose());
        let commitment = Commitment {
            nonce: commitment(&transcript, me, &yes_hash, nonce.expose()),
            yes: yes_hash,
        };
        Ok((Self { roster, transcript, me: place, commitment, nonce, yes }, commitment))
    }

    /// Takes the commitments of all members, in their order, this device's too. Returns the
    /// opening, 32 bytes that all others have to get.
    ///
    /// # Errors
    /// [`GroupError::Count`], [`GroupError::OwnCommitment`]. This device's nonce stays unknown then.
    pub fn open(self, all: Vec<Commitment>) -> Result<(Opened, [u8; 32]), GroupError> {
        if all.len() != self.roster.members.len() {
            return Err(GroupError::Count);
        }
        if all.get(self.me) != Some(&self.commitment) {
            return Err(GroupError::OwnCommitment);
        }
        let Self { roster, transcript, me, nonce, yes, .. } = self;
        let opening = *nonce.expose();
        Ok((Opened { roster, transcript, me, all, opening, yes }, opening))
    }
}

/// A member that has opened its nonce.
#[derive(Debug)]
pub struct Opened {
    roster: Roster,
    transcript: [u8; 32],
    me: usize,
    all: Vec<Commitment>,
    opening: [u8; 32],
    yes: Secret<[u8; 32]>,
}

impl Opened {
    /// Takes the openings of all members, in their order, this device's too.
    ///
    /// # Errors
    /// [`GroupError::Count`], [`GroupError::Opening`]. There is no code then.
    pub fn compare(self, openings: &[[u8; 32]]) -> Result<Compare, GroupError> {
        let Self { roster, transcript, me, all, opening, yes } = self;
        if openings.len() != all.len() {
            return Err(GroupError::Count);
        }
        if openings.get(me) != Some(&opening) {
            return Err(GroupError::Opening { member: me });
        }
        let opened = roster.members.iter().zip(&all).zip(openings).enumerate();
        for (place, ((member, committed), opening)) in opened {
            let made = commitment(&transcript, &member.fingerprint, &committed.yes, opening);
            if !bool::from(made.ct_eq(&committed.nonce)) {
                return Err(GroupError::Opening { member: place });
            }
        }
        let mut parts: Vec<&[u8]> = vec![b"key", &transcript];
        for Commitment { nonce, yes } in &all {
            parts.extend([nonce.as_slice(), yes]);
        }
        let nonces = Zeroizing::new(openings.concat());
        let key = Secret::new(mac(&nonces, &parts));
        let said = vec![false; all.len()];
        Ok(Compare { roster, me, all, key, yes, said })
    }
}

/// There is a code to compare. Dropping this refuses.
#[derive(Debug)]
pub struct Compare {
    roster: Roster,
    me: usize,
    all: Vec<Commitment>,
    key: Secret<[u8; 32]>,
    yes: Secret<[u8; 32]>,
    /// Which members have said yes.
    said: Vec<bool>,
}

impl Compare {
    /// The digits that all screens show.
    pub fn code(&self) -> Code {
        Code::of(&self.key)
    }

    /// The group.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Takes the yes of a member, which may come before that of this device. Returns whether it is the first of
    /// that member: a repeated one says nothing new, and is not to be passed on.
    ///
    /// # Errors
    /// [`GroupError::Yes`].
    pub fn heard(&mut self, member: usize, yes: &[u8; 32]) -> Result<bool, GroupError> {
        hear(&self.all, &mut self.said, member, yes)
    }

    /// The person at this device confirmed the code. Returns the yes, 32 bytes that all others have
    /// to get.
    pub fn confirm(self) -> (Confirmed, [u8; 32]) {
        let Self { roster, me, all, mut said, yes, .. } = self;
        if let Some(own) = said.get_mut(me) {
            *own = true;
        }
        (Confirmed { roster, all, said }, *yes.expose())
    }
}

/// The person at this device has confirmed; others may not have.
#[derive(Debug)]
pub struct Confirmed {
    roster: Roster,
    all: Vec<Commitment>,
    said: Vec<bool>,
}

impl Confirmed {
    /// Takes the yes of a member. Returns whether it is the first of that member.
    ///
    /// # Errors
    /// [`GroupError::Yes`].
    pub fn heard(&mut self, member: usize, yes: &[u8; 32]) -> Result<bool, GroupError> {
        hear(&self.all, &mut self.said, member, yes)
    }

    /// The places of those who have not said yes.
    pub fn awaited(&self) -> Vec<usize> {
        let places = self.said.iter().enumerate();
        places.filter(|(_, said)| !**said).map(|(place, _)| place).collect()
    }

    /// The group, once everybody has said yes; this value again before.
    ///
    /// # Errors
    /// Somebody is awaited.
    pub fn finish(self) -> Result<PairedGroup, Self> {
        match self.said.iter().all(|said| *said) {
            true => Ok(PairedGroup { roster: self.roster }),
            false => Err(self),
        }
    }
}

/// All people have compared and confirmed the code.
#[derive(Debug)]
pub struct PairedGroup {
    roster: Roster,
}

impl PairedGroup {
    /// The group, this device included.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }
}

fn hear(
    all: &[Commitment],
    said: &mut [bool],
    member: usize,
    yes: &[u8; 32],
) -> Result<bool, GroupError> {
    let wrong = GroupError::Yes { member };
    let (committed, said) = all.get(member).zip(said.get_mut(member)).ok_or(wrong)?;
    if !bool::from(hash_of_yes(yes).ct_eq(&committed.yes)) {
        return Err(wrong);
    }
    Ok(!std::mem::replace(said, true))
}

fn hash_of_yes(yes: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(length_prefixed(&[b"yes", yes])).into()
}

fn commitment(
    transcript: &[u8; 32],
    member: &Fingerprint,
    yes_hash: &[u8; 32],
    nonce: &[u8; 32],
) -> [u8; 32] {
    mac(nonce, &[b"commit", transcript, member.as_bytes(), yes_hash])
}

const LABEL: &[u8] = b"cosign/pair-group/v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hex;

    fn member(byte: u8) -> Member {
        let name = format!("device {byte}");
        Member { fingerprint: Fingerprint::new([byte; 32]), name: name.into_bytes() }
    }

    fn roster(bytes: &[u8]) -> Roster {
        Roster::new(bytes.iter().map(|byte| member(*byte)).collect(), false).unwrap()
    }

    /// The device `byte` in `roster`, with a nonce and a yes that follow from `byte` and `salt`.
    fn start(roster: &Roster, byte: u8, salt: u8) -> (Committed, Commitment) {
        let [nonce, yes] =
            [salt, salt ^ 0xff].map(|fill| Secret::new([fill.wrapping_add(byte); 32]));
        Committed::start(roster.clone(), &Fingerprint::new([byte; 32]), nonce, yes).unwrap()
    }

    /// Everybody is honest, up to the codes.
    fn compared(bytes: &[u8]) -> Vec<Compare> {
        let roster = roster(bytes);
        let (committed, all): (Vec<_>, Vec<_>) =
            bytes.iter().map(|byte| start(&roster, *byte, 0x40)).unzip();
        let (opened, openings): (Vec<_>, Vec<_>) =
            committed.into_iter().map(|one| one.open(all.clone()).unwrap()).unzip();
        opened.into_iter().map(|one| one.compare(&openings).unwrap()).collect()
    }

    #[test]
    fn every_value_matches_the_known_answers() {
        let three = roster(&[1, 2, 3]);
        assert_eq!(
            hex(&three.transcript()),
            "a61de67eead5629334b5c1f2d57b58a5a56a4eadad72fcba63c68753ec1fd32e"
        );
        let (_, Commitment { nonce, yes }) = start(&three, 2, 0x40);
        assert_eq!(hex(&nonce), "4b6c6d499fd1333628b4453cb7cc8dba6e8adab657ff31e1bdcc76c07506d734");
        assert_eq!(hex(&yes), "95f7ae19fb196cae12678fd045cd3715ad8b70cc86cc6a21bee7d06b7fb81256");
        let codes: Vec<String> =
            compared(&[1, 2, 3]).iter().map(|one| one.code().to_string()).collect();
        assert_eq!(codes, ["808 192"; 3]);
    }

    #[test]
    fn groups_of_every_size_see_one_code_and_are_paired_by_one_yes_each() {
        for size in FEWEST..=MOST {
            let bytes: Vec<u8> = (1..=8).take(size).collect();
            let all = compared(&bytes);
            let code = all[0].code();
            assert!(all.iter().all(|one| one.code() == code), "{size}");
            let (confirmed, said): (Vec<_>, Vec<_>) = all.into_iter().map(Compare::confirm).unzip();
            for (me, mut one) in confirmed.into_iter().enumerate() {
                for (place, yes) in said.iter().enumerate().filter(|(place, _)| *place != me) {
                    one = one.finish().unwrap_err();
                    assert!(one.awaited().contains(&place));
                    one.heard(place, yes).unwrap();
                }
                assert_eq!(one.finish().unwrap().roster(), &roster(&bytes));
            }
        }
    }

    #[test]
    fn lists_that_two_devices_could_read_differently_are_refused() {
        let list = |bytes: &[u8]| {
            Roster::new(bytes.iter().map(|byte| member(*byte)).collect(), false).err()
        };
        for wrong in [&[][..], &[1], &[2, 1], &[1, 1], &[1, 3, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            assert_eq!(list(wrong), Some(GroupError::List), "{wrong:?}");
        }
        assert_eq!(list(&[1, 2, 3, 4, 5, 6, 7, 8]), None);
        let [nonce, yes] = [1, 2].map(|fill| Secret::new([fill; 32]));
        let outside = Committed::start(roster(&[1, 2]), &Fingerprint::new([3; 32]), nonce, yes);
        assert_eq!(outside.err(), Some(GroupError::NotAMember));
    }

    #[test]
    fn a_nonce_stays_closed_until_every_commitment_is_there() {
        let three = roster(&[1, 2, 3]);
        let all = [1, 2, 3].map(|byte| start(&three, byte, 0).1);
        let mine = || start(&three, 2, 0).0;
        assert_eq!(mine().open(all[..2].to_vec()).err(), Some(GroupError::Count));
        assert_eq!(mine().open([&all[..], &all[..1]].concat()).err(), Some(GroupError::Count));
        let (mut other, mut swapped) = (all.to_vec(), all.to_vec());
        other[1].yes[0] ^= 1;
        swapped.swap(1, 2);
        for wrong in [other, swapped] {
            assert_eq!(mine().open(wrong).err(), Some(GroupError::OwnCommitment));
        }
        assert!(mine().open(all.to_vec()).is_ok());
    }

    #[test]
    fn an_opening_that_was_not_committed_to_shows_no_code() {
        let three = roster(&[1, 2, 3]);
        let (committed, all): (Vec<_>, Vec<_>) =
            [1, 2, 3].iter().map(|byte| start(&three, *byte, 0)).unzip();
        let openings: Vec<[u8; 32]> =
            committed.into_iter().map(|one| one.open(all.clone()).unwrap().1).collect();
        let mine = || start(&three, 2, 0).0.open(all.clone()).unwrap().0;
        assert!(mine().compare(&openings).is_ok());
        assert_eq!(mine().compare(&openings[..2]).err(), Some(GroupError::Count));
        for place in 0..3 {
            for bit in [0, 100, 255] {
                let mut wrong = openings.clone();
                wrong[place][bit / 8] ^= 1 << (bit % 8);
                let refused = mine().compare(&wrong).err();
                assert_eq!(refused, Some(GroupError::Opening { member: place }));
            }
        }
    }

    #[test]
    fn a_commitment_is_good_for_its_member_and_list_alone() {
        // Device 3 repeats what device 1 has sent, and later its opening.
        let three = roster(&[1, 2, 3]);
        let (one, of_one) = start(&three, 1, 0);
        let (two, of_two) = start(&three, 2, 0);
        let all = vec![of_one, of_two, of_one];
        let openings = [one.open(all.clone()).unwrap().1, [2; 32]];
        let (two, own) = two.open(all).unwrap();
        let refused = two.compare(&[openings[0], own, openings[0]]).err();
        assert_eq!(refused, Some(GroupError::Opening { member: 2 }));
        // What was made for another list does not open in this one.
        let kept = Roster::new(three.members().to_vec(), true).unwrap();
        let mut renamed = three.members().to_vec();
        renamed[2].name = b"eve".to_vec();
        for other in [kept, roster(&[1, 2, 4]), Roster::new(renamed, false).unwrap()] {
            let (one, of_one) = start(&other, 1, 0);
            let all = vec![of_one, start(&three, 2, 0).1, start(&three, 3, 0).1];
            let (two, own) = start(&three, 2, 0).0.open(all.clone()).unwrap();
            let opened = one.open(vec![of_one; other.members().len()]).unwrap().1;
            let refused = two.compare(&[opened, own, [3; 32]]).err();
            assert_eq!(refused, Some(GroupError::Opening { member: 0 }));
        }
    }

    /// Devices 1 and 2 are honest, and all that they hear comes from somebody in between, with `his`
    /// fingerprints in place of the other's.
    #[test]
    fn a_man_in_the_middle_shows_different_codes() {
        let (with_one, with_two) = (roster(&[1, 9]), roster(&[2, 9]));
        let see = |list: &Roster, honest: u8| {
            let (mine, own) = start(list, honest, 0);
            let (his, of_him) = start(list, 9, 0x70);
            let all = vec![own, of_him];
            let (mine, opening) = mine.open(all.clone()).unwrap();
            let (_, of_him) = his.open(all).unwrap();
            mine.compare(&[opening, of_him]).unwrap().code()
        };
        assert_ne!(see(&with_one, 1), see(&with_two, 2));
    }

    #[test]
    fn other_commitments_of_one_member_give_other_codes() {
        // Device 3 shows one commitment to device 1 and another one to device 2.
        let three = roster(&[1, 2, 3]);
        let see = |honest: u8, salt| {
            let (mine, _) = start(&three, honest, 0);
            let all = vec![start(&three, 1, 0).1, start(&three, 2, 0).1, start(&three, 3, salt).1];
            let openings: Vec<[u8; 32]> = [(1, 0), (2, 0), (3, salt)]
                .map(|(byte, salt)| start(&three, byte, salt).0.open(all.clone()).unwrap().1)
                .into();
            mine.open(all.clone()).unwrap().0.compare(&openings).unwrap().code()
        };
        assert_eq!(see(1, 0), see(2, 0));
        assert_ne!(see(1, 0), see(2, 0x30));
    }

    #[test]
    fn nobody_says_yes_for_another_member() {
        let said: Vec<[u8; 32]> =
            compared(&[1, 2, 3]).into_iter().map(|one| one.confirm().1).collect();
        let mut all = compared(&[1, 2, 3]);
        for (member, wrong) in [(1, said[0]), (1, said[2]), (1, [0; 32]), (3, said[1])] {
            assert_eq!(all[0].heard(member, &wrong), Err(GroupError::Yes { member }));
        }
        let (mut confirmed, _) = all.remove(0).confirm();
        let mut altered = said[1];
        altered[31] ^= 1;
        assert_eq!(confirmed.heard(1, &altered), Err(GroupError::Yes { member: 1 }));
        assert_eq!(confirmed.awaited(), [1, 2]);
        assert_eq!(confirmed.heard(1, &said[1]), Ok(true));
        // Said twice, it is one yes.
        assert_eq!(confirmed.heard(1, &said[1]), Ok(false));
        assert_eq!(confirmed.finish().unwrap_err().awaited(), [2]);
    }

    #[test]
    fn a_yes_of_before_the_own_one_counts() {
        let said: Vec<[u8; 32]> =
            compared(&[1, 2]).into_iter().map(|one| one.confirm().1).collect();
        let mut mine = compared(&[1, 2]).remove(0);
        mine.heard(1, &said[1]).unwrap();
        assert!(mine.confirm().0.finish().is_ok());
    }
}
