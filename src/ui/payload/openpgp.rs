//! Rows of what is signed in OpenPGP.

use super::{file_rows, in_fours, moment};
use crate::payload::openpgp::{Certificate, Form, KEY_TIME, Summary};
use crate::ui::text::quoted;

/// The rows of a file.
pub(super) fn signed(signed: &Summary) -> Vec<(&'static str, String)> {
    let Summary { form, time, fingerprint, sha256, file } = signed;
    let format = match form {
        Form::Detached => "OpenPGP, detached: of the file's bytes",
        Form::Clear => "OpenPGP, clear: of the text without blanks at the ends of lines",
    };
    let mut rows = vec![
        ("format", format.to_owned()),
        ("signed at", format!("{}, the requester says", moment(*time))),
        ("OpenPGP key", in_fours(fingerprint)),
        ("SHA-256", format!("{sha256}, of the file")),
    ];
    rows.extend(file_rows(file));
    rows
}

/// The rows of a user id.
pub(super) fn certificate(certificate: &Certificate) -> Vec<(&'static str, String)> {
    let Certificate { user_id, time, expires, fingerprint } = certificate;
    let expires = expires.map_or_else(|| "never".to_owned(), moment);
    vec![
        ("format", "OpenPGP certificate: whose key it is".to_owned()),
        ("user id", quoted(user_id)),
        ("OpenPGP key", in_fours(fingerprint)),
        ("created", format!("{}, as all of them", moment(KEY_TIME))),
        ("expires", expires),
        ("signed at", format!("{}, the requester says", moment(*time))),
    ]
}
