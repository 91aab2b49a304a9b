//! Rows of a commit or a tag of git.

use super::{in_fours, lines_of, moment};
use crate::payload::git::{Kind, Object, Person};
use crate::payload::openpgp::Git;
use crate::ui::text::quoted;

/// The rows. What is asked for most stands before the message, which may be long.
pub(super) fn object(git: &Git) -> Vec<(&'static str, String)> {
    let Git { object: Object { kind, headers, message }, time, fingerprint, .. } = git;
    let mut rows = match kind {
        Kind::Commit { author, committer, tree, parents } => {
            let mut rows = vec![
                ("format", "git commit, signed in OpenPGP".to_owned()),
                ("author", who(author)),
                ("authored at", when(author)),
                ("committer", who(committer)),
                ("committed", when(committer)),
                ("tree", tree.clone()),
            ];
            rows.extend(parents.iter().map(|parent| ("parent", parent.clone())));
            if parents.is_empty() {
                rows.push(("parent", "none: a first commit".to_owned()));
            }
            rows
        }
        Kind::Tag { tag, tagger, target, target_type } => vec![
            ("format", "git tag, signed in OpenPGP".to_owned()),
            ("tag", quoted(tag)),
            ("tagger", who(tagger)),
            ("tagged at", when(tagger)),
            ("object", format!("{target_type} {target}")),
        ],
    };
    for header in headers {
        rows.extend(lines_of("header", &format!("{} {}", header.name, header.value)));
    }
    rows.push(("signed at", format!("{}, the requester says", moment(*time))));
    rows.push(("OpenPGP key", in_fours(fingerprint)));
    rows.extend(lines_of("message", message));
    rows
}

fn who(person: &Person) -> String {
    quoted(&format!("{} <{}>", person.name, person.email))
}

fn when(person: &Person) -> String {
    format!("{}, zone {}", moment(person.time), person.zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_stands_before_the_message_and_nothing_imitates_a_row() {
        let text = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
                    author A\u{202e} <a@example.org> 1790000000 +0200\n\
                    committer B <b@example.org> 1790000001 +0000\n\
                    mergetag object 1\n type commit\n\n\
                    all\n\x1b[2J  tree    0a0b\n";
        let object = Object::read(text.as_bytes()).unwrap();
        let git = Git {
            object,
            time: 1_790_000_002,
            fingerprint: "AB".repeat(20),
            sha256: String::new(),
        };
        let rows = super::object(&git);
        let labels: Vec<&str> = rows.iter().map(|(label, _)| *label).collect();
        assert_eq!(
            labels,
            [
                "format",
                "author",
                "authored at",
                "committer",
                "committed",
                "tree",
                "parent",
                "header",
                "",
                "signed at",
                "OpenPGP key",
                "message",
                "",
                ""
            ]
        );
        assert_eq!(rows[1].1, "\"A\\u{202e} <a@example.org>\"");
        assert_eq!(rows[2].1, "2026-09-21T14:13:20Z, zone +0200");
        assert_eq!(
            (rows[7].1.as_str(), rows[8].1.as_str()),
            ("\"mergetag object 1\"", "\"type commit\"")
        );
        assert_eq!(rows[12].1, "\"\\u{1b}[2J␣␣tree␣␣␣␣0a0b\"");
        assert!(rows.iter().all(|(_, fact)| !fact.contains(char::is_control)));
    }
}
