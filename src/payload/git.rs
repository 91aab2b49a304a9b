//! Commits and tags of git, which git has signed in OpenPGP as they are: what is hashed is the object without the signature.
//!
//! An object is read strictly, in the one order in which git writes it, so that no other reader finds another author, tree or
//! message in it. Headers that are not known here are passed on by name.

use serde::Serialize;

use super::Refused;

/// The largest object, in bytes: its signer reads all of it.
pub const MAX_OBJECT: u64 = 64 << 10;

/// Whether `bytes` begin as a commit, a tag or the certificate of a push, which git takes for signed if there is an OpenPGP signature of
/// them. Line ends may be those of OpenPGP.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let names = |bytes: &[u8], word: &[u8]| {
        let rest = bytes.strip_prefix(word)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let behind = rest.get(digits..)?;
        let ends = matches!(behind, [] | [b'\n', ..] | [b'\r', b'\n', ..]);
        Some(matches!(digits, 40 | 64) && ends)
    };
    names(bytes, b"tree ").or_else(|| names(bytes, b"object ")).unwrap_or_default()
        || bytes.starts_with(b"certificate version ")
}

/// A commit or a tag. Texts are raw and must be cleaned for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Which of both, and what only it has.
    #[serde(flatten)]
    pub kind: Kind,
    /// The headers that are not known here, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The whole message.
    pub message: String,
}

/// A commit, or a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A commit. Ids are in hexadecimal.
    Commit {
        /// Who has made the change.
        author: Person,
        /// Who has made the commit.
        committer: Person,
        /// The id of the tree of files.
        tree: String,
        /// The ids of the commits before it.
        parents: Vec<String>,
    },
    /// A tag.
    Tag {
        /// Its name.
        tag: String,
        /// Who has made it.
        tagger: Person,
        /// The id of what it names.
        target: String,
        /// What that is: `commit`, `tree`, `blob` or `tag`.
        target_type: String,
    },
}

/// Somebody, and when, as the object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The name, which may be empty.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// When, in seconds since 1970.
    pub time: i64,
    /// The time zone: `+0200`.
    pub zone: String,
}

/// A header of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, which may have several lines.
    pub value: String,
}

impl Object {
    /// Reads the object that is to be signed.
    ///
    /// # Errors
    /// It is no commit or tag as git writes them, is signed already, or is not in UTF-8; the reason names the place.
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| Refused::at("object", "it is no text in UTF-8"))?;
        // Without headers, the message is behind an empty line.
        let (head, message) = text
            .split_once("\n\n")
            .ok_or_else(|| Refused::at("object", "it has no message behind an empty line"))?;
        let mut headers = Headers(headers(head)?);
        let kind = match headers.0.first().map(|header| header.name.as_str()) {
            Some("tree") => headers.commit()?,
            Some("object") if text.split('\n').any(is_signature) => {
                return Err(Refused::at("message", "git would take a line of it for a signature"));
            }
            Some("object") => headers.tag()?,
            _ => return Err(Refused::at("object", "it is no commit and no tag")),
        };
        let headers = headers.0;
        for Header { name, value } in &headers {
            let why = match name.as_str() {
                "tree" | "parent" | "author" | "committer" | "object" | "type" | "tag"
                | "tagger" => "it is not where git writes it",
                name if name.starts_with("gpgsig") => "it is signed already",
                "encoding" if !is_utf8(value) => "the message is in another encoding than UTF-8",
                _ => continue,
            };
            return Err(Refused::at(name, why));
        }
        Ok(Self { kind, headers, message: message.to_owned() })
    }
}

/// Whether git, which looks for it in tags, takes this line for the beginning of a signature.
fn is_signature(line: &str) -> bool {
    let starts = ["PGP SIGNATURE", "PGP MESSAGE", "SIGNED MESSAGE", "SSH SIGNATURE"];
    let begun = line.strip_prefix("-----BEGIN ");
    begun.is_some_and(|rest| starts.iter().any(|start| rest.starts_with(start)))
}

fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8"].iter().any(|name| name.eq_ignore_ascii_case(encoding))
}

/// The headers of an object. Lines that begin with a blank continue the one before.
fn headers(head: &str) -> Result<Vec<Header>, Refused> {
    let mut headers: Vec<Header> = Vec::new();
    for line in head.split('\n') {
        match (line.strip_prefix(' '), headers.last_mut()) {
            (Some(more), Some(header)) => {
                header.value.push('\n');
                header.value += more;
            }
            _ => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
                let header = line
                    .split_once(' ')
                    .filter(|(name, _)| !name.is_empty() && name.chars().all(is_name));
                let (name, value) =
                    header.ok_or_else(|| Refused::at("object", "a header has no name or value"))?;
                headers.push(Header { name: name.to_owned(), value: value.to_owned() });
            }
        }
    }
    Ok(headers)
}

/// Headers, of which the first ones are taken.
struct Headers(Vec<Header>);

impl Headers {
    fn commit(&mut self) -> Result<Kind, Refused> {
        let tree = self.id("tree", None)?;
        let mut parents = Vec::new();
        while self.is_next("parent") {
            parents.push(self.id("parent", Some(&tree))?);
        }
        let (author, committer) = (self.person("author")?, self.person("committer")?);
        Ok(Kind::Commit { author, committer, tree, parents })
    }

    fn tag(&mut self) -> Result<Kind, Refused> {
        let target = self.id("object", None)?;
        let target_type = self.take("type")?;
        if !["commit", "tree", "blob", "tag"].contains(&target_type.as_str()) {
            return Err(Refused::at("type", "it is none of git"));
        }
        let tag = self.take("tag")?;
        if tag.is_empty() || tag.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Refused::at("tag", "it is no name"));
        }
        let tagger = self.person("tagger")?;
        Ok(Kind::Tag { tag, tagger, target, target_type })
    }

    fn is_next(&self, name: &str) -> bool {
        self.0.first().is_some_and(|header| header.name == name)
    }

    /// The value of the next header, which has this name.
    fn take(&mut self, name: &str) -> Result<String, Refused> {
        if !self.is_next(name) {
            return Err(Refused::at(name, "it is missing, or not where git writes it"));
        }
        Ok(self.0.remove(0).value)
    }

    /// An id of 20 or 32 bytes, as long as `like`.
    fn id(&mut self, name: &str, like: Option<&str>) -> Result<String, Refused> {
        let id = self.take(name)?;
        let is_digits = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_long = like.map_or(matches!(id.len(), 40 | 64), |like| id.len() == like.len());
        match is_digits && is_long {
            true => Ok(id),
            false => Err(Refused::at(name, "it is no id")),
        }
    }

    fn person(&mut self, name: &str) -> Result<Person, Refused> {
        let value = self.take(name)?;
        person(&value).ok_or_else(|| Refused::at(name, "it is no name, mail address and time"))
    }
}

/// `Name <mail> seconds zone`.
fn person(text: &str) -> Option<Person> {
    let (name, rest) = text.split_once('<')?;
    let (email, moment) = rest.split_once("> ")?;
    let (time, zone) = moment.split_once(' ')?;
    let name = name.strip_suffix(' ')?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hours = zone.strip_prefix(['+', '-'])?;
    let is_plain = |text: &str| !text.contains(['<', '>', '\n']);
    let is_sound = is_plain(name)
        && is_plain(email)
        && is_digits(time)
        && (time == "0" || !time.starts_with('0'))
        && is_digits(hours)
        && hours.len() == 4;
    let time = time.parse().ok().filter(|time| is_sound && *time <= MAX_TIME)?;
    Some(Person { name: name.to_owned(), email: email.to_owned(), time, zone: zone.to_owned() })
}

/// The end of the year 9999, in seconds since 1970.
const MAX_TIME: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn commit(head: &str, message: &str) -> String {
        let somebody = "Ada <ada@example.org> 1790000000 +0200";
        format!("tree {TREE}\n{head}author {somebody}\ncommitter {somebody}\n\n{message}")
    }

    fn tag(more: &str, message: &str) -> String {
        let somebody = "Ada <ada@example.org> 1790000000 -0130";
        format!("object {TREE}\ntype commit\ntag v1.2\ntagger {somebody}\n{more}\n{message}")
    }

    fn why(text: &str) -> String {
        Object::read(text.as_bytes()).unwrap_err().0
    }

    #[test]
    fn a_commit_has_its_people_tree_parents_and_message() {
        let other = "0a".repeat(20);
        let head = format!("parent {other}\nparent {TREE}\n");
        let read = Object::read(commit(&head, "all\n\nof it\n").as_bytes()).unwrap();
        let ada = Person {
            name: "Ada".into(),
            email: "ada@example.org".into(),
            time: 1_790_000_000,
            zone: "+0200".into(),
        };
        let (author, committer) = (ada.clone(), ada);
        let parents = vec![other, TREE.to_owned()];
        assert_eq!(read.kind, Kind::Commit { author, committer, tree: TREE.into(), parents });
        assert_eq!((read.message.as_str(), read.headers), ("all\n\nof it\n", Vec::new()));
    }

    #[test]
    fn a_tag_has_its_name_tagger_and_what_it_names() {
        let read = Object::read(tag("", "release\n").as_bytes()).unwrap();
        let Kind::Tag { tag, tagger, target, target_type } = read.kind else { panic!() };
        assert_eq!((tag.as_str(), target.as_str(), target_type.as_str()), ("v1.2", TREE, "commit"));
        assert_eq!((tagger.zone.as_str(), read.message.as_str()), ("-0130", "release\n"));
    }

    #[test]
    fn a_name_may_be_empty_and_a_message_too() {
        let text = commit("", "").replace("Ada <", " <");
        let read = Object::read(text.as_bytes()).unwrap();
        let Kind::Commit { author, .. } = read.kind else { panic!() };
        assert_eq!((author.name.as_str(), read.message.as_str()), ("", ""));
    }

    #[test]
    fn a_header_that_is_not_known_is_passed_on() {
        let text = commit("", "all\n").replace("\n\n", "\nencoding UTF-8\nnote one\n two\n\n");
        let read = Object::read(text.as_bytes()).unwrap();
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        assert_eq!(read.headers, [header("encoding", "UTF-8"), header("note", "one\ntwo")]);
    }

    #[test]
    fn what_another_reader_could_take_for_something_else_is_refused() {
        let text = commit("", "all\n");
        let with = |header: &str| text.replace("\n\n", &format!("\n{header}\n\n"));
        for (text, place) in [
            (with("encoding ISO-8859-1"), "another encoding"),
            (with("gpgsig -----BEGIN"), "signed already"),
            (with("gpgsig-sha256 x"), "signed already"),
            (with("author Eve <e@example.org> 1 +0000"), "author"),
            (with(&format!("parent {TREE}")), "parent"),
            (with(&format!("tree {TREE}")), "tree"),
            (with("a\u{e9} b"), "no name"),
            (text.replace("author", "Author"), "author"),
            (text.replacen("Ada <", "Ada <x> <", 1), "author"),
            (text.replacen("Ada <", "Ada<", 1), "author"),
            (text.replacen("Ada <", "<", 1), "author"),
            (with("note"), "no name or value"),
            (text.replacen("1790000000", "01", 1), "author"),
            (text.replacen("1790000000", "99999999999999", 1), "author"),
            (text.replacen("+0200", "0200", 1), "author"),
            (text.replacen("+0200", "+0200 x", 1), "author"),
            (text.replacen(TREE, &TREE.to_uppercase(), 1), "tree"),
            (text.replacen(TREE, "5a7f", 1), "tree"),
            (commit(&format!("parent {}\n", "0a".repeat(32)), "all\n"), "parent"),
            (text.replace("\n\n", "\n"), "empty line"),
            (format!(" {text}"), "no name"),
            (format!("{text}\0"), "UTF-8"),
            (tag("tag v1.3\n", "x"), "tag"),
            (tag("", "x\n-----BEGIN PGP SIGNATURE-----\n"), "signature"),
            (tag("", "x\n-----BEGIN SSH SIGNATURE-----"), "signature"),
            (tag("", "x").replace("type commit", "type key"), "type"),
            (tag("", "x").replace("tag v1.2", "tag v 1"), "tag"),
            ("certificate version 0.1\n\n".to_owned(), "no commit and no tag"),
            (String::new(), "empty line"),
        ] {
            assert!(why(&text).contains(place), "{text:?}: {}", why(&text));
        }
        assert!(Object::read(b"tree \xff\n\n").is_err());
    }
}
