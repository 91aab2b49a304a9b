//! The device of a command: its home and vault, which is opened or made if the command needs it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::given::{TERMINAL, given_passphrase, home};
use super::runtime::ask;
use super::token::Protection;
use super::{Global, passphrase, token};
use crate::device::Label;
use crate::driver::clock;
use crate::net::tls::Device;
use crate::report::{Code, Failure, here};
use crate::secret::Secret;
use crate::token::{Found, Tries, Uri};
use crate::ui::Screen;
use crate::vault::{DeviceInfo, Error, Home, Lock, Seal, TokenRecord, Unlock, Vault};

/// Most bytes of a device's name, which a service announcement can hold.
const MAX_NAME: usize = 63;
/// How many tries a person has for the passphrase.
const TRIES: usize = 3;

/// The device's vault, open.
///
/// # Errors
/// There is none; it does not open.
pub async fn open(global: &Global) -> Result<(Home, Vault), Failure> {
    let home = home(global)?;
    let vault = unlock(global, &home, &Vault::locks(&home)?).await?;
    note_adopted(global, &vault);
    Ok((vault.home().clone(), vault))
}

/// As [`open`], for a command that begins no ceremony. Files that this device did not write stop a
/// ceremony; any other command reports them and goes on, unless it needs just that file.
pub(super) async fn open_naming(global: &Global) -> Result<(Home, Vault), Failure> {
    let (home, vault) = open(global).await?;
    global.misfits.found_in(&vault);
    global.misfits.tell(&global.screen, None);
    Ok((home, vault))
}

/// As [`open`], but makes a device if there is none, a person is present, and no home was named: a
/// volume that is not mounted must not become a new device. Only for commands that a new device
/// begins with; any other would fail with a mistyped home, and leave another device there.
pub async fn open_or_make(global: &Global) -> Result<(Home, Vault), Failure> {
    let home = home(global)?;
    let may_make = global.args.home.is_none() && global.prompter.can_ask();
    if may_make
        && let Err(Error::NoVault { .. }) = Vault::locks(&home)
        && let Some(vault) = make(global, &home).await?
    {
        return Ok((vault.home().clone(), vault));
    }
    open(global).await
}

/// The home, and the vault if the command line opens it, without a question. Without the vault the
/// files are not authenticated, which is reported, as is a missing vault.
///
/// # Errors
/// The given secret does not open the vault.
pub(super) fn look(global: &Global) -> Result<(Home, Option<Vault>), Failure> {
    let home = home(global)?;
    match Vault::lock(&home) {
        // Files that were copied from a home can still be inspected.
        Err(error @ Error::NoVault { .. }) => {
            global.screen.note(Failure::from(error).message);
            return Ok((home, None));
        }
        lock => drop(lock?),
    }
    let Some(vault) = opened(global, &home)? else {
        global.screen.note(
            "not checked: the vault is locked, and this is what its files say; \
             with --identity, --passphrase-file or --pin-file it is checked",
        );
        return Ok((home, None));
    };
    note_adopted(global, &vault);
    global.misfits.found_in(&vault);
    Ok((vault.home().clone(), Some(vault)))
}

/// The vault, if the command line opens it.
pub(super) fn opened(global: &Global, home: &Home) -> Result<Option<Vault>, Failure> {
    let Some(unlock) = given_unlock(global, home)? else { return opened_by_token(global, home) };
    match Vault::open(home, &unlock) {
        // The environment may be meant for another home, so this one is read without its vault.
        Err(Error::WrongSecret) if is_of_environment(&unlock, global) => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

/// Whether what opens the vault comes from the environment.
fn is_of_environment(unlock: &Unlock, global: &Global) -> bool {
    let (variable, file) = match unlock {
        Unlock::Identity(_) => ("COSIGN_IDENTITY", &global.args.identity),
        _ => ("COSIGN_PASSPHRASE_FILE", &global.args.passphrase_file),
    };
    let set = std::env::var_os(variable).map(PathBuf::from);
    set.is_some() && set == *file
}

/// The vault, if its token is present and the flags give the PIN. The last try is left to a person.
fn opened_by_token(global: &Global, home: &Home) -> Result<Option<Vault>, Failure> {
    let record = Vault::token(home)?.filter(|_| token::pin_is_told(global));
    let Some(record) = record else { return Ok(None) };
    ask(async {
        match token::find_again(global, &record).await? {
            Ok(found) if found.info.tries != Tries::Last => {
                with_token(global, home, &record, found).await.map(Some)
            }
            _ => Ok(None),
        }
    })
}

/// Opens the vault with its token.
async fn with_token(
    global: &Global,
    home: &Home,
    record: &TokenRecord,
    found: Found,
) -> Result<Vault, Failure> {
    let session = token::log_in_again(global, record, found).await?;
    let (home, unlock) = (home.clone(), Unlock::Token(Arc::new(session)));
    token::aside(move || Ok(Vault::open(&home, &unlock)?)).await
}

/// The secret from the command line that opens the vault.
pub(super) fn given_unlock(global: &Global, home: &Home) -> Result<Option<Unlock>, Failure> {
    let locks = Vault::locks(home)?;
    // An identity that does not open this vault is ignored if a token does.
    let fits = locks.contains(&Lock::Identity) || !locks.contains(&Lock::Token);
    if let Some(file) = global.args.identity.as_ref().filter(|_| fits) {
        return Ok(Some(Unlock::Identity(file.clone())));
    }
    match locks.contains(&Lock::Passphrase) {
        true => Ok(given_passphrase(global)?.map(Unlock::Passphrase)),
        false => Ok(None),
    }
}

/// The files of this run's home that this device did not write, until they are reported.
#[derive(Debug, Default)]
pub struct Misfits(Mutex<Vec<String>>);

impl Misfits {
    fn found_in(&self, vault: &Vault) {
        let found = vault.misfits().into_iter().map(|misfit| Failure::from(misfit.error).message);
        self.all().extend(found);
    }

    /// Reports them on `screen`, except those that `failure`, with which the command ends, names.
    pub(super) fn tell(&self, screen: &Screen, failure: Option<&Failure>) {
        let is_told =
            |misfit: &String| failure.is_some_and(|failure| failure.message.contains(misfit));
        std::mem::take(&mut *self.all())
            .into_iter()
            .filter(|misfit| !is_told(misfit))
            .for_each(|misfit| screen.warn(misfit));
    }

    // Each change is one call, so the value is whole even if a holder of the lock panicked.
    fn all(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports the files that were taken over when the vault was opened.
fn note_adopted(global: &Global, vault: &Vault) {
    let adopted = vault.adopted();
    if let Some(path) = adopted.first() {
        let more = adopted.len().saturating_sub(1);
        global.screen.note(format!(
            "nothing authenticated {} and {more} other files of this home: they were taken as they \
             are, and from now on it shows if others change them; look at {} and {}",
            path.display(),
            here(&["peers", "list"], &[]),
            here(&["keys", "list"], &[]),
        ));
    }
}

/// The home of the opened vault, to change authenticated files.
pub(super) fn to_change(global: &Global) -> Result<Home, Failure> {
    ask(open_naming(global)).map(|(home, _)| home)
}

/// The seals of a new vault: from the global flags, or a passphrase that a person chooses.
pub(super) async fn seals(global: &Global) -> Result<Vec<Seal>, Failure> {
    let seal = match (&global.args.identity, given_passphrase(global)?) {
        (Some(_), Some(_)) => {
            return Err(Failure::new(Code::Usage, "both an identity and a passphrase were given")
                .hint("a new vault is sealed with one of them"));
        }
        (Some(path), None) => Seal::Identity(path.clone()),
        (None, given) => {
            Seal::Passphrase(passphrase::new(global, given, passphrase::DEVICE).await?)
        }
    };
    Ok(vec![seal])
}

/// The seals of a new vault on the token `uri`, with a passphrase as well if wanted.
pub(super) async fn token_seals(
    global: &Global,
    uri: &Uri,
    recovery_passphrase: bool,
) -> Result<Vec<Seal>, Failure> {
    let given = given_passphrase(global)?;
    if given.is_some() && !recovery_passphrase {
        return Err(Failure::new(Code::Usage, "both a token and a passphrase were given")
            .hint("to let either of them open the vault, add --recovery-passphrase"));
    }
    if global.args.identity.is_some() {
        return Err(Failure::new(Code::Usage, "both a token and an age identity were given").hint(
            "leave --identity (or COSIGN_IDENTITY) out; `cosign vault move --help` says how either \
             of them comes to open the vault",
        ));
    }
    let passphrase = match recovery_passphrase {
        true => Some(passphrase::new(global, given, passphrase::DEVICE).await?),
        false => None,
    };
    let key = token::new_key(global, uri, None).await?;
    Ok([Seal::Token(key)].into_iter().chain(passphrase.map(Seal::Passphrase)).collect())
}

/// The seals of a new vault: from the flags, or chosen by a person.
pub(super) async fn chosen_seals(global: &Global) -> Result<Vec<Seal>, Failure> {
    match token::offer(global).await? {
        Some(Protection::Token(uri)) => token_seals(global, &uri, false).await,
        Some(Protection::Identity(file)) => Ok(vec![Seal::Identity(file)]),
        Some(Protection::Passphrase) | None => seals(global).await,
    }
}

/// The name of a new device: the given one, a person's answer if `asks`, or the host's.
pub(super) async fn chosen_name(
    global: &Global,
    given: Option<&str>,
    asks: bool,
) -> Result<String, Failure> {
    if let Some(name) = given.or(global.name.as_deref()) {
        Vault::check_name(name)?;
        return Ok(name.to_owned());
    }
    let host = host_name();
    if !asks {
        return Ok(host);
    }
    loop {
        let question = format!("name of this device, as others will see it [{host}]: ");
        let name = match global.prompter.line(&question).await? {
            empty if empty.is_empty() => return Ok(host),
            name => name,
        };
        match Vault::check_name(&name) {
            Ok(()) => return Ok(name),
            Err(error) => global.screen.note(Failure::from(error).message),
        }
    }
}

/// Makes a device with this name, and tells a person what to keep safe.
pub(super) fn create(
    global: &Global,
    home: &Home,
    name: &str,
    seals: &[Seal],
    recovery: &[String],
) -> Result<Vault, Failure> {
    let device = Device::generate()
        .map_err(|e| Failure::new(Code::System, format!("cannot make a device key: {e}")))?;
    let info = DeviceInfo {
        name: name.to_owned(),
        fingerprint: device.fingerprint,
        certificate: device.certificate,
        created: clock::unix_now(),
    };
    let vault = Vault::create(home, &info, &device.key, &seals, recovery)?;
    if global.is_for_people() {
        global.screen.note(to_keep(seals));
    }
    Ok(vault)
}

/// The things that the owner of a new device must keep safe.
fn to_keep(seals: &[Seal]) -> String {
    let what = match seals {
        [Seal::Identity(file)] => format!("a copy of {}", file.display()),
        [Seal::Token(_)] => "the token and its PIN".to_owned(),
        [Seal::Token(_), ..] => "the token and its PIN, or the passphrase".to_owned(),
        _ => "the passphrase".to_owned(),
    };
    format!(
        "keep {what}: nothing else opens this device. Once a key is made, back up its share on each device: \
         {}",
        here(&["keys", "backup", "--help"], &[])
    )
}

/// As [`create`], for a command that needs a device; `None` if another process made one first.
pub(super) async fn make(global: &Global, home: &Home) -> Result<Option<Vault>, Failure> {
    global.screen.note(format!("there is no device in {} yet: making one", home.data.display()));
    let name = chosen_name(global, None, !token::is_settled(global)).await?;
    match create(global, home, &name, &chosen_seals(global).await?, &[]) {
        Ok(vault) => Ok(Some(vault)),
        Err(failure) if failure.code == Code::Conflict && Vault::exists(home) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Opens the vault with the secret from the command line; else with its token; else with a
/// passphrase that a person types.
async fn unlock(global: &Global, home: &Home, locks: &[Lock]) -> Result<Vault, Failure> {
    let opens = |lock| locks.contains(&lock);
    if opens(Lock::Passphrase)
        && let Some(passphrase) = given_passphrase(global)?
    {
        return Ok(Vault::open(home, &Unlock::Passphrase(passphrase))?);
    }
    if let Some(identity) = &global.args.identity
        && (opens(Lock::Identity) || !opens(Lock::Token))
    {
        return Ok(Vault::open(home, &Unlock::Identity(identity.clone()))?);
    }
    if let Some(record) = Vault::token(home)? {
        match token::find_again(global, &record).await? {
            Ok(found) => return with_token(global, home, &record, found).await,
            Err(error) if opens(Lock::Passphrase) && global.prompter.can_ask() => {
                let why = Failure::from(error);
                global.screen.note(format!("{why}: the passphrase opens the vault as well"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !opens(Lock::Passphrase) {
        return Err(Failure::new(Code::Interaction, "the vault needs its age identity file")
            .hint("use --identity FILE or COSIGN_IDENTITY"));
    }
    if let Some(typed) = global.typed.as_ref().and_then(|typed| typed.of(Path::new(TERMINAL))) {
        return Ok(Vault::open(home, &Unlock::Passphrase(typed))?);
    }
    let mut tries = 1;
    loop {
        let passphrase = global.prompter.passphrase().await?;
        let kept =
            global.typed.as_ref().map(|typed| (typed, Secret::new(passphrase.expose().clone())));
        match Vault::open(home, &Unlock::Passphrase(passphrase)) {
            Err(Error::WrongSecret) if tries < TRIES => {
                global.screen.note("wrong passphrase, try again");
                tries += 1;
            }
            opened => {
                if let Some((typed, passphrase)) = kept.filter(|_| opened.is_ok()) {
                    typed.note(TERMINAL.into(), &passphrase);
                }
                return Ok(opened?);
            }
        }
    }
}

/// The host's name, cleaned.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut name = Label::new(&name).as_str().to_owned();
    while name.len() > MAX_NAME {
        name.pop();
    }
    if name.is_empty() { "device".to_owned() } else { name }
}
