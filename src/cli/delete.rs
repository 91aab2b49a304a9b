//! `cosign keys delete`

use serde_json::json;

use super::runtime::ask;
use super::{Global, Output, given, unlock};
use crate::device::hex;
use crate::driver::{clock, records};
use crate::report::{self, Code, Failure};
use crate::request::Ceremony;
use crate::ui::Need;
use crate::vault::{Entry, Error, Home, KeyLock, KeyRecord, KeyState, Log, Vault, deleted, keys};

/// `cosign keys delete`
pub(super) fn run_delete(
    global: &Global,
    name: &str,
    yes: Option<&str>,
) -> Result<Output, Failure> {
    if yes.is_some_and(|typed| typed != name) {
        let message = format!("--yes-delete is not the name of the key, {name:?}");
        return Err(Failure::new(Code::Usage, message)
            .hint("nothing was deleted; it takes the same name as the command"));
    }
    let vault = opened(global, name)?;
    let home = vault.home();
    if keys::is_gone(home, name)? {
        return forget_missing(global, &vault, name, yes);
    }
    let records = keys::find(home, name)?;
    let Some(key) = records.first() else {
        return Err(Error::NotFound { what: "key", name: name.to_owned() }.into());
    };
    let remains = Remains::of(home, key)?;
    if yes.is_none() {
        agreed(global, name, &card(home, &records, &remains))?;
    }
    let now = clock::unix_now();
    ask(async {
        // Waits for running signatures and blocks new ones.
        let _closed = alone(global, home, &[name.to_owned()]).await?;
        deleted::remember(home, &records, now)?;
        Ok(vault.delete(name)?)
    })?;
    if let Err(error) = Log::append(home, &entry(&records, key, now)) {
        global.screen.note(format!("the log was not written: {error}"));
    }
    let result = json!({
        "deleted": name,
        "public_key": hex(&key.public_key),
        "can_sign": remains.can_sign(),
    });
    Output::new(result, format!("the share of key {name:?} is gone\n{}", remains.sentence()))
}

/// Waits until these keys are not in use, and tells what uses them. No signature begins until the
/// returned locks are dropped.
pub(super) async fn alone(
    global: &Global,
    home: &Home,
    names: &[String],
) -> Result<Vec<KeyLock>, Failure> {
    let waits = |name: &str, by| global.screen.note(report::key_awaited(name, by));
    Ok(records::quiet(home, names, waits).await?)
}

/// Opens the vault, so that the records are authenticated and the note of the deletion can be.
fn opened(global: &Global, name: &str) -> Result<Vault, Failure> {
    // Checked first, so that a mistyped name does not ask for a passphrase.
    if let Err(error @ Error::NotFound { .. }) = keys::find(&given::home(global)?, name) {
        return Err(error.into());
    }
    Ok(ask(unlock::open_naming(global))?.1)
}

/// Notes that a key is deleted whose files are missing.
fn forget_missing(
    global: &Global,
    vault: &Vault,
    name: &str,
    yes: Option<&str>,
) -> Result<Output, Failure> {
    let card = [
        format!("everything of key {name:?} was taken away from this device:"),
        "  now          no ceremony runs here, with any key".to_owned(),
        "  better       put its folder back, if there is a copy of this very state".to_owned(),
        "  afterwards   the key counts as deleted here, and a copy is no longer taken".to_owned(),
    ];
    if yes.is_none() {
        agreed(global, name, &card)?;
    }
    vault.forget_missing(name)?;
    let entry = Entry {
        time: clock::unix_now(),
        ceremony: "delete".to_owned(),
        key: name.to_owned(),
        outcome: "gone".to_owned(),
        ..Entry::default()
    };
    if let Err(error) = Log::append(vault.home(), &entry) {
        global.screen.note(format!("the log was not written: {error}"));
    }
    let result = json!({ "deleted": name, "public_key": null, "can_sign": null });
    Output::new(result, format!("key {name:?} is gone, and no longer expected here"))
}

/// Fails unless the owner types the key's name once more.
fn agreed(global: &Global, name: &str, card: &[String]) -> Result<(), Failure> {
    let need = Need::Confirmation {
        what: format!("deleting key {name:?}"),
        flag: format!("--yes-delete {name}, after reading `cosign keys delete --help`"),
    };
    if ask(async { Ok(global.prompter.retype(need, card, name).await?) })? {
        Ok(())
    } else {
        Err(Failure::new(Code::Denied, format!("key {name:?} was not deleted")))
    }
}

/// The card that the owner sees before typing the name.
fn card(home: &Home, records: &[KeyRecord], remains: &Remains) -> Vec<String> {
    let mut card = vec!["this deletes this device's share for ever:".to_owned()];
    let mut row = |what: &str, says: String| card.push(format!("  {what:<12} {says}"));
    if let Some(key) = records.first() {
        row("key", key.name.clone());
        row("public key", hex(&key.public_key));
    }
    for record in records {
        let (epoch, _) = record.epoch.split_at(8);
        let says = format!("generation {}, epoch {}", record.generation, hex(epoch));
        match record.state {
            KeyState::Active => row("in use", says),
            KeyState::Pending => row("pending", says),
        }
    }
    if let [KeyRecord { state: KeyState::Pending, .. }, ..] = records {
        row("note", "other devices may have it in use: see `cosign keys list` on each".to_owned());
    }
    let name = records.first().map_or("", |key| key.name.as_str());
    if let Some(leaving) = keys::leaving(home, name).ok().and_then(|mut all| all.pop()) {
        let names: Vec<&str> = leaving.parties.iter().map(|party| party.name.as_str()).collect();
        let says =
            "has agreed to leave this key; where they all have new shares, those sign as before";
        row("this device", format!("{says}: {}", names.join(", ")));
    }
    row("signatures", signatures(home, name));
    row("afterwards", remains.sentence());
    card
}

/// The number of signatures in the log with the key `name` and the keys below it.
fn signatures(home: &Home, name: &str) -> String {
    let Ok(entries) = Log::entries(home) else { return "the log cannot be read".to_owned() };
    let of_key = |key: &str| {
        key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let signed: Vec<i64> = entries
        .iter()
        .filter(|e| Ceremony::named(&e.ceremony) == Some(Ceremony::Sign))
        // A part that was given may have become a signature.
        .filter(|e| ["signed", "given"].contains(&e.outcome.as_str()) && of_key(&e.key))
        .map(|e| e.time)
        .collect();
    match (signed.len(), signed.last()) {
        (count, Some(last)) => format!("{count} in the log, the last at {}", clock::rfc3339(*last)),
        _ => "none in the log of this device".to_owned(),
    }
}

/// What is left of a key without this device's share.
struct Remains {
    threshold: usize,
    others: usize,
    /// How many of the others claim to have deleted theirs.
    deleted: usize,
}

impl Remains {
    fn of(home: &Home, key: &KeyRecord) -> Result<Self, Failure> {
        Ok(Self {
            threshold: usize::from(key.threshold),
            others: key.parties.len().saturating_sub(1),
            deleted: deleted::claims(home, &key.public_key)?.len(),
        })
    }

    fn can_sign(&self) -> bool {
        self.others >= self.threshold
    }

    fn sentence(&self) -> String {
        let Self { threshold, others, deleted } = self;
        let of = format!("{threshold} of {}", others.saturating_add(1));
        if !self.can_sign() {
            return format!("{of}: nobody can ever sign with this key again");
        }
        let mut says = match others.saturating_sub(*threshold) {
            0 => format!(
                "{of}: the {others} others sign only all together; if one is lost, nobody can"
            ),
            spare => {
                format!("{of}: any {threshold} of the {others} others sign; {spare} may be lost")
            }
        };
        if others.saturating_sub(*deleted) < *threshold {
            says += &format!(
                "; but {deleted} of them say that their share is deleted: then nobody can"
            );
        }
        says
    }
}

fn entry(records: &[KeyRecord], key: &KeyRecord, now: i64) -> Entry {
    let others = key.parties.iter().filter(|party| party.index != key.me);
    let others: Vec<String> = others.map(|party| party.fingerprint.to_hex()).collect();
    let epochs: Vec<String> = records.iter().map(|record| hex(&record.epoch)).collect();
    let extra = [("public_key", json!(hex(&key.public_key))), ("epochs", json!(epochs))];
    Entry {
        time: now,
        ceremony: "delete".to_owned(),
        key: key.name.clone(),
        peer: others.join(","),
        outcome: "deleted".to_owned(),
        extra: extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Entry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_key_is_counted() {
        let says = |threshold, others, deleted| Remains { threshold, others, deleted }.sentence();
        assert_eq!(says(2, 1, 0), "2 of 2: nobody can ever sign with this key again");
        assert!(says(2, 2, 0).contains("the 2 others sign only all together"));
        assert!(says(2, 3, 0).contains("any 2 of the 3 others sign; 1 may be lost"));
        assert!(
            says(2, 2, 1).contains("1 of them say that their share is deleted: then nobody can")
        );
        assert!(!says(2, 3, 1).contains("deleted"));
    }
}
