//! `cosign keygen`: a key that exists on no device.

use serde::Serialize;

use crate::cli::args::KeygenArgs;
use crate::cli::ceremony::{Setup, holders, peer, pick, targets, unexpired, unopened, with_node};
use crate::cli::runtime::ask;
use crate::cli::{Global, Output, private_key};
use crate::curve::CurveName;
use crate::device::hex;
use crate::driver::ceremony::keygen::{self, Made, Whole};
use crate::driver::connect::target::Target;
use crate::driver::{clock, records};
use crate::payload::ethereum::Account;
use crate::progress::PartyView;
use crate::report::{self, Code, Failure};
use crate::vault::{Home, KeyState, PeerRecord, Peers, keys};

/// The result for a key.
#[derive(Debug, Serialize)]
pub(super) struct KeyResult<'a> {
    key: &'a str,
    curve: CurveName,
    public_key: String,
    parties: &'a [PartyView],
    threshold: u8,
    confirmed: bool,
    /// This device has left the key, and its share is destroyed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// `cosign keygen`
pub(super) fn run_keygen(global: &Global, mut args: KeygenArgs) -> Result<Output, Failure> {
    let home = unopened(global)?;
    let curve = args.curve.unwrap_or_default();
    // Read before anybody is asked.
    let whole = args.import.as_deref().map(|path| private_key::read(path, curve)).transpose()?;
    if let Some(whole) = &whole {
        let public_key = whole.public_key();
        let address = curve.has_wallets().then(|| Account::of_key(public_key)).flatten();
        global.screen.note(report::importing(&hex(public_key), address));
    }
    let imports = whole.as_ref().map(Whole::public_key);
    // Asked once; afterwards the chosen names are in `args`.
    let plan = ask(Plan::of(global, &home, &args, imports))?;
    args.key = Some(plan.name);
    // Given names are looked up once more, in the authenticated home.
    if args.with.is_empty() {
        args.with = plan.with;
    }
    with_node(global, None, Setup::from(&args.reach), |node| async move {
        let imports = whole.as_ref().map(Whole::public_key);
        let plan = Plan::of(global, &node.home, &args, imports).await?;
        let Plan { name, threshold, others, .. } = plan;
        let made = match args.resume {
            true => keygen::resume(&node, &name, &others).await?,
            false => match &whole {
                None => keygen::request(&node, (&name, curve), threshold, &others).await?,
                Some(whole) => keygen::import(&node, &name, threshold, &others, whole).await?,
            },
        };
        if whole.is_some() {
            global.screen.note(report::IMPORTED);
        }
        output(&made)
    })
}

/// The parameters that a command line has on this device.
struct Plan {
    name: String,
    threshold: u8,
    /// The other devices of a new key, in the form of `--with`.
    with: Vec<String>,
    others: Vec<Target>,
}

impl Plan {
    /// `imports` is the public key of a private key that is imported.
    async fn of(
        global: &Global,
        home: &Home,
        args: &KeygenArgs,
        imports: Option<&[u8; 33]>,
    ) -> Result<Self, Failure> {
        let KeygenArgs { key, curve, with, threshold, resume, reach, .. } = args;
        if *resume {
            let record = pending(home, key.as_deref())?;
            let others = targets(&holders(home, &record.name)?, reach)?;
            let (name, threshold) = (record.name, record.threshold);
            return Ok(Self { name, threshold, with: Vec::new(), others });
        }
        let name = match key {
            Some(name) => name.clone(),
            None => first_name(home)?,
        };
        let records = companions(global, home, with).await?;
        let count = records.len().saturating_add(1);
        let threshold = threshold.unwrap_or(2);
        if usize::from(threshold) > count || count > 16 {
            return Err(too_few(threshold, count));
        }
        let others = targets(&records, reach)?;
        let named = (name.as_str(), curve.unwrap_or_default());
        match imports {
            None => keygen::is_free(home, named, threshold, &others)?,
            Some(public_key) => {
                keygen::imported(home, named, threshold, &others, public_key)?;
            }
        }
        let with = records.iter().map(|record| record.fingerprint.to_hex()).collect();
        Ok(Self { name, threshold, with, others })
    }
}

/// So many devices cannot have this threshold, or are too many.
pub(super) fn too_few(threshold: u8, count: usize) -> Failure {
    Failure::new(Code::Usage, format!("{threshold} of {count} devices cannot sign"))
        .hint("--threshold is at most the number of devices, this one included; 16 at most")
}

/// The output for a key.
pub(super) fn output(made: &Made) -> Result<Output, Failure> {
    let (result, text) = result(made);
    let next = match made.left {
        true => String::new(),
        false => format!("\nnext: cosign sign --key {} <digest>", made.record.name),
    };
    Output::new(result, text + &next)
}

/// The result for a key, and its text.
pub(super) fn result(made: &Made) -> (KeyResult<'_>, String) {
    let record = &made.record;
    let names: Vec<String> = made.parties.iter().map(|p| p.name.to_string()).collect();
    let text = match made.left {
        true => report::left_key(&record.name),
        false => format!(
            "key {:?}: any {} of {}\n{}public key {}{}",
            record.name,
            record.threshold,
            names.join(", "),
            match record.curve.is_unnamed() {
                true => String::new(),
                false => format!("curve {}\n", record.curve.title()),
            },
            hex(&record.public_key),
            loss(record.threshold, names.len()).map(|says| format!("\n{says}")).unwrap_or_default(),
        ),
    };
    let result = KeyResult {
        key: &record.name,
        curve: record.curve,
        public_key: hex(&record.public_key),
        parties: &made.parties,
        threshold: record.threshold,
        confirmed: record.state == KeyState::Active,
        left: made.left,
        warning: made.unlogged.as_deref().map(report::unlogged),
    };
    (result, text)
}

/// A sentence about the loss of a device, if the key needs all of them.
fn loss(threshold: u8, parties: usize) -> Option<String> {
    (usize::from(threshold) == parties).then(|| {
        format!(
            "all {parties} devices are needed: if one is lost, nobody can sign with this key again \
             (with three devices and --threshold 2, any two can)"
        )
    })
}

/// The pending key that a command line means.
fn pending(home: &Home, name: Option<&str>) -> Result<crate::vault::KeyRecord, Failure> {
    if let Some(name) = name {
        return records::find(home, name)?.ok_or_else(|| report::no_key(name));
    }
    let mut all = keys::list(home)?;
    all.retain(|record| {
        record.state == KeyState::Pending
            || keys::leaving(home, &record.name).is_ok_and(|leaving| !leaving.is_empty())
    });
    all.dedup_by(|a, b| a.name == b.name);
    let mut open = all.into_iter();
    match (open.next(), open.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::new(Code::NotFound, "no key was left unfinished here")),
        (Some(a), Some(b)) => Err(Failure::new(
            Code::Usage,
            format!("several keys were left unfinished: {}, {}", a.name, b.name),
        )
        .hint("name one with --key")),
    }
}

/// The name of the first key, `default`; an error if there are keys.
fn first_name(home: &Home) -> Result<String, Failure> {
    let is_none = |(_, records): &(String, keys::Records)| matches!(records, Ok(records) if records.is_empty());
    if keys::each(home)?.iter().all(is_none) {
        return Ok("default".to_owned());
    }
    Err(Failure::new(Code::Usage, "a second key needs a name").hint("give it with --key NAME"))
}

/// The other devices: the named ones, or the only paired one.
async fn companions(
    global: &Global,
    home: &Home,
    with: &[String],
) -> Result<Vec<PeerRecord>, Failure> {
    let peers: Vec<PeerRecord> = Peers::load(home)?.iter().cloned().collect();
    if !with.is_empty() {
        let mut records: Vec<PeerRecord> = Vec::new();
        for text in with {
            let record = peer(&peers, text)?;
            unexpired(record)?;
            if records.iter().any(|r| r.fingerprint == record.fingerprint) {
                return Err(Failure::new(Code::Usage, format!("--with names {text} twice")));
            }
            records.push(record.clone());
        }
        return Ok(records);
    }
    let now = clock::unix_now();
    let live: Vec<PeerRecord> = peers.iter().filter(|p| !p.is_expired(now)).cloned().collect();
    match live.as_slice() {
        [] => Err(Failure::new(Code::NotFound, "no device is paired with this one").hint(format!(
            "run {} first; both devices show six digits to compare",
            report::here(&["pair"], &[])
        ))),
        [only] => Ok(vec![only.clone()]),
        several => {
            let names: Vec<String> = several.iter().map(|p| p.name.clone()).collect();
            let index = pick(global, "peer", "--with PEER", &names).await?;
            Ok(several.get(index).cloned().into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_device_may_be_missing_from_says_so() {
        assert!(loss(2, 2).is_some_and(|says| says.starts_with("all 2 devices are needed")));
        assert!(loss(3, 3).is_some());
        assert_eq!(loss(2, 3), None);
        assert_eq!(loss(3, 5), None);
    }
}
