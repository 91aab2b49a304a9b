//! `cosign keys backup`, `keys verify-backup` and `keys restore`

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::args::{BackupArgs, BackupFileArgs, BackupOpener, RestoreArgs};
use super::ceremony::{key, unopened};
use super::given::given;
use super::runtime::ask;
use super::{Global, Output, passphrase, unlock};
use crate::device::hex;
use crate::driver::backup::{Backup, Unreadable};
use crate::driver::clock;
use crate::report::{Code, Failure, here};
use crate::secret::Secret;
use crate::vault::backup::{Found, Opener, Protection, check_recipients, write};
use crate::vault::{Entry, Error, Home, KeyRecord, KeyState, Log, Unopened, Vault, deleted, keys};

/// The ceremony of a backup in the log.
const BACKUP: &str = "backup";

/// How often a person may try a passphrase.
const TRIES: usize = 3;

/// `cosign keys backup`
pub(super) fn run_backup(global: &Global, args: BackupArgs) -> Result<Output, Failure> {
    let BackupArgs { name, output, recipient, backup_passphrase_file } = args;
    check_recipients(&recipient)?;
    is_free(&output)?;
    let given = given(global, "backup passphrase", None, backup_passphrase_file.as_deref())?;
    if given.is_none() && recipient.is_empty() && !global.prompter.can_ask() {
        return Err(Failure::new(Code::Interaction, "a backup needs a passphrase of its own")
            .hint("use --backup-passphrase-file FILE, or --recipient AGE"));
    }
    let home = unopened(global)?;
    let (backup, vault, protection) = ask(async {
        let name = key(global, &home, name.as_deref(), "NAME").await?.name;
        let (_, vault) = unlock::open_naming(global).await?;
        let backup = Backup::of(&vault, &name, clock::unix_now())?;
        let protection = match recipient.is_empty() {
            true => Protection::Passphrase(passphrase::new(global, given, "this backup").await?),
            false => Protection::Recipients(recipient),
        };
        Ok((backup, vault, protection))
    })?;
    let made = clock::rfc3339(backup.made);
    write(&output, &backup.to_text(), &protection, &made)?;
    log(global, vault.home(), &backup, BACKUP, "written");
    let (record, file) = (&backup.record, output.display().to_string());
    let result = json!({
        "key": record.name,
        "public_key": hex(&record.public_key),
        "epoch": hex(&record.epoch),
        "generation": record.generation,
        "made": made,
        "file": file,
    });
    let text = format!(
        "key {:?} is backed up in {file}, as of generation {}\nnext: put it where this device is not, and \
         look at it now and then: {}",
        record.name,
        record.generation,
        here(&["keys", "verify-backup"], &[&file])
    );
    Output::new(result, text)
}

/// What a backup is to this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// This device does not have the key.
    Absent,
    /// This device has had the key, and destroyed its share.
    Deleted,
    /// It is of an epoch that this device has.
    Current,
    /// This device has a later epoch.
    Older,
    /// This device has an earlier epoch only.
    Newer,
}

/// `cosign keys verify-backup`
pub(super) fn run_verify(global: &Global, args: &BackupFileArgs) -> Result<Output, Failure> {
    let backup = opened(global, &args.file, &args.opener)?;
    let (home, vault) = unlock::look(global)?;
    let record = &backup.record;
    let mut held = keys::list(&home)?;
    held.retain(|key| key.public_key == record.public_key);
    let active = held.iter().find(|key| key.state == KeyState::Active);
    // One that is not confirmed by all is what this device has, where it has no other.
    let newest = active.or_else(|| held.iter().max_by_key(|key| key.generation));
    let gone = deleted::here(&home, &record.public_key)?;
    let standing = match newest {
        _ if held.iter().any(|key| key.epoch == record.epoch) => Standing::Current,
        Some(newest) if record.generation > newest.generation => Standing::Newer,
        Some(_) => Standing::Older,
        None if gone.is_some() => Standing::Deleted,
        None => Standing::Absent,
    };
    let epoch = |key: &KeyRecord| format!("epoch {}, generation {}", short(key), key.generation);
    let verdict = match (standing, newest) {
        (Standing::Deleted, _) => format!(
            "would restore, and helps only if the others still have generation {}: this device destroyed its share \
             on {}",
            record.generation,
            clock::rfc3339(gone.map(|stone| stone.time).unwrap_or_default())
        ),
        (Standing::Absent, _) => "would restore; this device does not have the key".to_owned(),
        (Standing::Current, _) => "would restore; of the epoch that this device has".to_owned(),
        (Standing::Newer, _) => "would restore; newer than what this device has".to_owned(),
        (Standing::Older, newest) => format!(
            "worthless: older than what this device has ({}); enough of such still make the key: destroy it",
            newest.map(epoch).unwrap_or_default()
        ),
    };
    let text = format!(
        "key          {}\npublic key   {}\nsigners      {} of {}\ndevice       {:?}, party {}\n\
         made         {}\ngeneration   {} ({})\nverdict      {verdict}",
        record.name,
        hex(&record.public_key),
        record.threshold,
        record.parties.len(),
        backup.name,
        record.me,
        clock::rfc3339(backup.made),
        record.generation,
        short(record),
    );
    let parties = record
        .parties
        .iter()
        .map(|party| json!({ "name": party.name, "fingerprint": party.fingerprint.to_hex() }));
    let result = json!({
        "file": args.file.display().to_string(),
        "key": record.name,
        "public_key": hex(&record.public_key),
        "threshold": record.threshold,
        "parties": parties.collect::<Vec<_>>(),
        "index": record.me.get(),
        "device": backup.name,
        "epoch": hex(&record.epoch),
        "generation": record.generation,
        "made": clock::rfc3339(backup.made),
        "state": standing,
        "restores": standing != Standing::Older,
        "checked": vault.is_some(),
    });
    let output = Output::new(result, text)?;
    match (standing, newest) {
        (Standing::Older, Some(newest)) => {
            let failure = Failure::new(Code::Conflict, format!("this backup is {verdict}"));
            Ok(output.but(failure.hint(match newest.state {
                KeyState::Active => format!("{} makes one of now", command(newest)),
                KeyState::Pending => format!(
                    "{} finishes the key, which is backed up then",
                    here(&["keygen", "--key", &newest.name, "--resume"], &[])
                ),
            })))
        }
        _ => Ok(output),
    }
}

/// The command that backs up a key as it is now.
pub(super) fn command(key: &KeyRecord) -> String {
    let file = format!("{}-{}.backup", key.name, key.generation);
    here(&["keys", "backup", &key.name, "-o", &file], &[])
}

/// `cosign keys restore`
pub(super) fn run_restore(global: &Global, args: &RestoreArgs) -> Result<Output, Failure> {
    let RestoreArgs { backup: BackupFileArgs { file, opener }, recipient } = args;
    check_recipients(recipient)?;
    let home = super::given::home(global)?;
    let is_new = match Vault::lock(&home) {
        Err(Error::NoVault { .. }) => true,
        lock => lock.map(|_| false)?,
    };
    if !is_new && !recipient.is_empty() {
        return Err(Failure::new(
            Code::Usage,
            "--recipient is for a new vault, and there is one here",
        )
        .hint("restore without it: what opens the vault stays as it is"));
    }
    let backup = opened(global, file, opener)?;
    let name = backup.record.name.clone();
    if !is_new {
        // Looked at before the vault is opened, which takes a secret.
        is_same_device(&home, &backup)?;
        if keys::is_taken(&home, &name)? {
            return Err(Error::Conflict { what: "key", name }.into());
        }
    }
    let vault = ask(async {
        if !is_new {
            return Ok(unlock::open_naming(global).await?.1);
        }
        let seals = unlock::chosen_seals(global).await?;
        let info = backup.info(clock::unix_now());
        Ok(Vault::create(&home, &info, &backup.device.key, &seals, recipient)?)
    })?;
    is_same_device(vault.home(), &backup)?;
    backup.restore(&vault)?;
    log(global, vault.home(), &backup, "restore", "restored");
    let record = &backup.record;
    let result = json!({
        "key": name,
        "public_key": hex(&record.public_key),
        "device": backup.name,
        "epoch": hex(&record.epoch),
        "generation": record.generation,
        "made": clock::rfc3339(backup.made),
    });
    let text = format!(
        "this device is {:?} again, with its share of key {name:?} of {}\nnext: {} with all of its \
         devices; before that it signs nothing",
        backup.name,
        clock::rfc3339(backup.made),
        here(&["keys", "refresh"], &[&name])
    );
    Output::new(result, text)
}

/// Fails unless this device is the one that the backup is of.
fn is_same_device(home: &Home, backup: &Backup) -> Result<(), Failure> {
    let device = Vault::device(home)?;
    if device.fingerprint == backup.device.fingerprint {
        return Ok(());
    }
    let message = format!(
        "the backup is of another device than the one in {}: of {:?}, id {}",
        home.data.display(),
        backup.name,
        backup.device.fingerprint.device_id()
    );
    Err(Failure::new(Code::Conflict, message)
        .hint("nothing was overwritten; restore it into a home of its own, with --home DIR"))
}

/// Fails if there is something at `path` already, before anything is asked.
pub(super) fn is_free(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::Conflict { what: "file", name: path.display().to_string() }.into()),
        Err(_) => Ok(()),
    }
}

/// The backup in the file `path`.
fn opened(global: &Global, path: &Path, opener: &BackupOpener) -> Result<Backup, Failure> {
    let content = content(global, path, opener)?;
    Backup::from_text(&content).map_err(|error| unreadable(path, error))
}

/// The failure for a file that opens and is not understood.
pub(super) fn unreadable(path: &Path, error: Unreadable) -> Failure {
    let file = path.display();
    match error {
        Unreadable::Later(format) => Failure::new(
            Code::Conflict,
            format!("{file} has format {format} of backups, which is later than this cosign reads"),
        )
        .hint("a later cosign wrote it: update this one"),
        Unreadable::Broken => damaged(path),
    }
}

fn damaged(path: &Path) -> Failure {
    Failure::new(Code::Invalid, format!("{} is damaged, or no backup", path.display())).hint(
        "it restores nothing: look for another copy, or back the key up again where the device still is",
    )
}

/// What is in the file `path`, opened with what was given, or with a passphrase that a person types.
pub(super) fn content(
    global: &Global,
    path: &Path,
    opener: &BackupOpener,
) -> Result<Secret<Vec<u8>>, Failure> {
    let shown = path.display().to_string();
    let found =
        Found::read(path).map_err(|e| crate::report::unreadable(e, &format!("backup {shown}")))?;
    let refused = |why| match why {
        Unopened::Broken => damaged(path),
        Unopened::NotOurs => Failure::new(
            Code::Locked,
            format!("wrong passphrase or identity for {shown}, or its first lines are damaged"),
        )
        .hint("nothing was changed; try again"),
    };
    let mut last = None;
    match found.opener() {
        Opener::Nothing => return Ok(found.into_content()),
        Opener::Identity if opener.backup_identity.is_empty() => {
            return Err(Failure::new(
                Code::Interaction,
                format!("{shown} opens with an age identity"),
            )
            .hint("use --backup-identity FILE"));
        }
        Opener::Identity => {
            for file in &opener.backup_identity {
                match found.with_identity(file)? {
                    Ok(content) => return Ok(content),
                    Err(why) => last = Some(why),
                }
            }
        }
        Opener::Passphrase if opener.backup_passphrase_file.is_empty() => {
            for _ in 0..TRIES {
                let typed = ask(async { Ok(global.prompter.passphrase_of(&shown).await?) })?;
                match found.with_passphrase(&typed) {
                    Ok(content) => return Ok(content),
                    Err(Unopened::NotOurs) => global.screen.note("wrong passphrase, try again"),
                    Err(why) => return Err(refused(why)),
                }
            }
        }
        Opener::Passphrase => {
            for file in &opener.backup_passphrase_file {
                let Some(passphrase) = given(global, "backup passphrase", None, Some(file))? else {
                    continue;
                };
                match found.with_passphrase(&passphrase) {
                    Ok(content) => return Ok(content),
                    Err(why) => last = Some(why),
                }
            }
        }
    }
    Err(refused(last.unwrap_or(Unopened::NotOurs)))
}

/// The beginning of a key's epoch.
fn short(record: &KeyRecord) -> String {
    let (epoch, _) = record.epoch.split_at(8);
    hex(epoch)
}

/// When the newest backup of this epoch was made, by the log of this device.
pub(super) fn latest(home: &Home, epoch: &[u8; 32]) -> Option<i64> {
    let epoch = json!(hex(epoch));
    let is_of = |entry: &Entry| {
        let epochs = entry.extra.get("epochs").and_then(|epochs| epochs.as_array());
        entry.ceremony == BACKUP && epochs.is_some_and(|epochs| epochs.contains(&epoch))
    };
    let entries = Log::entries(home).unwrap_or_default();
    entries.iter().filter(|entry| is_of(entry)).map(|entry| entry.time).max()
}

fn log(global: &Global, home: &Home, backup: &Backup, ceremony: &str, outcome: &str) {
    let KeyRecord { name, public_key, epoch, .. } = &backup.record;
    log_of(global, home, (name, public_key, epoch), (ceremony, outcome), &[]);
}

/// Logs what was done with an epoch of a key, with `more` to say about it.
pub(super) fn log_of(
    global: &Global,
    home: &Home,
    (name, public_key, epoch): (&str, &[u8; 33], &[u8; 32]),
    (ceremony, outcome): (&str, &str),
    more: &[(&str, Value)],
) {
    let known = [("public_key", json!(hex(public_key))), ("epochs", json!([hex(epoch)]))];
    let extra = known.iter().chain(more);
    let entry = Entry {
        time: clock::unix_now(),
        ceremony: ceremony.to_owned(),
        key: name.to_owned(),
        outcome: outcome.to_owned(),
        extra: extra.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..Entry::default()
    };
    if let Err(error) = Log::append(home, &entry) {
        global.screen.note(format!("the log was not written: {error}"));
    }
}
