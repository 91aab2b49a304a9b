//! Messages of hardware tokens and of the processes with their modules, and files sealed to tokens.

use age_core::format::{Stanza, read::age_stanza};
use cosign::report::Failure;
use cosign::secret::Secret;
use cosign::token::frame::{self, Reply, Request};
use cosign::token::{self, TokenInfo, Tries, Trouble, Uri, modules};
use cosign::vault::tag;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::{PublicKey, SecretKey};

use crate::changes::changed;

/// One frame between the program and the process that holds a module, raw and changed, the first byte
/// says of which kind: what is read means the same when it is written and read, and is fit to be
/// shown when it is shown.
pub(crate) fn token_frame(bytes: &[u8]) {
    let Some((first, changes)) = bytes.split_first() else { return };
    let replies = [
        Reply::Tokens(vec![info()]),
        Reply::Key { id: vec![1, 2], point: vec![4; 65] },
        Reply::Content,
        Reply::Failed(Trouble::WrongPin(Tries::Last)),
        Reply::Failed(Trouble::Unready("C_Initialize: no".into())),
        Reply::Failed(Trouble::Several { uris: vec!["pkcs11:".into()] }),
        Reply::Failed(Trouble::Refused { function: "C_Login".into(), value: "1".into() }),
    ];
    let requests = [
        Request::Open { slot: 7 },
        Request::FindKey { id: Some(vec![1]), label: None },
        Request::Derive { id: vec![1], point: vec![4; 65] },
        Request::Put { label: "share".into() },
    ];
    let reply = &replies[usize::from(*first) % replies.len()];
    let request = &requests[usize::from(*first) % requests.len()];
    let honest = [frame::encode(reply, b"content"), frame::encode(request, b"content")];
    let honest = honest.map(|frame| changed(frame.unwrap().expose(), changes));
    for stream in honest.iter().map(Vec::as_slice).chain([bytes, changes]) {
        if let Ok((reply, content)) = frame::read::<Reply>(stream) {
            let again = frame::encode(&reply, content.expose()).unwrap();
            let (other, same) = frame::read::<Reply>(again.expose().as_slice()).unwrap();
            assert_eq!(format!("{other:?}"), format!("{reply:?}"));
            assert_eq!(same.expose(), content.expose());
            shown(reply);
        }
        if let Ok((request, content)) = frame::read::<Request>(stream) {
            let again = frame::encode(&request, content.expose()).unwrap();
            let (other, same) = frame::read::<Request>(again.expose().as_slice()).unwrap();
            assert_eq!(format!("{other:?}"), format!("{request:?}"));
            assert_eq!(same.expose(), content.expose());
        }
    }
}

/// A reply as it is shown.
fn shown(reply: Reply) {
    let plain = |text: &str| assert!(!text.chars().any(char::is_control), "{text:?}");
    match reply {
        Reply::Tokens(infos) => {
            for info in infos {
                plain(info.name().as_str());
                let uri = Uri::of(&info).to_string();
                plain(&uri);
                assert_eq!(uri.parse(), Ok(Uri::of(&info)));
            }
        }
        Reply::Failed(trouble) => {
            let failure = Failure::from(token::Error { module: None, token: None, trouble });
            plain(&failure.message);
            failure.hint.iter().for_each(|hint| plain(hint));
        }
        Reply::Key { .. } | Reply::Content | Reply::Done => {}
    }
}

fn info() -> TokenInfo {
    TokenInfo {
        slot: 7,
        label: "My token".into(),
        manufacturer: "SoftHSM project".into(),
        model: "SoftHSM v2".into(),
        serial: "0123abcd".into(),
        initialized: true,
        has_pin: true,
        ..TokenInfo::default()
    }
}

/// A stanza for a key on a token, and the whole file, raw and changed: only the written stanza
/// opens, and only the sealed content comes out.
pub(crate) fn stanza(bytes: &[u8]) {
    let sealed = include_bytes!("sealed-to-tag.age");
    let start = sealed.windows(3).position(|word| word == b"-> ").unwrap();
    let honest = parsed(&sealed[start..]).unwrap();
    let key = SecretKey::from_slice(&[7; 32]).unwrap();
    let identity = tag::Identity::new(key.public_key(), |point: &[u8]| {
        // Off the curve a token might tell of its key.
        let point = PublicKey::from_sec1_bytes(point).unwrap();
        let shared = (point.to_projective() * *key.to_nonzero_scalar()).to_affine();
        Ok(Secret::new(shared.to_encoded_point(false).x().unwrap().to_vec()))
    });
    assert!(matches!(age::Identity::unwrap_stanza(&identity, &honest), Some(Ok(_))));
    let changes = changed(&sealed[start..], bytes);
    for text in [bytes, &changes] {
        let Some(stanza) = parsed(text) else { continue };
        if let Some(Ok(_)) = age::Identity::unwrap_stanza(&identity, &stanza) {
            assert_eq!(stanza, honest);
        }
    }
    for file in [bytes, &changed(sealed, bytes)] {
        let Ok(decryptor) = age::Decryptor::new_buffered(file) else { continue };
        let Ok(mut reader) = decryptor.decrypt(std::iter::once(&identity as _)) else { continue };
        let mut content = Vec::new();
        if std::io::Read::read_to_end(&mut reader, &mut content).is_ok() {
            assert_eq!(content, b"content");
        }
    }
}

fn parsed(text: &[u8]) -> Option<Stanza> {
    let (_, stanza) = age_stanza(text).ok()?;
    let args = stanza.args.iter().map(|arg| (*arg).to_owned()).collect();
    Some(Stanza { tag: stanza.tag.to_owned(), args, body: stanza.body() })
}

/// A `pkcs11:` URI, raw and changed: one that is understood is the same after printing and parsing.
pub(crate) fn uri(bytes: &[u8]) {
    let honest = b"pkcs11:token=My%20token;serial=0a;id=%01%ff;type=private?module-path=/lib/a.so&\
                   pin-source=file:/etc/pin";
    String::from_utf8_lossy(honest).parse::<Uri>().unwrap();
    for bytes in [bytes.to_vec(), changed(honest, bytes)] {
        if let Ok(uri) = String::from_utf8_lossy(&bytes).parse::<Uri>() {
            assert_eq!(uri.to_string().parse(), Ok(uri));
        }
    }
}

/// A module file of p11-kit, raw and changed: it names a library on one of its lines, and none once it is
/// not for this program.
pub(crate) fn module_file(bytes: &[u8]) {
    let honest = b"# a token\nmodule: /usr/lib/libtoken.so\nenable-in: cosign, other\n\
        disable-in: firefox\ntrust-policy: no\npriority: 1\n";
    assert!(modules::parse(&String::from_utf8_lossy(honest)).is_some());
    for text in [bytes, &changed(honest, bytes)] {
        let text = String::from_utf8_lossy(text);
        let Some(module) = modules::parse(&text) else { continue };
        let named = module.to_str().unwrap();
        assert!(!named.is_empty() && text.lines().any(|line| line.trim_end().ends_with(named)));
        for line in ["disable-in: cosign", "enable-in: other", "trust-policy: yes", "remote: |x"] {
            assert_eq!(modules::parse(&format!("{line}\n{text}")), None);
        }
    }
}
