//! The content of a backup: one share of one key, without what signs, and the device that it belongs to.
//!
//! It is text, so that whoever opens it with `age -d` can read what it is; docs/backup.md has the format. A
//! backup that reads is the only encoding of what it says.

use std::fmt::Write as _;

use crate::device::{Fingerprint, Label, unhex};
use crate::driver::error::Error;
use crate::driver::on_curve::{Share, Statements};
use crate::driver::records;
use crate::net::tls::Device;
use crate::party::PartyId;
use crate::request::is_name;
use crate::secret::Secret;
use crate::vault::keys::{self, MeetingSecret};
use crate::vault::{self, DeviceInfo, KeyRecord, KeyState, PartyRecord, Vault};

/// What a backup holds.
#[derive(Debug)]
pub struct Backup {
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// The record of the key.
    pub record: KeyRecord,
    /// The device's name.
    pub name: String,
    /// The device.
    pub device: Device,
    /// The share, without what signs.
    pub share: Share,
    /// What the confirmations of its epoch are checked against.
    confirmation: Statements,
    /// By these this device and each other party find each other at a relay.
    meeting: Vec<MeetingSecret>,
}

/// Why a text is no backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has a format of a later version.
    Later(u64),
    /// It is something else, or does not fit together.
    Broken,
}

impl Backup {
    /// The backup of a key's active epoch, made at `now`.
    ///
    /// # Errors
    /// The key was never finished, newer shares of it are not confirmed by all, or it was restored
    /// itself; the vault cannot be read.
    pub fn of(vault: &Vault, name: &str, now: i64) -> Result<Self, Error> {
        let home = vault.home();
        let record = records::active(home, name)?;
        // The others may have destroyed the shares that go with the active ones.
        let newest = records::held(home, name)?.into_iter().next();
        let is_newest = newest.is_some_and(|newest| newest.epoch == record.epoch);
        if !is_newest || !keys::leaving(home, name)?.is_empty() {
            return Err(Error::Unsettled(name.to_owned()));
        }
        let share = records::share(vault, &record)?;
        if !share.can_sign() {
            return Err(Error::Restored(name.to_owned()));
        }
        let DeviceInfo { name, certificate, .. } = Vault::device(home)?;
        let device =
            Device::from_parts(certificate, vault.device_key()?).map_err(Error::DeviceKey)?;
        let damaged = || Error::DamagedShare(record.name.clone());
        let confirmation = keys::confirmation(home, &record.name, &record.epoch)?;
        let confirmation =
            Statements::from_bytes(record.curve, &confirmation).ok_or_else(damaged)?;
        let others = record.parties.iter().filter(|party| party.index != record.me);
        let meeting = others
            .map(|party| Some((party.index, share.meeting_secret(party.index)?)))
            .collect::<Option<_>>()
            .ok_or_else(damaged)?;
        Ok(Self { made: now, record, name, device, share, confirmation, meeting })
    }

    /// The text.
    pub fn to_text(&self) -> Secret<Vec<u8>> {
        let Self { made, record, name, device, share, confirmation, meeting } = self;
        let mut text = Secret::new(String::with_capacity(ROOM));
        let out = text.expose_mut();
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = out.write_fmt(line);
            out.push('\n');
        };
        line(format_args!("{TITLE}{FORMAT}"));
        line(format_args!("made {made}"));
        line(format_args!("key {}", record.name));
        line(format_args!("generation {}", record.generation));
        line(format_args!("created {}", record.created));
        line(format_args!("device {name}"));
        for PartyRecord { index, name, fingerprint } in &record.parties {
            line(format_args!("party {index} {} {name}", fingerprint.to_hex()));
        }
        for (index, secret) in meeting {
            line(format_args!("meeting {index} {}", Digits(secret.expose())));
        }
        line(format_args!("confirmation {}", Digits(&confirmation.to_bytes())));
        line(format_args!("certificate {}", Digits(&device.certificate)));
        line(format_args!("device-key {}", Digits(device.key.expose())));
        line(format_args!("share {}", Digits(share.to_backup().expose())));
        Secret::new(std::mem::take(text.expose_mut()).into_bytes())
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It is no backup, or its parts do not fit together: the secret share has another public one,
    /// the device is not the party that it must be.
    pub fn from_text(text: &Secret<Vec<u8>>) -> Result<Self, Unreadable> {
        let found = std::str::from_utf8(text.expose()).map_err(|_| Unreadable::Broken)?;
        let rest = found.strip_prefix(TITLE).ok_or(Unreadable::Broken)?;
        let format = rest.split('\n').next().and_then(|number| number.parse().ok());
        match format {
            Some(FORMAT) => {}
            Some(later) if later > FORMAT => return Err(Unreadable::Later(later)),
            _ => return Err(Unreadable::Broken),
        }
        let backup = Self::read(found).ok_or(Unreadable::Broken)?;
        match backup.to_text().expose() == text.expose() {
            true => Ok(backup),
            false => Err(Unreadable::Broken),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1).peekable();
        let mut of = |word: &str| {
            let line = lines.next_if(|line| is_of(line, word))?;
            line.strip_prefix(word)?.strip_prefix(' ')
        };
        let made = of("made")?.parse().ok()?;
        let key = of("key").filter(|name| is_name(name))?.to_owned();
        let generation = of("generation")?.parse().ok()?;
        let created = of("created")?.parse().ok()?;
        let name = of("device").filter(|name| Vault::check_name(name).is_ok())?.to_owned();
        let mut parties = Vec::new();
        while let Some(line) = of("party") {
            parties.push(party(line)?);
        }
        let mut meeting = Vec::new();
        while let Some(line) = of("meeting") {
            let (index, secret) = line.split_once(' ')?;
            let secret = Secret::new(*digits(secret)?.expose().as_slice().first_chunk()?);
            meeting.push((PartyId::new(index.parse().ok()?)?, secret));
        }
        let confirmation = unhex(of("confirmation")?)?;
        let certificate = unhex(of("certificate")?)?;
        let device = Device::from_parts(certificate, digits(of("device-key")?)?).ok()?;
        let share = Share::from_bytes(digits(of("share")?)?.expose())?;
        let confirmation = Statements::from_bytes(share.curve(), &confirmation)?;
        let record = KeyRecord {
            name: key,
            curve: share.curve(),
            public_key: share.public_key_bytes(),
            threshold: share.threshold(),
            me: share.me(),
            parties,
            epoch: *share.epoch(),
            generation,
            created,
            state: KeyState::Active,
            restored: true,
        };
        let backup = Self { made, record, name, device, share, confirmation, meeting };
        backup.fits().then_some(backup)
    }

    /// Whether its parts belong together.
    fn fits(&self) -> bool {
        let Self { record, device, share, confirmation, meeting, .. } = self;
        let identities = record.parties.iter().map(|party| party.fingerprint.as_bytes().as_slice());
        let own = record.parties.iter().find(|party| party.index == record.me);
        let indices = || PartyId::all(share.count());
        share.identities().iter().map(Vec::as_slice).eq(identities)
            && indices().eq(record.parties.iter().map(|party| party.index))
            && indices()
                .filter(|index| *index != record.me)
                .eq(meeting.iter().map(|(index, _)| *index))
            && own.is_some_and(|own| own.fingerprint == device.fingerprint)
            && *confirmation.epoch() == record.epoch
            && confirmation.me() == record.me
            && confirmation.peers().len() == meeting.len()
    }

    /// What the vault of a new device is made of.
    pub fn info(&self, now: i64) -> DeviceInfo {
        DeviceInfo {
            name: self.name.clone(),
            fingerprint: self.device.fingerprint,
            certificate: self.device.certificate.clone(),
            created: now,
        }
    }

    /// Stores the share in the vault of this device. It signs after a refresh.
    ///
    /// # Errors
    /// The key is there already.
    pub fn restore(&self, vault: &Vault) -> Result<(), vault::Error> {
        let (share, confirmation) = (self.share.to_backup(), self.confirmation.to_bytes());
        vault.restore(&self.record, &share, &confirmation, &self.meeting)
    }
}

/// A secret from its digits, in one allocation.
fn digits(text: &str) -> Option<Secret<Vec<u8>>> {
    let mut bytes = Secret::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        bytes.expose_mut().push(u8::from_str_radix(pair, 16).ok()?);
    }
    Some(bytes)
}

fn is_of(line: &str, word: &str) -> bool {
    line.strip_prefix(word).is_some_and(|rest| rest.starts_with(' '))
}

fn party(line: &str) -> Option<PartyRecord> {
    let (index, rest) = line.split_once(' ')?;
    let (fingerprint, name) = rest.split_once(' ')?;
    let fingerprint: [u8; 32] = unhex(fingerprint)?.try_into().ok()?;
    (Label::new(name).as_str() == name).then_some(())?;
    Some(PartyRecord {
        index: PartyId::new(index.parse().ok()?)?,
        name: name.to_owned(),
        fingerprint: Fingerprint::new(fingerprint),
    })
}

/// Bytes in hexadecimal, written without a copy of them in between.
struct Digits<'a>(&'a [u8]);

impl std::fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const TITLE: &str = "cosign-backup/";
/// The format that is written, and the latest that is read.
const FORMAT: u64 = 1;
/// More than a backup of 16 parties with the longest names needs, so that no copy of a secret stays behind
/// where the text grows.
const ROOM: usize = 1 << 16;
