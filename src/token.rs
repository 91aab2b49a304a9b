//! Hardware tokens, through PKCS#11.
//!
//! A PKCS#11 module is a foreign library, which may crash, hang or corrupt memory. So it is never
//! loaded into a process that holds a share: this program starts itself again with the module
//! ([`host`]), and exchanges frames with that process over its standard input and output
//! ([`frame`]), with a deadline for every answer (`client`). The other process sees the PIN, the
//! results of the token, and sealed files; it never sees a share or the vault's identity.
//!
//! One process and one logged-in session are used as long as the vault is open. The session is
//! read-only; a second one is opened for each write and closed after it. All of them end when this
//! side closes the pipe, even if it crashes.

pub mod frame;
pub mod host;
pub mod modules;
pub mod uri;

mod client;
mod confine;
mod error;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::Label;
use crate::secret::Secret;
use client::Client;
pub use error::{Error, Trouble};
use frame::{Reply, Request};
pub use uri::{Kind, Uri, UriError};

/// A token as its module describes it. All text comes from the module and is not cleaned: show
/// [`TokenInfo::name`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its slot, which is valid while the module is loaded.
    pub slot: u64,
    /// Its label.
    pub label: String,
    /// Its manufacturer.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// The module's manufacturer.
    pub library_manufacturer: String,
    /// The module's description of itself.
    pub library_description: String,
    /// The module's version, `MAJOR.MINOR`.
    pub library_version: String,
    /// The slot's description.
    pub slot_description: String,
    /// The slot's manufacturer.
    pub slot_manufacturer: String,
    /// Whether it was initialised.
    pub initialized: bool,
    /// Whether it has a user PIN.
    pub has_pin: bool,
    /// Whether it requires a login.
    pub wants_login: bool,
    /// Whether the PIN is typed on the reader.
    pub pinpad: bool,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// The remaining PIN tries, as far as it reports them.
    pub tries: Tries,
}

/// What a token reports about the remaining PIN tries. PKCS#11 has no number for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tries {
    /// Nothing unusual, or no report.
    #[default]
    Untold,
    /// A wrong PIN was entered since the last right one.
    Few,
    /// One is left.
    Last,
    /// None is left.
    None,
}

impl TokenInfo {
    /// Its label, or else its model, cleaned for display.
    pub fn name(&self) -> Label {
        let label = Label::capped(&self.label, 40);
        if label.is_empty() { Label::capped(&self.model, 40) } else { label }
    }

    /// Whether a vault can be sealed to it in its present state.
    pub fn is_usable(&self) -> bool {
        self.check().is_ok()
    }

    /// Fails with the reason if no vault can be sealed to it in its present state.
    fn check(&self) -> Result<(), Trouble> {
        match self {
            info if !info.initialized => Err(Trouble::Uninitialised),
            info if info.tries == Tries::None => Err(Trouble::LockedPin),
            info if !info.wants_login => Err(Trouble::NoLogin),
            info if !info.has_pin && !info.pinpad => Err(Trouble::NoUserPin),
            _ => Ok(()),
        }
    }

    /// Whether both describe the same token, perhaps through two modules.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.label, &self.serial, &self.manufacturer, &self.model)
            == (&other.label, &other.serial, &other.manufacturer, &other.model)
    }
}

/// A token that was found and is not open.
#[derive(Debug)]
pub struct Found {
    client: Client,
    /// Its description.
    pub info: TokenInfo,
}

/// A logged-in session with a token. It is closed when dropped.
#[derive(Debug)]
pub struct Session {
    client: Client,
    info: TokenInfo,
}

/// A P-256 key on an open token.
#[derive(Clone, Debug)]
pub struct Key {
    /// The session that it is used in.
    pub session: Arc<Session>,
    /// Its `CKA_ID`.
    pub id: Vec<u8>,
    /// Its public point, SEC1 uncompressed.
    pub point: Vec<u8>,
    /// Whether it was made for this vault, and is destroyed when the vault no longer needs it.
    pub made: bool,
    /// The file with the token's PIN, if one was named.
    pub pin_source: Option<PathBuf>,
}

/// A module and its tokens.
#[derive(Debug)]
pub struct Surveyed {
    /// The module's file.
    pub module: PathBuf,
    /// The tokens in its slots.
    pub tokens: Result<Vec<TokenInfo>, Error>,
}

/// Asks the module `named`, or else every module that the system knows and `also`. No answer is
/// waited for longer than `limit`.
///
/// # Errors
///
/// Each module's error is in its row.
pub fn survey(named: Option<&Path>, also: Option<&Path>, limit: Duration) -> Vec<Surveyed> {
    let mut paths = modules::candidates(&Uri::default(), named);
    if named.is_none() {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let known = |also: &&Path| paths.iter().any(|path| real(path) == real(also));
        paths.extend(also.filter(|also| !known(also)).map(Path::to_owned));
    }
    let seen = look(&paths, limit).into_iter();
    seen.map(|(module, seen)| Surveyed { module, tokens: seen.map(|(_, infos)| infos) }).collect()
}

/// Finds the one token that matches `uri`, in `module` or else in those that the system knows. No
/// answer is waited for longer than `limit`.
///
/// # Errors
///
/// [`Trouble::NoModule`], [`Trouble::NoToken`], [`Trouble::Several`], [`Trouble::Uninitialised`],
/// [`Trouble::NoUserPin`], [`Trouble::LockedPin`]; and the error of loading a module, if it is the
/// only one.
pub fn find(uri: &Uri, module: Option<&Path>, limit: Duration) -> Result<Found, Error> {
    let paths = modules::candidates(uri, module);
    let mut failed = Vec::new();
    let mut seen = Vec::new();
    let mut matching: Vec<(TokenInfo, usize)> = Vec::new();
    let mut clients = Vec::new();
    for (path, answer) in look(&paths, limit) {
        match answer {
            Err(error) if paths.len() == 1 => return Err(error),
            Err(_) => failed.push(path),
            Ok((client, infos)) => {
                for info in infos {
                    let known = matching.iter().any(|(other, _)| other.is_same(&info));
                    if uri.matches(&info) && !known {
                        matching.push((info, clients.len()));
                    } else if info.initialized {
                        seen.push(Uri::of(&info).to_string());
                    }
                }
                clients.push(client);
            }
        }
    }
    if matching.len() > 1 {
        // Some modules also show an empty slot for the next token.
        matching.retain(|(info, _)| info.initialized);
    }
    let nowhere = |trouble| Error { module: None, token: None, trouble };
    match (matching.pop(), matching.as_slice()) {
        (Some((info, at)), []) => {
            let client = clients.swap_remove(at);
            let found = Found { client, info };
            found.info.check().map_err(|trouble| found.error(trouble))?;
            Ok(found)
        }
        (Some((last, _)), others) => {
            let all = others.iter().map(|(info, _)| info).chain([&last]);
            let uris = all.map(|info| Uri { slot_id: Some(info.slot), ..Uri::of(info) });
            Err(nowhere(Trouble::Several { uris: uris.map(|uri| uri.to_string()).collect() }))
        }
        (None, _) if paths.is_empty() => Err(nowhere(Trouble::NoModule)),
        (None, _) => {
            let wanted = Uri { module_path: None, pin_source: None, ..uri.clone() }.to_string();
            Err(nowhere(Trouble::NoToken { wanted, seen, failed }))
        }
    }
}

/// The process of a module, and the tokens that it found.
type Seen = (Client, Vec<TokenInfo>);

/// Asks all modules at once for their tokens, each in a process of its own.
fn look(paths: &[PathBuf], limit: Duration) -> Vec<(PathBuf, Result<Seen, Error>)> {
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            paths.iter().map(|path| scope.spawn(move || look_at(path, limit))).collect();
        let answers = asked.into_iter().map(|thread| {
            let lost = || Error { module: None, token: None, trouble: Trouble::Crashed(None) };
            thread.join().unwrap_or_else(|_| Err(lost()))
        });
        paths.iter().cloned().zip(answers).collect()
    })
}

fn look_at(path: &Path, limit: Duration) -> Result<Seen, Error> {
    let error = |trouble| Error { module: Some(path.to_owned()), token: None, trouble };
    let client = Client::start(path, limit).map_err(error)?;
    client.call(&Request::Load, None).map_err(|trouble| match trouble {
        Trouble::Crashed(signal) => {
            let by = signal.map_or_else(String::new, |signal| format!(" with signal {signal}"));
            error(Trouble::Unloadable(format!("whoever loads it dies{by}")))
        }
        trouble => error(trouble),
    })?;
    match client.call(&Request::Tokens, None).map_err(error)? {
        (Reply::Tokens(infos), _) => Ok((client, infos)),
        _ => Err(error(Trouble::Nonsense)),
    }
}

impl Found {
    /// Logs in. The PIN is tried once; `None` if it is typed on the reader.
    ///
    /// # Errors
    ///
    /// [`Trouble::WrongPin`], [`Trouble::LockedPin`], [`Trouble::Sessions`], [`Trouble::Removed`], …
    pub fn open(self, pin: Option<&Secret<String>>) -> Result<Session, Error> {
        let request = Request::Open { slot: self.info.slot };
        let pin = pin.map(|pin| pin.expose().as_bytes());
        match self.client.call(&request, pin) {
            Ok((Reply::Done, _)) => Ok(Session { client: self.client, info: self.info }),
            Ok(_) => Err(self.error(Trouble::Nonsense)),
            Err(trouble) => Err(self.error(trouble)),
        }
    }

    fn error(&self, trouble: Trouble) -> Error {
        error(&self.client, &self.info, trouble)
    }
}

impl Session {
    /// The description of the token.
    pub fn info(&self) -> &TokenInfo {
        &self.info
    }

    /// The module's file.
    pub fn module(&self) -> &Path {
        self.client.module()
    }

    /// Makes a P-256 key that never leaves the token.
    ///
    /// # Errors
    ///
    /// [`Trouble::ReadOnly`], [`Trouble::Full`], [`Trouble::WrongKey`] if the token made a key that
    /// can be read, which is destroyed again.
    pub fn make_key(self: &Arc<Self>, id: &[u8], label: &str) -> Result<Key, Error> {
        let request = Request::MakeKey { id: id.to_vec(), label: label.to_owned() };
        match self.call(&request, None)? {
            (Reply::Key { id, point }, _) => {
                Ok(Key { session: self.clone(), id, point, made: true, pin_source: None })
            }
            _ => Err(self.error(Trouble::Nonsense)),
        }
    }

    /// The P-256 key on the token that matches the object in `uri`.
    ///
    /// # Errors
    ///
    /// [`Trouble::NoSuchKey`], [`Trouble::SeveralKeys`], [`Trouble::WrongKey`].
    pub fn find_key(self: &Arc<Self>, uri: &Uri) -> Result<Key, Error> {
        let request = Request::FindKey { id: uri.id.clone(), label: uri.object.clone() };
        match self.call(&request, None)? {
            (Reply::Key { id, point }, _) => {
                Ok(Key { session: self.clone(), id, point, made: false, pin_source: None })
            }
            _ => Err(self.error(Trouble::Nonsense)),
        }
    }

    /// Destroys both halves of the key `id`. A missing key is not an error.
    ///
    /// # Errors
    ///
    /// [`Trouble::ReadOnly`], [`Trouble::Removed`], …
    pub fn destroy_key(&self, id: &[u8]) -> Result<(), Error> {
        self.done(&Request::DestroyKey { id: id.to_vec() }, None)
    }

    /// ECDH inside the token: the x coordinate, 32 bytes. `point` is SEC1 uncompressed and on the
    /// curve.
    ///
    /// # Errors
    ///
    /// [`Trouble::NoKey`] if the key is no longer there, [`Trouble::Removed`], …
    pub fn derive(&self, id: &[u8], point: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let request = Request::Derive { id: id.to_vec(), point: point.to_vec() };
        match self.call(&request, None)? {
            (Reply::Content, secret) if secret.expose().len() == 32 => Ok(secret),
            _ => Err(self.error(Trouble::Nonsense)),
        }
    }

    /// Fails if the token is not there any more.
    ///
    /// # Errors
    ///
    /// [`Trouble::Removed`], …
    pub fn check(&self) -> Result<(), Error> {
        self.done(&Request::Check, None)
    }

    /// Stores `content` as a private data object called `label`, which must not exist.
    ///
    /// # Errors
    ///
    /// [`Error::does_not_fit`] tells whether only the object was refused.
    pub fn put(&self, label: &str, content: &[u8]) -> Result<(), Error> {
        self.done(&Request::Put { label: label.to_owned() }, Some(content))
    }

    /// The content of the data object called `label`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Trouble::Removed`], …
    pub fn fetch(&self, label: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.call(&Request::Fetch { label: label.to_owned() }, None)? {
            (Reply::Content, content) => Ok(Some(content.expose().clone())),
            (Reply::Done, _) => Ok(None),
            _ => Err(self.error(Trouble::Nonsense)),
        }
    }

    /// Destroys the data object called `label`. A missing one is not an error.
    ///
    /// # Errors
    ///
    /// [`Trouble::ReadOnly`], [`Trouble::Removed`], …
    pub fn destroy(&self, label: &str) -> Result<(), Error> {
        self.done(&Request::Destroy { label: label.to_owned() }, None)
    }

    /// An error for a key on this token that cannot be used; `why` is the reason.
    pub fn wrong_key(&self, why: &str) -> Error {
        self.error(Trouble::WrongKey(why.to_owned()))
    }

    /// Whether `uri` matches this token.
    pub fn is(&self, uri: &Uri) -> bool {
        uri.matches(&self.info)
    }

    fn done(&self, request: &Request, content: Option<&[u8]>) -> Result<(), Error> {
        match self.call(request, content)? {
            (Reply::Done, _) => Ok(()),
            _ => Err(self.error(Trouble::Nonsense)),
        }
    }

    fn call(
        &self,
        request: &Request,
        content: Option<&[u8]>,
    ) -> Result<(Reply, Secret<Vec<u8>>), Error> {
        self.client.call(request, content).map_err(|trouble| self.error(trouble))
    }

    fn error(&self, trouble: Trouble) -> Error {
        error(&self.client, &self.info, trouble)
    }
}

fn error(client: &Client, info: &TokenInfo, trouble: Trouble) -> Error {
    let token = Some(info.name());
    Error { module: Some(client.module().to_owned()), token, trouble }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_usable_or_it_is_known_why_it_is_not() {
        let sound = || TokenInfo {
            initialized: true,
            has_pin: true,
            wants_login: true,
            ..TokenInfo::default()
        };
        for usable in [
            sound(),
            TokenInfo { has_pin: false, pinpad: true, ..sound() },
            TokenInfo { pinpad: true, tries: Tries::Last, ..sound() },
        ] {
            assert!(usable.is_usable(), "{usable:?}");
        }
        for (info, why) in [
            (TokenInfo { initialized: false, ..sound() }, Trouble::Uninitialised),
            (TokenInfo { tries: Tries::None, ..sound() }, Trouble::LockedPin),
            (TokenInfo { wants_login: false, ..sound() }, Trouble::NoLogin),
            (TokenInfo { has_pin: false, ..sound() }, Trouble::NoUserPin),
        ] {
            assert!(!info.is_usable());
            assert_eq!(info.check(), Err(why));
        }
    }

    #[test]
    fn a_token_is_the_same_only_if_all_that_describes_it_is() {
        let token = |fields: [&str; 4]| {
            let [label, serial, manufacturer, model] = fields.map(str::to_owned);
            TokenInfo { label, serial, manufacturer, model, ..TokenInfo::default() }
        };
        let one = token(["a", "b", "c", "d"]);
        assert!(one.is_same(&TokenInfo { slot: 9, ..one.clone() }));
        for other in
            [["x", "b", "c", "d"], ["a", "x", "c", "d"], ["a", "b", "x", "d"], ["a", "b", "c", "x"]]
        {
            assert!(!one.is_same(&token(other)), "{other:?}");
        }
    }
}
