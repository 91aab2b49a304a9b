//! `cosign keys reshare`: other devices, or another threshold, for the same key.

use serde::Serialize;

use crate::cli::args::ReshareArgs;
use crate::cli::ceremony::{Setup, holders, key, peer, targets, unexpired, unopened, with_node};
use crate::cli::runtime::ask;
use crate::cli::{Global, Output, keygen};
use crate::device::{Fingerprint, Label};
use crate::driver::ceremony::keygen as ceremony;
use crate::driver::ceremony::reshare::Change;
use crate::driver::connect::target::Target;
use crate::driver::error::Error;
use crate::driver::records;
use crate::payload::ethereum::Account;
use crate::progress::PartyView;
use crate::report::{self, Failure};
use crate::vault::{Home, KeyRecord, KeyState, PeerRecord, Peers};

#[derive(Serialize)]
struct ReshareResult<'a> {
    #[serde(flatten)]
    key: keygen::KeyResult<'a>,
    /// The Ethereum address of the key, which stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// How many parties had to sign before: so many old shares still make the key.
    old_threshold: u8,
    /// The parties before.
    old_parties: Vec<PartyView>,
    /// The devices that have become parties.
    joined: Vec<PartyView>,
    /// The parties that have left and destroyed their share.
    removed: Vec<PartyView>,
    /// The parties that were left out: their old share is where it was.
    lost: Vec<PartyView>,
}

/// `cosign keys reshare`
pub(super) fn run_reshare(global: &Global, args: ReshareArgs) -> Result<Output, Failure> {
    let home = unopened(global)?;
    let name = ask(async { Ok(key(global, &home, args.name.as_deref(), "NAME").await?.name) })?;
    // Checked while the vault is locked, and once more when it is open.
    Plan::of(&home, &name, &args)?;
    with_node(global, None, Setup::from(&args.reach), |node| async move {
        let Plan { record, old_threshold, change, others, pardons } =
            Plan::of(&node.home, &name, &args)?;
        let banned = ceremony::banned_in(&node, &name, &change)?;
        let asked: Vec<Label> = banned
            .iter()
            .filter(|who| !pardons.contains(who))
            .map(|who| node.name_of(who))
            .collect();
        if !asked.is_empty() {
            let what = report::pardons(&asked.iter().map(Label::as_str).collect::<Vec<_>>());
            if !global.prompter.confirm(&what, "--pardon").await? {
                return Err(report::denied_here("reshare"));
            }
        }
        let made = ceremony::reshare(&node, &name, &change, &others, &banned).await?;
        let view = |who: &Fingerprint| PartyView { name: node.name_of(who), fingerprint: *who };
        let views = |all: &[Fingerprint]| all.iter().map(view).collect::<Vec<_>>();
        let old: Vec<Fingerprint> = record.parties.iter().map(|p| p.fingerprint).collect();
        let (key, text) = keygen::result(&made);
        let result = ReshareResult {
            key,
            address: record
                .curve
                .has_wallets()
                .then(|| Account::of_key(&record.public_key))
                .flatten()
                .map(|account| account.to_string()),
            old_threshold,
            old_parties: views(&old),
            joined: views(&change.add),
            removed: views(&change.remove),
            lost: views(&change.lost),
        };
        let lost: Vec<&str> = result.lost.iter().map(|party| party.name.as_str()).collect();
        let says = report::after_reshare(old_threshold, &lost);
        Output::new(&result, format!("{text}\n{says}"))
    })
}

/// The change that a command line means on this device.
struct Plan {
    /// The epoch that is changed.
    record: KeyRecord,
    /// As many shares of an epoch of before make the key.
    old_threshold: u8,
    change: Change,
    /// How to reach the devices that take part, and parties of other epochs.
    others: Vec<Target>,
    /// The devices whose bans the owner ends by it.
    pardons: Vec<Fingerprint>,
}

impl Plan {
    fn of(home: &Home, name: &str, args: &ReshareArgs) -> Result<Self, Failure> {
        let ReshareArgs { add, lost, remove, threshold, pardon, reach, .. } = args;
        let held = records::held(home, name)?;
        let newest = held.first().ok_or_else(|| report::no_key(name))?;
        let known = holders(home, name)?;
        let peers: Vec<PeerRecord> = Peers::load(home)?.iter().cloned().collect();
        let add = add.iter().map(|text| peer(&peers, text)).collect::<Result<Vec<_>, _>>()?;
        add.iter().try_for_each(|record| unexpired(record))?;
        let party = |text: &String| match peer(&known, text) {
            Ok(party) => Ok(party.fingerprint),
            Err(_) => Err(report::no_share_there(Label::new(text).as_str(), name)),
        };
        let parties = |texts: &[String]| texts.iter().map(party).collect::<Result<Vec<_>, _>>();
        let change = Change {
            add: distinct(add.iter().map(|peer| peer.fingerprint).collect()),
            lost: distinct(parties(lost)?),
            remove: distinct(parties(remove)?),
            threshold: *threshold,
        };
        let pardons = parties(pardon)?;
        let called = |who: &Fingerprint| {
            let known = peers.iter().chain(&known).find(|peer| peer.fingerprint == *who);
            Label::new(&known.map_or_else(|| who.device_id(), |peer| peer.name.clone()))
        };
        let active = held.iter().find(|record| record.state == KeyState::Active);
        let threshold = active.unwrap_or(newest).threshold;
        let is_made = |record: &KeyRecord| {
            record.state == KeyState::Pending && change.is_made(record, threshold)
        };
        // What is unfinished may be this very change.
        let mut before = held.iter().filter(|record| !is_made(record));
        let old_threshold = before.clone().map(|record| record.threshold).min();
        let record = match before.next().filter(|_| is_made(newest)) {
            Some(before) => before,
            None => change.planned(&held, called).map_err(Error::Unfit)?.0,
        };
        let (old_threshold, record) = (old_threshold.unwrap_or(threshold), record.clone());
        let mut others = known;
        others.retain(|peer| !change.lost.contains(&peer.fingerprint));
        let new = add
            .into_iter()
            .filter(|peer| !others.iter().any(|o| o.fingerprint == peer.fingerprint));
        let new: Vec<PeerRecord> = new.cloned().collect();
        others.extend(new);
        Ok(Self { record, old_threshold, change, others: targets(&others, reach)?, pardons })
    }
}

fn distinct(mut all: Vec<Fingerprint>) -> Vec<Fingerprint> {
    all.sort_unstable();
    all.dedup();
    all
}
