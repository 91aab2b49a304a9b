//! `cosign token`, and for the other commands: finding a token, asking for its PIN, opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::given::given;
use super::output::Table;
use super::{Global, Output};
use crate::device::{Label, hex};
use crate::driver::clock;
use crate::report::{self, Code, Failure};
use crate::secret::Secret;
use crate::token::{self, Found, Key, Session, Surveyed, TokenInfo, Tries, Uri, UriError};
use crate::vault::{TokenRecord, Vault};

#[derive(Serialize)]
struct Row {
    label: Label,
    manufacturer: Label,
    model: Label,
    serial: Label,
    state: &'static str,
    read_only: bool,
    uri: Uri,
    module: PathBuf,
}

impl Row {
    fn new(info: &TokenInfo, module: &Path) -> Self {
        Self {
            label: Label::new(&info.label),
            manufacturer: Label::new(&info.manufacturer),
            model: Label::new(&info.model),
            serial: Label::new(&info.serial),
            state: state(info),
            read_only: info.read_only,
            uri: Uri::of(info),
            module: module.to_owned(),
        }
    }
}

fn state(info: &TokenInfo) -> &'static str {
    match info.tries {
        _ if !info.initialized => "not initialised",
        Tries::None => "PIN locked",
        _ if !info.wants_login => "without a PIN",
        _ if !info.has_pin && !info.pinpad => "no PIN set",
        Tries::Last => "one try left",
        Tries::Few => "few tries left",
        Tries::Untold => "ready",
    }
}

#[derive(Serialize)]
struct Module {
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The URI of `flag`. An error does not repeat it, since it may hold a PIN.
pub(super) fn uri(flag: &str, text: &str) -> Result<Uri, Failure> {
    text.parse().map_err(|why: UriError| {
        Failure::new(Code::Usage, format!("{flag}: the URI {why}"))
            .hint("such as 'pkcs11:token=My%20token'; `cosign token list` shows what to write")
    })
}

/// The tokens by module, also for `doctor`.
pub(super) fn survey(global: &Global) -> Vec<Surveyed> {
    let vaults =
        crate::cli::given::home(global).and_then(|home| Ok(Vault::token(&home)?)).ok().flatten();
    let also = vaults.as_ref().map(|record| record.module.as_path());
    token::survey(global.args.module.as_deref(), also, lock_timeout(global))
}

/// Lists the tokens.
pub(super) fn run_list(global: &Global) -> Result<Output, Failure> {
    let mut rows = Vec::new();
    let mut modules = Vec::new();
    for Surveyed { module, tokens } in survey(global) {
        let error = match tokens {
            Ok(tokens) => {
                rows.extend(tokens.iter().map(|info| Row::new(info, &module)));
                None
            }
            Err(error) if global.args.module.is_some() => return Err(error.into()),
            Err(error) => Some(Failure::from(error).message),
        };
        modules.push(Module { path: module, error });
    }
    for message in modules.iter().filter_map(|module| module.error.as_ref()) {
        global.screen.note(message);
    }
    let mut table = Table::new(["TOKEN", "STATE", "MODEL", "SERIAL", "URI"]);
    for row in &rows {
        let [label, model, serial] = [&row.label, &row.model, &row.serial].map(Label::as_str);
        table.row([label, row.state, model, serial, &row.uri.to_string()]);
    }
    let text = match (rows.is_empty(), modules.is_empty()) {
        (false, _) => table.text(),
        (true, false) => "no token is plugged in".to_owned(),
        (true, true) => "no token is plugged in, and no PKCS#11 module is known".to_owned(),
    };
    Output::new(json!({ "tokens": rows, "modules": modules }), text)
}

/// Asks for the seal of a new vault: a connected token, a passphrase or an identity file; `None` if
/// no person can be asked, or the flags give it.
pub(super) async fn offer(global: &Global) -> Result<Option<Protection>, Failure> {
    if is_settled(global) {
        return Ok(None);
    }
    let args = &global.args;
    let (module, limit) = (args.module.clone(), lock_timeout(global));
    let seen = aside(move || Ok(token::survey(module.as_deref(), None, limit))).await?;
    let infos = seen.into_iter().filter_map(|seen| seen.tokens.ok()).flatten();
    let usable: Vec<TokenInfo> = infos.filter(|info| info.is_usable() && !info.read_only).collect();
    let shown = |info: &TokenInfo| {
        let [model, serial] = [&info.model, &info.serial].map(|text| Label::capped(text, 40));
        format!("token {:?} ({model} {serial})", info.name())
    };
    let mut choices: Vec<String> = usable.iter().map(shown).collect();
    choices.extend(["a passphrase".to_owned(), "an age identity file".to_owned()]);
    let chosen = global.prompter.pick("protection", "--token or --identity", &choices).await?;
    Ok(Some(match (usable.get(chosen), chosen == usable.len()) {
        (Some(token), _) => Protection::Token(Box::new(Uri::of(token))),
        (None, true) => Protection::Passphrase,
        (None, false) => {
            let file = global.prompter.line("which file? ").await?;
            Protection::Identity(std::path::absolute(&file).unwrap_or_else(|_| file.into()))
        }
    }))
}

/// Whether the flags give the seal of a new vault, or no person can be asked.
pub(super) fn is_settled(global: &Global) -> bool {
    let args = &global.args;
    args.identity.is_some()
        || args.passphrase_file.is_some()
        || args.passphrase_fd.is_some()
        || !global.prompter.can_ask()
}

/// A chosen seal of a new vault.
#[derive(Debug)]
pub(super) enum Protection {
    /// A key on this token.
    Token(Box<Uri>),
    /// A passphrase.
    Passphrase,
    /// The age identity in this file.
    Identity(PathBuf),
}

/// A key on the token that `uri` names, for a new seal: the key in the URI, or a new one. If `open`
/// is a session with that token, it is used.
pub(super) async fn new_key(
    global: &Global,
    uri: &Uri,
    open: Option<Arc<Session>>,
) -> Result<Key, Failure> {
    // Looked for even if `open` is given: another token may match as well.
    let found = find(global, uri, global.args.module.clone()).await??;
    let session = match open.filter(|session| session.info().is_same(&found.info)) {
        Some(session) => session,
        None => Arc::new(log_in(global, uri, found).await?),
    };
    let uri = uri.clone();
    aside(move || {
        let key = if uri.id.is_some() || uri.object.is_some() {
            session.find_key(&uri)?
        } else {
            let random = clock::nonce()?;
            let (id, _) = random.split_at(8);
            session.make_key(id, &format!("cosign {}", hex(id)))?
        };
        Ok(Key { pin_source: uri.pin_source, ..key })
    })
    .await
}

/// Finds the token that a vault is sealed to.
pub(super) async fn find_again(
    global: &Global,
    record: &TokenRecord,
) -> Result<Result<Found, token::Error>, Failure> {
    // If an update has moved the module, the token is looked for like a new one.
    let known = Some(&record.module).filter(|module| module.exists());
    let module = global.args.module.as_ref().or(known).cloned();
    find(global, &record.uri, module).await
}

/// Runs work that may take long in a thread, so that questions and signals are still served.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| Err(report::bug("the work with a token stopped")))
}

async fn find(
    global: &Global,
    uri: &Uri,
    module: Option<PathBuf>,
) -> Result<Result<Found, token::Error>, Failure> {
    let (uri, limit) = (uri.clone(), lock_timeout(global));
    aside(move || Ok(token::find(&uri, module.as_deref(), limit))).await
}

/// Logs in to the token that a vault is sealed to. Flags for the PIN come before the PIN file that
/// the vault remembers. The last try is left to a person.
pub(super) async fn log_in_again(
    global: &Global,
    record: &TokenRecord,
    found: Found,
) -> Result<Session, Failure> {
    let person = found.info.tries == Tries::Last && global.prompter.can_ask();
    let remembered = record.uri.pin_source.clone();
    let pin_source = remembered.filter(|_| !pin_is_told(global) && !person);
    log_in(global, &Uri { pin_source, ..record.uri.clone() }, found).await
}

/// Whether the flags give the PIN.
pub(super) fn pin_is_told(global: &Global) -> bool {
    global.args.pin_fd.is_some() || global.args.pin_file.is_some()
}

/// Gets the PIN of a token and tries it once.
async fn log_in(global: &Global, uri: &Uri, found: Found) -> Result<Session, Failure> {
    let pin = pin(global, uri, &found).await?;
    aside(move || Ok(found.open(pin.as_ref())?)).await
}

/// The PIN: from the file that the URI names, from the flags, or from a person. `None` if the
/// reader has a pad and asks itself.
async fn pin(global: &Global, uri: &Uri, found: &Found) -> Result<Option<Secret<String>>, Failure> {
    let name = found.info.name();
    let told = match &uri.pin_source {
        Some(path) => given(global, "PIN", None, Some(path)).map_err(|failure| {
            failure.hint("the token's URI names it as pin-source; --pin-file names another one")
        })?,
        None => given(global, "PIN", global.args.pin_fd, global.args.pin_file.as_deref())?,
    };
    match told {
        Some(pin) if pin.expose().is_empty() => {
            return Err(Failure::new(Code::Usage, "the PIN is empty"));
        }
        // A service that is restarted with an old PIN must not lock the token.
        Some(_) if found.info.tries == Tries::Last => {
            let why =
                format!("token {name:?} locks with the next wrong PIN: it is not tried unattended");
            return Err(Failure::new(Code::Locked, why)
                .hint("run a command in a terminal without --pin-file and type the PIN"));
        }
        Some(pin) => return Ok(Some(pin)),
        None => {}
    }
    if found.info.pinpad {
        global.screen.note(format!("type the PIN of token {name:?} on its reader"));
        return Ok(None);
    }
    match found.info.tries {
        Tries::Last => global.screen.note("the token says that the next wrong PIN locks it"),
        Tries::Few => global.screen.note("a wrong PIN was entered before: few tries are left"),
        Tries::Untold | Tries::None => {}
    }
    let pin = global.prompter.pin(name.as_str()).await?;
    match pin.expose().is_empty() {
        // An empty PIN would count as a try, or be requested on the pad of a reader that has none.
        true => Err(Failure::new(Code::Denied, "no PIN was entered")),
        false => Ok(Some(pin)),
    }
}

/// Longest wait for a module's answer; without `--timeout` the usual one.
fn lock_timeout(global: &Global) -> Duration {
    global.timeout().unwrap_or(Duration::MAX)
}
