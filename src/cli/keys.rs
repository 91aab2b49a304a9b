//! `cosign keys`, except `refresh` and `reshare`

use serde::Serialize;
use serde_json::json;

use super::args::{ExportArgs, KeyName, KeysCommand};
use super::chosen::{Chosen, chain_code, check, chosen};
use super::output::{Sink, Table};
use super::runtime::ask;
use super::unlock;
use super::{Global, Output, address, backup, combine, delete, public_key, refresh, reshare};
use crate::curve::CurveName;
use crate::device::{hex, shown_on_one_line, visible};
use crate::driver::ceremony::confirmations;
use crate::driver::{clock, records};
use crate::party::PartyId;
use crate::report::{Code, Failure};
use crate::request::below;
use crate::vault::keys::Location;
use crate::vault::ledger::UNRESOLVED;
use crate::vault::{
    Entry, Error, Home, KeyRecord, KeyState, Ledger, Log, PartyRecord, Vault, deleted, keys,
};

/// Runs one of `cosign keys`.
pub(super) fn run_keys(global: &Global, command: KeysCommand) -> Result<Output, Failure> {
    match command {
        KeysCommand::List => list(global),
        KeysCommand::Show { name } => show(global, &name),
        KeysCommand::Export(args) => export(global, *args),
        KeysCommand::Address(args) => address::run_address(global, &args),
        KeysCommand::Refresh(args) => refresh::run_refresh(global, args),
        KeysCommand::Backup(args) => backup::run_backup(global, args),
        KeysCommand::VerifyBackup(args) => backup::run_verify(global, &args),
        KeysCommand::Restore(args) => backup::run_restore(global, &args),
        KeysCommand::Combine(args) => combine::run_combine(global, &args),
        KeysCommand::Rename { old, new } => rename(global, &old, &new),
        KeysCommand::Reshare(args) => reshare::run_reshare(global, args),
        KeysCommand::Delete { name, yes_delete } => {
            delete::run_delete(global, &name, yes_delete.as_deref())
        }
    }
}

#[derive(Serialize)]
struct Party<'a> {
    name: &'a str,
    fingerprint: String,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    curve: CurveName,
    public_key: String,
    threshold: u8,
    parties: Vec<Party<'a>>,
    confirmed: bool,
    created: String,
    location: Location,
    /// A refresh is unfinished.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    refresh_pending: bool,
    /// It came from a backup, and signs only after a refresh.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
    /// This device leaves the key, and has not heard from all others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    leaving: bool,
    /// The epochs that not every party has confirmed, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<PendingEpoch<'a>>,
}

/// An epoch that not every party has confirmed.
#[derive(Serialize)]
struct PendingEpoch<'a> {
    epoch: String,
    generation: u64,
    created: String,
    /// Whether it can sign with the parties that have it. A new key signs only once all have
    /// confirmed.
    signs: bool,
    /// The parties that have not confirmed it.
    missing: Vec<&'a str>,
}

impl<'a> PendingEpoch<'a> {
    fn new(home: &Home, key: &'a KeyRecord, signs: bool) -> Self {
        // Confirmations that cannot be verified are ignored.
        let stored = confirmations::stored(home, key);
        let is_missing =
            |index: PartyId| stored.as_ref().map_or(true, |stored| stored.missing.contains(&index));
        let others = key.parties.iter().filter(|party| party.index != key.me);
        Self {
            epoch: hex(&key.epoch),
            generation: key.generation,
            created: clock::rfc3339(key.created),
            signs,
            missing: others.filter(|p| is_missing(p.index)).map(|p| p.name.as_str()).collect(),
        }
    }

    fn line(&self) -> String {
        let (epoch, _) = self.epoch.split_at(8);
        let names: Vec<String> = self.missing.iter().map(|name| quoted(name)).collect();
        let missing = match names.as_slice() {
            [] => "confirmed by all".to_owned(),
            names => format!("not confirmed by {}", names.join(", ")),
        };
        let signs = if self.signs { "signs already" } else { "does not sign" };
        format!("pending      generation {} ({epoch}): {signs}, {missing}\n", self.generation)
    }
}

impl<'a> Row<'a> {
    /// `of_one` are the records of one key, the active one first.
    fn new(home: &Home, of_one: &'a [KeyRecord]) -> Result<Option<Self>, Failure> {
        let Some(key) = of_one.first() else { return Ok(None) };
        let confirmed = key.state == KeyState::Active;
        let pending = of_one.iter().filter(|record| record.state == KeyState::Pending);
        let pending: Vec<_> =
            pending.map(|record| PendingEpoch::new(home, record, confirmed)).collect();
        let party = |party: &'a PartyRecord| Party {
            name: &party.name,
            fingerprint: party.fingerprint.to_hex(),
        };
        Ok(Some(Self {
            name: &key.name,
            curve: key.curve,
            public_key: hex(&key.public_key),
            threshold: key.threshold,
            parties: key.parties.iter().map(party).collect(),
            confirmed,
            created: clock::rfc3339(key.created),
            location: keys::location(home, &key.name, &key.epoch)?,
            refresh_pending: confirmed && !pending.is_empty(),
            restored: key.restored,
            leaving: !keys::leaving(home, &key.name)?.is_empty(),
            pending,
        }))
    }

    fn state(&self) -> &'static str {
        match (self.confirmed, self.refresh_pending) {
            _ if self.restored => "restored, to be refreshed",
            _ if self.leaving => "leaving",
            (true, false) => "ready",
            (true, true) => "ready, refresh unfinished",
            (false, _) => "pending",
        }
    }
}

/// One row for each key: pending records beside an active one are unfinished refreshes.
fn rows<'a>(home: &Home, records: &'a [KeyRecord]) -> Result<Vec<Row<'a>>, Failure> {
    records
        .chunk_by(|a, b| a.name == b.name)
        .filter_map(|of_one| Row::new(home, of_one).transpose())
        .collect()
}

/// A key that cannot be listed, and why.
#[derive(Serialize)]
struct Unlisted {
    name: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Where a share is, as one line of text.
pub(super) fn in_a_line(location: &Location) -> String {
    shown_on_one_line(&location.to_string())
}

fn list(global: &Global) -> Result<Output, Failure> {
    let (home, vault) = unlock::look(global)?;
    let (mut whole, mut damaged, mut newer) = (Vec::new(), Vec::new(), Vec::new());
    for (name, records) in keys::each(&home)? {
        let is_newer = matches!(records, Err(Error::Unsupported { .. }));
        match sound(&home, vault.as_ref(), records) {
            Ok(records) => whole.extend(records),
            Err(failure) if is_newer => newer.push((name, failure)),
            Err(failure) => damaged.push((name, failure)),
        }
    }
    records::name_parties(&home, &mut whole);
    let rows = rows(&home, &whole)?;
    let mut table = Table::new(["NAME", "CURVE", "SIGNERS", "STATE", "PUBLIC KEY", "WITH"]);
    for (row, key) in rows.iter().zip(whole.chunk_by(|a, b| a.name == b.name)) {
        let others = key
            .iter()
            .take(1)
            .flat_map(|key| key.parties.iter().filter(|party| party.index != key.me));
        let names: Vec<String> = others.map(|party| visible(&party.name)).collect();
        let signers = format!("{} of {}", row.threshold, row.parties.len());
        table.row([
            row.name,
            row.curve.title(),
            &signers,
            row.state(),
            &row.public_key,
            &names.join(", "),
        ]);
    }
    for (unlisted, state) in [(&damaged, "damaged"), (&newer, "of a later version")] {
        unlisted.iter().for_each(|(name, _)| table.row([name, "-", "-", state, "-", "-"]));
    }
    let text = if rows.is_empty() && damaged.is_empty() && newer.is_empty() {
        "there are no keys\nnext: cosign keygen, once a device is paired (cosign pair)".to_owned()
    } else {
        table.text()
    };
    let mut result = json!({ "keys": rows, "checked": vault.is_some() });
    let all: Vec<_> = damaged.iter().chain(&newer).collect();
    let Some((_, first)) = all.first() else { return Output::new(result, text) };
    let said = |(name, failure): &&(String, Failure)| format!("key {name:?}: {}", failure.message);
    let message = all.iter().map(said).collect::<Vec<_>>().join("; ");
    let verdict = Failure { message, ..first.clone() };
    for (field, unlisted) in [("damaged", damaged), ("newer", newer)] {
        if !unlisted.is_empty() {
            let one = |(name, Failure { message, hint, .. })| Unlisted { name, message, hint };
            result[field] = json!(unlisted.into_iter().map(one).collect::<Vec<_>>());
        }
    }
    Ok(Output::new(result, text)?.but(verdict))
}

/// The records of one key, if it is complete and, with an open vault, authentic.
fn sound(
    home: &Home,
    vault: Option<&Vault>,
    records: keys::Records,
) -> Result<Vec<KeyRecord>, Failure> {
    let records = records?;
    check(vault, &records)?;
    for record in &records {
        if let Location::File(path) = keys::location(home, &record.name, &record.epoch)?
            && !path.exists()
        {
            return Err(Error::Tampered { path, line: None, why: "missing" }.into());
        }
    }
    Ok(records)
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(flatten)]
    row: &'a Row<'a>,
    /// This device's index among the parties, from 1.
    index: u8,
    epoch: String,
    generation: u64,
    banned: Vec<Banned<'a>>,
    /// The parties that claim to have deleted their share.
    deleted: Vec<Deleted<'a>>,
    /// Whether the record was compared with its share in the open vault.
    checked: bool,
    /// The parties with too many unresolved checks; a refresh resets them.
    worn: Vec<&'a str>,
    /// When the shares were last refreshed.
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshed: Option<String>,
    /// When this device's share of this epoch was last backed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    backed_up: Option<String>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a str,
    fingerprint: String,
    time: String,
}

#[derive(Serialize)]
struct Banned<'a> {
    name: &'a str,
    check: String,
}

fn show(global: &Global, name: &str) -> Result<Output, Failure> {
    let (home, vault) = unlock::look(global)?;
    let mut records = keys::find(&home, name)?;
    check(vault.as_ref(), &records)?;
    records::name_parties(&home, &mut records);
    let rows = rows(&home, &records)?;
    let (Some(row), Some(key)) = (rows.first(), records.first()) else {
        return Err(Error::NotFound { what: "key", name: name.to_owned() }.into());
    };
    let party_name = |index: u8| {
        let named = key.parties.iter().find(|party| party.index.get() == index);
        named.map_or("?", |party| party.name.as_str())
    };
    let retired = Ledger::open(&home)?.retired(&key.epoch);
    let (worn, banned): (Vec<_>, Vec<_>) =
        retired.into_iter().partition(|(_, check)| check == UNRESOLVED);
    let worn: Vec<&str> = worn.into_iter().map(|(peer, _)| party_name(peer)).collect();
    let banned: Vec<Banned<'_>> =
        banned.into_iter().map(|(peer, check)| Banned { name: party_name(peer), check }).collect();

    let mut text = format!(
        "name         {}\nstate        {}\ncurve        {}\npublic key   {}\nsigners      {} of {}\n",
        row.name,
        row.state(),
        row.curve.title(),
        row.public_key,
        row.threshold,
        row.parties.len()
    );
    text += &format!("needs        {}\n", needed(key));
    for party in &key.parties {
        let me = if party.index == key.me { ", this device" } else { "" };
        text += &format!("party {:<2}     {}{me}\n", party.index, quoted(&party.name));
        text += &format!("             {}\n", party.fingerprint);
    }
    row.pending.iter().for_each(|pending| text += &pending.line());
    for Banned { name, check } in &banned {
        text += &format!("banned       {} ({check})\n", quoted(name));
    }
    for name in &worn {
        text += &format!("worn         {} (too many signatures were cut short)\n", quoted(name));
    }
    let deleted = said_deleted(&home, key)?;
    for Deleted { name, time, .. } in &deleted {
        text += &format!("deleted      {} says so of its share, at {time}\n", quoted(name));
    }
    if row.confirmed {
        let (epoch, _) = key.epoch.split_at(4);
        text += &format!("generation   {} ({})\n", key.generation, hex(epoch));
    }
    text += &format!("created      {}\nshare        {}\n", row.created, in_a_line(&row.location));
    let refreshed = (key.generation > 1).then(|| row.created.clone());
    text += &format!("refreshed    {}\n", refreshed.as_deref().unwrap_or("never"));
    let backed_up = backup::latest(&home, &key.epoch).map(clock::rfc3339);
    text += &match &backed_up {
        Some(time) => format!("backup       of {time}\n"),
        None => "backup       none of this generation\n".to_owned(),
    };
    let (index, epoch, generation) = (key.me.get(), hex(&key.epoch), key.generation);
    let checked = vault.is_some();
    let details = Details {
        row,
        index,
        epoch,
        generation,
        banned,
        worn,
        deleted,
        checked,
        refreshed,
        backed_up,
    };
    Output::new(details, text)
}

/// The devices that must be present to sign.
fn needed(key: &KeyRecord) -> String {
    let others = key.parties.iter().filter(|party| party.index != key.me);
    let names: Vec<String> = others.map(|party| quoted(&party.name)).collect();
    match usize::from(key.threshold).saturating_sub(1) {
        all if all == names.len() => format!("this device and {}", names.join(" and ")),
        some => format!("this device and any {some} of {}", names.join(", ")),
    }
}

/// `name` in quotes, with invisible blanks made visible.
fn quoted(name: &str) -> String {
    visible(&format!("{name:?}"))
}

/// The parties of `key` that claim to have deleted their share.
fn said_deleted<'a>(home: &Home, key: &'a KeyRecord) -> Result<Vec<Deleted<'a>>, Failure> {
    let claims = deleted::claims(home, &key.public_key)?;
    let said = |claim: &deleted::Claim| {
        let party = key.parties.iter().find(|party| party.fingerprint == claim.party)?;
        let (fingerprint, time) = (claim.party.to_hex(), clock::rfc3339(claim.time));
        Some(Deleted { name: &party.name, fingerprint, time })
    };
    Ok(claims.iter().filter_map(said).collect())
}

fn export(global: &Global, args: ExportArgs) -> Result<Output, Failure> {
    let ExportArgs { name, path, format, output, uid, .. } = args;
    if uid.is_some() {
        return Err(Failure::new(Code::Usage, "--uid is for --format openpgp")
            .hint("leave it out: no other format has the name of a person"));
    }
    let (name, path) = KeyName::with(name.as_ref(), path.as_ref())?;
    let path = path.as_slice();
    let sink = Sink::new(output.as_deref(), false, global.args.json)?;
    let Chosen { record: key, mut vault } = chosen(global, name.as_deref(), "NAME")?;
    let text = public_key::encode((key.curve, &key.public_key), path, format, || {
        chain_code(global, &mut vault, &key)
    })?;
    let child = public_key::derived((key.curve, &key.public_key), path, || {
        chain_code(global, &mut vault, &key)
    })?;
    let result = json!({
        "name": below(&key.name, path),
        "public_key": child.compressed().map(|key| hex(&key)),
        "exported": text.trim_end(),
        "checked": vault.is_some(),
    });
    Output::with_body(result, sink.put(text.into_bytes())?)
}

/// `cosign keys rename`
fn rename(global: &Global, old: &str, new: &str) -> Result<Output, Failure> {
    // Looked at first, so that a mistyped name does not ask for a passphrase.
    let home = super::given::home(global)?;
    if let Err(error @ (Error::NotFound { .. } | Error::BadName { .. })) = keys::find(&home, old) {
        return Err(error.into());
    }
    if keys::is_taken(&home, new)? {
        return Err(Error::Conflict { what: "key", name: new.to_owned() }.into());
    }
    let vault = ask(unlock::open_naming(global))?.1;
    let home = vault.home();
    let records = keys::find(home, old)?;
    ask(async {
        let _closed = delete::alone(global, home, &[old.to_owned()]).await?;
        Ok(vault.rename_key(old, new)?)
    })?;
    let public_key = records.first().map(|key| hex(&key.public_key)).unwrap_or_default();
    let extra = [("was", json!(old)), ("public_key", json!(public_key))];
    let entry = Entry {
        time: clock::unix_now(),
        ceremony: "rename".to_owned(),
        key: new.to_owned(),
        outcome: "renamed".to_owned(),
        extra: extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Entry::default()
    };
    if let Err(error) = Log::append(home, &entry) {
        global.screen.note(format!("the log was not written: {error}"));
    }
    let text = format!(
        "key {old:?} is {new:?} here now, also for a `cosign listen` that runs: rules of a policy that name {old:?} no \
         longer fit it, and those that name {new:?} do"
    );
    Output::new(json!({ "name": new, "was": old, "public_key": public_key }), text)
}
