//! The process that holds a module: `cosign token-host MODULE`, started by this program itself.
//!
//! It answers requests on standard input, one at a time, until that is closed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Trouble;
use super::confine::confine;
use super::frame::{self, Reply, Request};
use crate::secret::Secret;

/// The argument that makes the program this process.
pub const COMMAND: &str = "token-host";

/// The module's file, if this is the command line of this process.
pub fn asked_for(argv: &[OsString]) -> Option<&Path> {
    match argv {
        [_, command, module] if command == COMMAND => Some(Path::new(module)),
        _ => None,
    }
}

/// Serves until standard input is closed.
pub fn serve(module: &Path) -> ExitCode {
    let served = answers().and_then(|out| {
        // Before there is a second thread, and before code of the module runs.
        confine(module);
        answer(module, &requests(), out)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The pipe for answers. Standard output itself is redirected, since a module may print.
fn answers() -> io::Result<File> {
    let out = rustix::io::dup(io::stdout())?;
    let nowhere = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(File::from(out))
}

type Asked = (Request, Secret<Vec<u8>>);

/// The requests, until standard input is closed. A module that hangs then gets a little time to
/// finish a write.
fn requests() -> Receiver<Asked> {
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        // Not through the buffer of `io::stdin`, which would keep a copy of the PIN.
        let Ok(stdin) = rustix::io::dup(io::stdin()) else { return };
        let mut stdin = File::from(stdin);
        while let Ok(request) = frame::read::<Request>(&mut stdin) {
            if sender.send(request).is_err() {
                return;
            }
        }
        drop(sender);
        std::thread::sleep(SHUTDOWN_TIMEOUT);
        std::process::abort();
    });
    requests
}

fn say(mut out: &File, reply: &Reply, content: &[u8]) -> io::Result<()> {
    out.write_all(frame::encode(reply, content)?.expose())
}

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(not(feature = "pkcs11"))]
fn answer(_module: &Path, requests: &Receiver<Asked>, out: File) -> io::Result<()> {
    requests.iter().try_for_each(|_| say(&out, &Reply::Failed(Trouble::NotBuilt), &[]))
}

#[cfg(feature = "pkcs11")]
use pkcs11::answer;

#[cfg(feature = "pkcs11")]
mod pkcs11 {
    use std::io::Read as _;

    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
    use cryptoki::error::{Error, RvError};
    use cryptoki::mechanism::Mechanism;
    use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
    use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
    use cryptoki::session::{Session, UserType};
    use cryptoki::slot::{Slot, TokenInfo as Described};
    use cryptoki::types::AuthPin;

    use super::*;
    use crate::token::confine::program;
    use crate::token::{TokenInfo, Tries};

    type Answered = Result<(Reply, Secret<Vec<u8>>), Trouble>;

    pub(super) fn answer(module: &Path, requests: &Receiver<Asked>, out: File) -> io::Result<()> {
        let mut library = None;
        let mut session = None;
        for (request, content) in requests {
            let answered = match (request, &library) {
                (Request::Load, _) => load(module).map(|loaded| {
                    library = Some(loaded);
                    (Reply::Done, nothing())
                }),
                (request, Some(library)) => handle(library, &mut session, request, &content),
                (_, None) => Err(Trouble::Nonsense),
            };
            match answered {
                Ok((reply, content)) => say(&out, &reply, content.expose())?,
                Err(trouble) => say(&out, &Reply::Failed(trouble), &[])?,
            }
        }
        // Closes the session and logs out before the module is finalised.
        drop(session);
        if let Some(library) = library {
            let _ = library.finalize();
        }
        Ok(())
    }

    fn load(module: &Path) -> Result<Pkcs11, Trouble> {
        Pkcs11::new(module).map_err(|e| match e {
            Error::LibraryLoading(e) if e.to_string().contains("C_GetFunctionList") => {
                Trouble::NotAModule
            }
            // For a library of another machine the system says that the file does not exist.
            Error::LibraryLoading(e) => {
                Trouble::Unloadable(foreign(module).unwrap_or_else(|| e.to_string()))
            }
            Error::MissingSymbol(_) | Error::NullFunctionPointer => Trouble::NotAModule,
            e => Trouble::Unready(e.to_string()),
        })
    }

    fn initialize(library: &Pkcs11) -> Result<(), Trouble> {
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(Error::Pkcs11(e, function)) => {
                Err(Trouble::Unready(format!("C_{function:?}: {e:?}")))
            }
            Err(e) => Err(Trouble::Unready(e.to_string())),
        }
    }

    /// The machine that a library is for, if it is not that of this program. The compared ELF
    /// headers have one layout on all machines.
    fn foreign(module: &Path) -> Option<String> {
        let machine = |path: &Path| {
            let mut header = [0; 20];
            File::open(path).and_then(|mut file| file.read_exact(&mut header)).ok()?;
            let [0x7f, b'E', b'L', b'F', class, order, .., low, high] = header else {
                return None;
            };
            let machine = if order == 2 { [high, low] } else { [low, high] };
            Some((class, order, u16::from_le_bytes(machine)))
        };
        let (theirs, ours) = (machine(module)?, machine(&program().ok()?)?);
        let name = |(class, _, machine): (u8, u8, u16)| {
            let known = MACHINES.iter().find(|(number, _)| *number == machine);
            let name = known.map_or_else(|| format!("ELF machine {machine}"), |(_, n)| (*n).into());
            format!("{name}, {} bits", if class == 1 { 32 } else { 64 })
        };
        let (is, wants) = (name(theirs), name(ours));
        (theirs != ours).then(|| format!("it is made for another machine: {is}, not {wants}"))
    }

    /// A session, its slot, and the key that was last used in it.
    struct Open {
        session: Session,
        slot: Slot,
        key: Option<Vec<u8>>,
    }

    fn handle(
        library: &Pkcs11,
        open: &mut Option<Open>,
        request: Request,
        content: &Secret<Vec<u8>>,
    ) -> Answered {
        let session = || open.as_ref().map(|o| &o.session).ok_or(Trouble::Nonsense);
        // For one write, and dropped after it.
        let writable = || {
            let slot = open.as_ref().map(|o| o.slot).ok_or(Trouble::Nonsense)?;
            library.open_rw_session(slot).map_err(trouble)
        };
        // An object that is not found may be on a token that was removed.
        let there = || check(library, open.as_ref().ok_or(Trouble::Nonsense)?);
        match request {
            Request::Load => return Err(Trouble::Nonsense),
            Request::Tokens => {
                initialize(library)?;
                return Ok((Reply::Tokens(tokens(library)?), nothing()));
            }
            Request::Open { slot } => {
                let slot = Slot::try_from(slot).map_err(trouble)?;
                let pin = Some(content).filter(|pin| !pin.expose().is_empty());
                *open = None;
                *open = Some(Open { session: log_in(library, slot, pin)?, slot, key: None });
            }
            Request::MakeKey { id, label } => {
                let point = make_key(&writable()?, &id, &label)?;
                return Ok((Reply::Key { id, point }, nothing()));
            }
            Request::FindKey { id, label } => {
                let (id, point) = find_key(session()?, id, label)?;
                return Ok((Reply::Key { id, point }, nothing()));
            }
            Request::DestroyKey { id } => {
                let session = writable()?;
                let mut gone = 0;
                for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                    gone +=
                        destroy(&session, &[Attribute::Class(class), Attribute::Id(id.clone())])?;
                }
                if gone == 0 {
                    there()?;
                }
            }
            Request::Derive { id, point } => {
                let secret = derive(session()?, &id, &point)?;
                open.iter_mut().for_each(|open| open.key = Some(id.clone()));
                return Ok((Reply::Content, secret));
            }
            Request::Check => there()?,
            Request::Put { label } => put(&writable()?, &label, content)?,
            Request::Fetch { label } => {
                let session = session()?;
                let found = session.find_objects(&named(&label)).map_err(trouble)?;
                if let [object, ..] = found.as_slice() {
                    return Ok((Reply::Content, value(session, *object)?));
                }
                there()?;
            }
            Request::Destroy { label } => {
                if destroy(&writable()?, &named(&label))? == 0 {
                    there()?;
                }
            }
        }
        Ok((Reply::Done, nothing()))
    }

    fn nothing() -> Secret<Vec<u8>> {
        Secret::new(Vec::new())
    }

    fn tokens(library: &Pkcs11) -> Result<Vec<TokenInfo>, Trouble> {
        let about = library.get_library_info().map_err(trouble)?;
        let mut tokens = Vec::new();
        for slot in library.get_slots_with_token().map_err(trouble)? {
            // The token was just removed, or the reader cannot use it.
            let Ok(token) = library.get_token_info(slot) else { continue };
            let place = library.get_slot_info(slot);
            let place = place.as_ref().map(|p| (p.slot_description(), p.manufacturer_id()));
            let (slot_description, slot_manufacturer) = place.unwrap_or_default();
            let version = about.library_version();
            tokens.push(TokenInfo {
                slot: slot.id(),
                label: clean(token.label()),
                manufacturer: clean(token.manufacturer_id()),
                model: clean(token.model()),
                serial: clean(token.serial_number()),
                library_manufacturer: clean(about.manufacturer_id()),
                library_description: clean(about.library_description()),
                library_version: format!("{}.{}", version.major(), version.minor()),
                slot_description: clean(slot_description),
                slot_manufacturer: clean(slot_manufacturer),
                initialized: token.token_initialized(),
                has_pin: token.user_pin_initialized(),
                wants_login: token.login_required(),
                pinpad: token.protected_authentication_path(),
                read_only: token.write_protected(),
                tries: tries(&token),
            });
        }
        Ok(tokens)
    }

    /// Text of fixed length without its padding: spaces by the standard, zeros from some modules.
    fn clean(text: &str) -> String {
        text.trim_end_matches([' ', '\0']).to_owned()
    }

    fn tries(token: &Described) -> Tries {
        if token.user_pin_locked() {
            Tries::None
        } else if token.user_pin_final_try() {
            Tries::Last
        } else if token.user_pin_count_low() {
            Tries::Few
        } else {
            Tries::Untold
        }
    }

    /// A read-only session, logged in with one try.
    fn log_in(
        library: &Pkcs11,
        slot: Slot,
        pin: Option<&Secret<Vec<u8>>>,
    ) -> Result<Session, Trouble> {
        let session = library.open_ro_session(slot).map_err(trouble)?;
        let pin = match pin {
            Some(pin) => {
                let text = std::str::from_utf8(pin.expose());
                Some(AuthPin::from(text.map_err(|_| Trouble::WrongPin(Tries::Untold))?))
            }
            None => None,
        };
        match session.login(UserType::User, pin.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => {
                let left = library.get_token_info(slot).map_or(Tries::Untold, |t| tries(&t));
                Err(if left == Tries::None { Trouble::LockedPin } else { Trouble::WrongPin(left) })
            }
            Err(e) => Err(trouble(e)),
        }
    }

    /// Fails if the token is not there any more. After a short removal some tokens show no objects
    /// and no error: then the key that was used is missing.
    fn check(library: &Pkcs11, open: &Open) -> Result<(), Trouble> {
        let info = open.session.get_session_info().map_err(trouble)?;
        let user = matches!(
            info.session_state(),
            cryptoki::session::SessionState::RoUser | cryptoki::session::SessionState::RwUser
        );
        let there = match library.get_token_info(open.slot).map_err(trouble) {
            Ok(token) => token.token_initialized(),
            // SoftHSM2 tells nothing about a token after it could not write to it.
            Err(Trouble::Refused { .. }) => open.key.is_some(),
            Err(trouble) => return Err(trouble),
        };
        let key = match &open.key {
            Some(id) => {
                let key = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.clone())];
                !open.session.find_objects(&key).map_err(trouble)?.is_empty()
            }
            None => true,
        };
        if user && there && key { Ok(()) } else { Err(Trouble::Removed) }
    }

    fn make_key(session: &Session, id: &[u8], label: &str) -> Result<Vec<u8>, Trouble> {
        let name = || [Attribute::Id(id.to_vec()), Attribute::Label(label.into())];
        let [id_of, label_of] = name();
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Derive(true),
            Attribute::EcParams(P256.to_vec()),
            id_of,
            label_of,
        ];
        let [id_of, label_of] = name();
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Derive(true),
            id_of,
            label_of,
        ];
        let made = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
        let (public, private) = made.map_err(trouble)?;
        let usable = stays_inside(session, private).and_then(|()| point(session, public));
        if usable.is_err() {
            let _ = session.destroy_object(private);
            let _ = session.destroy_object(public);
        }
        usable
    }

    fn find_key(
        session: &Session,
        id: Option<Vec<u8>>,
        label: Option<String>,
    ) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
        let id_of = id.map(Attribute::Id);
        let label_of = label.map(|label| Attribute::Label(label.into_bytes()));
        let class = Attribute::Class(ObjectClass::PRIVATE_KEY);
        let kind = Attribute::KeyType(KeyType::EC);
        let template: Vec<_> = [class, kind].into_iter().chain(id_of).chain(label_of).collect();
        let found = session.find_objects(&template).map_err(trouble)?;
        let private = match found.as_slice() {
            [] => return Err(Trouble::NoSuchKey),
            [only] => *only,
            _ => return Err(Trouble::SeveralKeys),
        };
        stays_inside(session, private)?;
        let mut told = session.get_attributes(private, &[AttributeType::Id]).map_err(trouble)?;
        let Some(Attribute::Id(id)) = told.pop() else {
            return Err(Trouble::WrongKey("it has no CKA_ID".into()));
        };
        let class = Attribute::Class(ObjectClass::PUBLIC_KEY);
        let public = session.find_objects(&[class, Attribute::Id(id.clone())]).map_err(trouble)?;
        // Some tokens store no public object, and give the point with the private one.
        let holder = public.first().copied().unwrap_or(private);
        Ok((id, point(session, holder)?))
    }

    /// Refuses a private key that the token would export. An attribute that it does not report is
    /// taken as safe.
    fn stays_inside(session: &Session, private: ObjectHandle) -> Result<(), Trouble> {
        for kind in [AttributeType::Sensitive, AttributeType::Extractable] {
            match session.get_attributes(private, &[kind]).as_deref() {
                Ok([Attribute::Sensitive(false)]) => {
                    return Err(Trouble::WrongKey("it is not sensitive".into()));
                }
                Ok([Attribute::Extractable(true)]) => {
                    return Err(Trouble::WrongKey("it is extractable".into()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The public point as the token gives it: SEC1, usually inside an ASN.1 OCTET STRING.
    fn point(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Trouble> {
        let told = session.get_attributes(key, &[AttributeType::EcPoint]).map_err(trouble)?;
        match told.as_slice() {
            [Attribute::EcPoint(point)] => Ok(match point.as_slice() {
                [4, length, rest @ ..] if rest.len() == usize::from(*length) => rest.to_vec(),
                point => point.to_vec(),
            }),
            _ => Err(Trouble::WrongKey("the token does not tell its public half".into())),
        }
    }

    /// Uses the parameters that all tokens support: no KDF, the raw point, a template without
    /// `CKA_PRIVATE`.
    fn derive(session: &Session, id: &[u8], point: &[u8]) -> Result<Secret<Vec<u8>>, Trouble> {
        let key = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
        let found = session.find_objects(&key).map_err(trouble)?;
        let key = *found.first().ok_or(Trouble::NoKey)?;
        let template = [
            Attribute::Token(false),
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::ValueLen(32.into()),
        ];
        let parameters = Ecdh1DeriveParams::new(EcKdf::null(), point);
        let derived = session
            .derive_key(&Mechanism::Ecdh1Derive(parameters), key, &template)
            .map_err(trouble)?;
        let secret = value(session, derived);
        let _ = session.destroy_object(derived);
        secret
    }

    fn put(session: &Session, label: &str, content: &Secret<Vec<u8>>) -> Result<(), Trouble> {
        if !session.find_objects(&named(label)).map_err(trouble)?.is_empty() {
            return Err(Trouble::Taken);
        }
        let [class, application, label] = named(label);
        let object = [
            class,
            application,
            label,
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Value(content.expose().clone()),
        ];
        session.create_object(&object).map(|_| ()).map_err(trouble)
    }

    /// The attributes by which a data object of ours is found.
    fn named(label: &str) -> [Attribute; 3] {
        [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Application(b"cosign".to_vec()),
            Attribute::Label(label.as_bytes().to_vec()),
        ]
    }

    fn value(session: &Session, object: ObjectHandle) -> Result<Secret<Vec<u8>>, Trouble> {
        let mut told = session.get_attributes(object, &[AttributeType::Value]).map_err(trouble)?;
        match told.pop() {
            Some(Attribute::Value(value)) => Ok(Secret::new(value)),
            _ => Err(refused(Function::GetAttributeValue, "no CKA_VALUE")),
        }
    }

    /// Destroys the matching objects, and returns how many there were.
    fn destroy(session: &Session, template: &[Attribute]) -> Result<usize, Trouble> {
        let found = session.find_objects(template).map_err(trouble)?;
        for object in &found {
            session.destroy_object(*object).map_err(trouble)?;
        }
        Ok(found.len())
    }

    fn trouble(error: Error) -> Trouble {
        let Error::Pkcs11(value, function) = error else {
            return Trouble::Refused { function: "PKCS#11".into(), value: error.to_string() };
        };
        match value {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
                Trouble::WrongPin(Tries::Untold)
            }
            RvError::PinLocked => Trouble::LockedPin,
            RvError::PinExpired => Trouble::ExpiredPin,
            RvError::UserPinNotInitialized => Trouble::NoUserPin,
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::SlotIdInvalid
            | RvError::UserNotLoggedIn => Trouble::Removed,
            RvError::SessionCount => Trouble::Sessions,
            RvError::TokenWriteProtected
            | RvError::SessionReadOnly
            | RvError::SessionReadOnlyExists => Trouble::ReadOnly,
            RvError::DeviceMemory => Trouble::Full,
            value => refused(function, &format!("{value:?}")),
        }
    }

    fn refused(function: Function, value: &str) -> Trouble {
        Trouble::Refused { function: format!("C_{function:?}"), value: value.to_owned() }
    }

    /// The object identifier of P-256, 1.2.840.10045.3.1.7, in DER.
    const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

    /// `e_machine` of ELF.
    const MACHINES: &[(u16, &str)] = &[
        (3, "x86"),
        (8, "MIPS"),
        (20, "PowerPC"),
        (21, "PowerPC"),
        (22, "s390x"),
        (40, "ARM"),
        (62, "x86-64"),
        (183, "AArch64"),
        (243, "RISC-V"),
        (258, "LoongArch"),
    ];
}
