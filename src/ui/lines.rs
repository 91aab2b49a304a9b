//! Events as lines for people. Text of other devices arrives as labels and is quoted here.

use super::model::Model;
use super::payload;
use super::qr;
use super::stage::Page;
use super::text::{CHANGED, allowed, quoted, under_label};
use crate::device::{Fingerprint, grouped, hex, shell_word, shown, visible};
use crate::payload::{Source, Summary};
use crate::progress::{
    Compared, Event, PartyView, QueuedRequest, RequestView, ReshareView, StrangerRequest,
};
use crate::request::Ceremony;

/// The style of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences may be used.
    pub color: bool,
    /// Whether they go to a terminal.
    pub terminal: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// The columns that a card may take.
    pub columns: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, terminal: false, verbose: 0, columns: 80 }
    }
}

impl Style {
    /// The lines of a card, wrapped below the fact, not below its label.
    fn card(self, lines: Vec<String>) -> Vec<String> {
        let wrapped = |line: String| {
            let rows = under_label(&line, self.columns.max(NARROWEST));
            // A line with an escape sequence is short and is not wrapped.
            if rows.len() == 1 {
                vec![line]
            } else {
                rows.into_iter().map(|(a, b)| a + &b).collect()
            }
        };
        lines.into_iter().flat_map(wrapped).collect()
    }

    fn bold(self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `text` for a terminal: only our own escape sequences are kept.
pub(super) fn safe(text: &str, style: Style) -> String {
    if !style.color && !style.terminal {
        return shown(text);
    }
    let mut out = String::with_capacity(text.len());
    for (n, part) in text.split('\x1b').enumerate() {
        let own = OWN.iter().find(|own| part.starts_with(*own)).filter(|_| n > 0);
        out.extend(own.map(|_| '\x1b'));
        out += &shown(part);
    }
    out
}

/// Our own escape sequences, after the escape.
const OWN: [&str; 3] = ["[1m", "[0m", "[38;5;16;48;5;231m"];

/// Whether the event is shown even with `--quiet`.
pub fn needs_a_person(event: &Event) -> bool {
    matches!(event, Event::Code { .. } | Event::Request(_) | Event::Invite { .. })
}

/// Whether a ceremony ended with the event.
pub(super) fn is_an_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Paired { .. }
            | Event::PairedGroup { .. }
            | Event::Key { .. }
            | Event::Signed { .. }
            | Event::Aborted { .. }
    )
}

/// The lines for `event`; `model` has been updated with it.
pub fn prose(model: &Model, event: &Event, style: Style) -> Vec<String> {
    match event {
        Event::Listening { name, id, fingerprint, port } => {
            let place = if *port == 0 {
                "standard input and output".to_owned()
            } else {
                format!("port {port}")
            };
            vec![
                format!("listening as {} ({id}) on {place}", quoted(name)),
                format!("fingerprint {}", grouped(fingerprint)),
            ]
        }
        Event::Peer { name, id, status, address, .. } => {
            vec![format!("{} ({id}) is {status} at {address}", quoted(name))]
        }
        Event::Inventory { .. } => Vec::new(),
        Event::Code { code, with, lasts, warning, seconds } => {
            let mut card = vec![pairing_title(with)];
            card.extend(warning.as_ref().map(|text| format!("  warning      {text}")));
            card.extend(compared_lines(with));
            card.push(format!("  lasts        {lasts}"));
            card.push(format!("  time left    {}", time_left(*seconds)));
            card.push(format!("  code         {}", style.bold(code)));
            style.card(card)
        }
        Event::Request(view) => {
            let mut card = style.card(request_card(view, style));
            if card.len() > SHORT {
                card.extend(style.card(named(view)));
            }
            card
        }
        Event::Round { ms: None, .. } if style.verbose == 0 => Vec::new(),
        Event::Round { .. } => round_line(model).into_iter().collect(),
        Event::Received { .. } => Vec::new(),
        Event::Waiting { what, peers, seconds, .. } => {
            let at_most = seconds.map(|s| format!(", {} at most", time_left(s)));
            vec![waiting_line(model, what, peers) + &at_most.unwrap_or_default()]
        }
        Event::Queued { waiting } if waiting.is_empty() => Vec::new(),
        Event::Queued { waiting } => {
            vec![format!("{}; l and Enter takes that first", queue(waiting))]
        }
        Event::Behind { peer, before, .. } => vec![behind(peer, *before)],
        // A refusal is told when the request has ended.
        Event::Decided { allowed: false, .. } => Vec::new(),
        Event::Decided { by, ceremony, peer, .. } => vec![allowed(by, *ceremony, peer)],
        Event::Paired { peer, fingerprint, expires } => {
            vec![paired_line(peer, fingerprint, expires.as_ref())]
        }
        Event::PairedGroup { peers } => peers
            .iter()
            .map(|peer| paired_line(&peer.name, &peer.fingerprint.to_hex(), peer.expires.as_ref()))
            .collect(),
        Event::Key { key, public_key, confirmed, .. } => {
            let state = if *confirmed { "" } else { ", not confirmed by everybody yet" };
            vec![format!("key {key:?}: public key {public_key}{state}")]
        }
        Event::Signed { key, digest, certifies, delivered_to, .. } => {
            let what = match certifies {
                Some(certificate) => format!("the user id {:?}", certificate.user_id),
                None => short(digest).to_owned(),
            };
            let to = delivered_to.join(", ");
            vec![format!("signed {what} with key {key:?}, delivered to {to}")]
        }
        Event::Aborted { ceremony, message, .. } => vec![format!("{ceremony} ended: {message}")],
        Event::Connected { peer, via, resumed: true, .. } => {
            vec![format!("connected to {peer:?} again ({via}); the ceremony goes on")]
        }
        Event::Connected { peer, via, resumed: false, .. } => {
            vec![format!("connected to {peer:?} ({via})")]
        }
        Event::Disconnected { peer, seconds } => vec![format!(
            "the connection to {peer:?} broke; it is waited for, {} at most",
            time_left(*seconds)
        )],
        Event::Invite { uri, expires, .. } => invitation(uri, expires, style),
        // The code of an invitation fills a small screen, and shows that the relay works.
        Event::Relay { connected: true, .. } if model.invite.is_some() => Vec::new(),
        Event::Relay { url, connected: true, .. } => {
            vec![format!("this device can be reached through the relay {url}")]
        }
        Event::Relay { url, connected: false, detail } => vec![format!(
            "the relay {url} is out of reach and is tried again{}",
            detail.as_ref().map_or_else(String::new, |why| format!(": {why}"))
        )],
        Event::Serving { what, .. }
            if style.verbose == 0 && matches!(&**what, "joined" | "left") =>
        {
            Vec::new()
        }
        Event::Serving { what, source, detail } => {
            let words = [Some(what), source.as_ref(), detail.as_ref()];
            vec![words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")]
        }
        Event::Strangers { count, source, wanted } => {
            let so_far = if *count == 1 {
                "a stranger was".to_owned()
            } else {
                format!("{count} strangers were")
            };
            let what = match wanted {
                StrangerRequest::Pair => "to pair",
                StrangerRequest::Ceremony => "to take part in a ceremony",
            };
            vec![format!("{so_far} turned away; the latest wanted {what} ({source})")]
        }
        Event::Note { message } => vec![message.clone()],
    }
}

/// The invitation as text and then as a QR code, which comes last so that a small screen shows all
/// of it. Its colours are needed by scanners, so they are used on every terminal, even without
/// `color`.
fn invitation(uri: &str, expires: &str, style: Style) -> Vec<String> {
    let mut lines = vec![
        "scan this with the other device, or run there:".to_owned(),
        format!("  cosign pair {}", shell_word(uri)),
        format!("it can be used until {expires}; all screens then show six digits"),
    ];
    if style.terminal
        && let Some(rows) = qr::rows(uri)
    {
        lines.extend(rows.iter().map(|row| format!("{}{row}\x1b[0m", qr::COLORS)));
    }
    lines
}

/// `round 2 of 3: multiplication 12 ms`
fn round_line(model: &Model) -> Option<String> {
    let row = model.current_round()?;
    let time = row.ms.map_or_else(String::new, |ms| format!(" {ms} ms"));
    Some(format!("round {} of {}: {}{time}", row.round, row.of, row.name))
}

/// `2 more wait: "carol", "vault"; "bob", "team"`
pub(super) fn queue(waiting: &[QueuedRequest]) -> String {
    let all: Vec<String> = waiting
        .iter()
        .map(|request| match request.ceremony {
            Ceremony::Sign => format!("{}, {}", quoted(&request.peer), quoted(&request.key)),
            ceremony => format!("{}, {ceremony} {}", quoted(&request.peer), quoted(&request.key)),
        })
        .collect();
    let verb = if waiting.len() == 1 { "waits" } else { "wait" };
    format!("{} more {verb}: {}", waiting.len(), all.join("; "))
}

/// Whether an event is one sentence that may stand between other lines.
pub(super) fn is_aside(event: &Event) -> bool {
    matches!(event, Event::Note { .. } | Event::Decided { .. })
}

fn behind(peer: &str, before: u16) -> String {
    if before == 0 {
        return format!("{peer} is looking at this request now");
    }
    let looking = format!("{peer} is looking at another request");
    match before.saturating_sub(1) {
        0 => format!("{looking}; this one comes next"),
        1 => format!("{looking}, and one more is before this one"),
        more => format!("{looking}, and {more} more are before this one"),
    }
}

fn waiting_line(model: &Model, what: &str, peers: &[String]) -> String {
    let names = peers.join(", ");
    match (round_line(model), what) {
        (Some(round), _) => format!("{round}, waiting for {names}"),
        (None, "") => format!("waiting for {names}"),
        (None, what) if names.is_empty() => format!("waiting for {what}"),
        (None, what) => format!("waiting for {names}: {what}"),
    }
}

/// All facts that an approver must see (docs/wire.md §4).
pub(super) fn request_card(view: &RequestView, style: Style) -> Vec<String> {
    let mut card = vec![style.bold(request_title(view))];
    if !view.changed.is_empty() {
        let changed: Vec<String> = view.changed.iter().map(|name| name.replace('_', " ")).collect();
        card.push(format!("  changed      {} (*) since the last one", changed.join(", ")));
    }
    card.extend(request_facts(view));
    card.push(format!("  time left    {}", time_left(view.seconds)));
    card
}

/// `request to sign`
fn request_title(view: &RequestView) -> &'static str {
    match view.ceremony {
        Ceremony::Sign => "request to sign",
        Ceremony::Refresh => "request to refresh a key",
        Ceremony::Reshare => "request to give a key to other devices",
        Ceremony::Import => "request to share a key that exists whole",
        Ceremony::Keygen | Ceremony::Resume => "request to make a key",
    }
}

/// The facts of a request, without the time left. A fact that differs from the last card is marked.
fn request_facts(view: &RequestView) -> Vec<String> {
    let mark = |names: &[&str]| {
        if view.changed.iter().any(|changed| names.contains(changed)) { CHANGED } else { "  " }
    };
    let mut card = vec![key_row(view, mark(&["key", "threshold", "parties"]))];
    if let Some(public_key) = view.public_key {
        card.push(format!("{}public key   {public_key}", mark(&["public_key"])));
    }
    if !view.curve.is_unnamed() {
        card.push(format!("{}curve        {}", mark(&["curve"]), view.curve.title()));
    }
    if view.ceremony == Ceremony::Import {
        card.extend(address_row(view.imports.as_deref(), mark(&["public_key"])));
        card.push(compare_row(view.imports.is_some(), "this"));
        card.push(
            "  warning      every copy of the whole key from before signs alone, now and later"
                .into(),
        );
    }
    if let Some(reshare) = &view.reshare {
        card.extend(reshare_rows(reshare, mark(&["reshare"])));
    }
    card.extend(digest_rows(view, mark(&["digest"])));
    if view.digest.is_some() {
        card.push(format!("{}computed     {}", mark(&["source"]), payload::source(&view.source)));
        let unseen = payload::unseen(&view.source);
        card.extend(unseen.map(|why| format!("{}warning      {why}", mark(&["source"]))));
        let key = view.public_key.as_ref().map(|key| &key.0);
        let rows = view.payload.iter().flat_map(|summary| payload::rows(summary, key));
        card.extend(rows.map(|(label, fact)| format!("{}{label:<11}  {fact}", mark(&["payload"]))));
        let built = view.built.iter().map(payload::built);
        card.extend(built.map(|fact| format!("{}built here   {fact}", mark(&["built"]))));
    }
    let purpose = if view.purpose.is_empty() {
        "none given".to_owned()
    } else {
        quoted(view.purpose.as_str())
    };
    card.push(format!("{}purpose      {purpose}", mark(&["purpose"])));
    let mut introduced = Vec::new();
    let roles = [
        ("requester", "requester", std::slice::from_ref(&view.requester)),
        ("signers", if view.reshare.is_some() { "takes part" } else { "signers" }, &view.signers),
        ("receivers", "receives it", &view.receivers),
    ];
    for (name, role, parties) in roles {
        let mut label = role;
        for party in parties {
            card.extend(introduce(mark(&[name]), label, party, &mut introduced));
            label = "";
        }
    }
    card.push(format!("  request      {}", view.request_id));
    card
}

/// The Ethereum address of the key, if wallets have such keys.
fn address_row(address: Option<&str>, mark: &str) -> Option<String> {
    address.map(|address| format!("{mark}address      {address}"))
}

/// What the owner has to compare, where such a `device` believes the requester.
fn compare_row(has_address: bool, device: &str) -> String {
    let (what, them) = if has_address { ("key and address", "them") } else { ("the key", "it") };
    format!("  compare      {what} with what you know: {device} device cannot check {them}")
}

/// What a reshare changes, and what it cannot promise.
fn reshare_rows(reshare: &ReshareView, mark: &str) -> Vec<String> {
    let names = |parties: &[PartyView]| {
        let one = |party: &PartyView| {
            format!("{} ({})", quoted(party.name.as_str()), party.fingerprint.device_id())
        };
        parties.iter().map(one).collect::<Vec<_>>()
    };
    let ReshareView { address, old_threshold, old_parties, .. } = reshare;
    let mut rows: Vec<String> = address_row(address.as_deref(), mark).into_iter().collect();
    rows.push(compare_row(address.is_some(), "a new"));
    rows.push(format!("{mark}so far       {old_threshold} of {}", old_parties.len()));
    for (label, parties) in [
        ("deals", &reshare.dealers),
        ("joins", &reshare.joining),
        ("leaves", &reshare.leaving),
        ("left out", &reshare.left_out),
    ] {
        let mut label = label;
        for name in names(parties) {
            rows.push(format!("{mark}{label:<11}  {name}"));
            label = "";
        }
    }
    rows.push(format!(
        "  afterwards   old shares of {old_threshold} devices still make the key, backups of before among them: destroy \
         those"
    ));
    rows
}

/// What a yes is about, for the end of a card that may be longer than the window.
fn named(view: &RequestView) -> Vec<String> {
    let about = [key_row(view, "  ")].into_iter().chain(digest_rows(view, "  "));
    std::iter::once("this is about".to_owned()).chain(about).collect()
}

fn key_row(view: &RequestView, mark: &str) -> String {
    let RequestView { key, threshold, parties, .. } = view;
    format!("{mark}key          {}, {threshold} of {parties}", quoted(key))
}

/// The digest, or where there is none the hash of the request.
fn digest_rows(view: &RequestView, mark: &str) -> Vec<String> {
    match view.digest {
        Some(digest) => in_halves(&format!("{mark}digest       "), &digest.to_string()),
        None => vec![format!("  hash         {}", grouped(&view.hash.to_string()))],
    }
}

/// The payload as it would be on the card of a request, signed with `public_key` if that is known, on lines of at most so many `columns`, or of any length if
/// that is `None`.
pub fn payload_card(
    digest: &[u8; 32],
    source: &Source,
    summary: Option<&Summary>,
    public_key: Option<&[u8; 33]>,
    columns: Option<usize>,
) -> Vec<String> {
    let mut card = in_halves("  digest       ", &hex(digest));
    card.push(format!("  computed     {}", payload::source(source)));
    let rows = summary.into_iter().flat_map(|summary| payload::rows(summary, public_key));
    card.extend(rows.map(|(label, fact)| format!("  {label:<11}  {fact}")));
    let rows = card.iter().flat_map(|row| match columns {
        Some(columns) => under_label(row, columns.max(NARROWEST).saturating_add(INDENT)),
        None => vec![(row.clone(), String::new())],
    });
    // There is no title that the rows are indented below.
    rows.map(|(label, fact)| label.get(INDENT..).unwrap_or_default().to_owned() + &fact).collect()
}

/// The page about a question that ended without an answer.
pub(super) fn page(page: &Page, style: Style) -> Vec<String> {
    style.card(page_card(page))
}

/// As [`page`], without line breaks.
pub(super) fn page_card(page: &Page) -> Vec<String> {
    let (what, nothing) = match &page.asked {
        Event::Request(_) => ("the request", "approved"),
        _ => ("the pairing", "paired"),
    };
    let over = format!("{what} is over");
    let why = page.why.as_deref().unwrap_or(&over);
    let mut card = vec![format!("{}: nothing was {nothing}", visible(why))];
    if page.unseen > 0 {
        card.push(format!("  meanwhile    {} more came and went unseen", page.unseen));
    }
    if page.awaited {
        card.push("  next         another one waits; it may look alike".to_owned());
    }
    match &page.asked {
        Event::Request(view) => {
            card.push(format!("  it was       a {}", request_title(view)));
            card.extend(request_facts(&RequestView { changed: Vec::new(), ..(**view).clone() }));
        }
        Event::Code { code, with, .. } => {
            card.push(format!("  it was       a {}", pairing_title(with)));
            card.extend(compared_lines(with));
            card.push(format!("  code         {code}"));
        }
        _ => {}
    }
    card
}

/// `pairing with "bob"`
fn pairing_title(with: &Compared) -> String {
    match with {
        Compared::Device { peer, .. } => format!("pairing with {}", quoted(peer)),
        Compared::Group { members } => format!("pairing of {} devices", members.len()),
    }
}

fn compared_lines(with: &Compared) -> Vec<String> {
    match with {
        Compared::Device { fingerprint, .. } => fingerprint_lines(fingerprint),
        Compared::Group { members } => member_lines(members),
    }
}

/// All devices of a group by name and id, in the order that all screens have.
pub(super) fn member_lines(members: &[PartyView]) -> Vec<String> {
    let line = |(number, member): (usize, &PartyView)| {
        let id = member.fingerprint.device_id();
        format!("  device {number:<6}{} ({id})", quoted(member.name.as_str()))
    };
    (1..).zip(members).map(line).collect()
}

fn paired_line(peer: &str, fingerprint: &str, expires: Option<&String>) -> String {
    let until = expires.map_or_else(String::new, |time| format!(" until {time}"));
    format!("paired with {} (fingerprint {}){until}", quoted(peer), grouped(fingerprint))
}

/// A device by name and id, and with its fingerprint the first time.
fn introduce(
    mark: &str,
    label: &str,
    party: &PartyView,
    introduced: &mut Vec<Fingerprint>,
) -> Vec<String> {
    let id = party.fingerprint.device_id();
    let mut lines = vec![format!("{mark}{label:<11}  {} ({id})", quoted(party.name.as_str()))];
    if !introduced.contains(&party.fingerprint) {
        lines.extend(fingerprint_lines(&party.fingerprint.to_hex()));
        introduced.push(party.fingerprint);
    }
    lines
}

pub(super) fn fingerprint_lines(fingerprint: &str) -> Vec<String> {
    in_halves("  fingerprint  ", fingerprint)
}

/// 64 digits in groups of four, on two lines that fit any terminal.
pub(super) fn in_halves(label: &str, digits: &str) -> Vec<String> {
    let (first, second) = digits.split_at_checked(32).unwrap_or((digits, ""));
    let mut lines = vec![format!("{label}{}", grouped(first))];
    if !second.is_empty() {
        lines.push(format!("{:width$}{}", "", grouped(second), width = label.len()));
    }
    lines
}

pub(super) fn time_left(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, 0) => format!("{m} min"),
        (m, s) => format!("{m} min {s} s"),
    }
}

/// The least columns that a card is wrapped to.
const NARROWEST: usize = 24;
/// The blanks before the rows of a card.
const INDENT: usize = 2;
/// The lines of a card that a window of 24 shows together with the question, and with what [`named`] adds.
const SHORT: usize = 18;

fn short(digest: &str) -> String {
    match digest.get(..16) {
        Some(start) => format!("{start}…"),
        None => digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::device::Label;

    fn said(events: &[Event]) -> Vec<String> {
        let mut model = Model::default();
        events
            .iter()
            .flat_map(|event| {
                model.fold(event, Duration::ZERO);
                prose(&model, event, Style::default())
            })
            .collect()
    }

    #[test]
    fn only_our_own_sequences_reach_a_terminal() {
        let styled = Style { color: true, terminal: true, verbose: 0, ..Style::default() };
        let bold = styled.bold("yes");
        assert_eq!(safe(&bold, styled), bold);
        let colors = format!("{}code\x1b[0m", qr::COLORS);
        assert_eq!(safe(&colors, styled), colors);
        let hostile = "a\x1b[2Jb\x1b]0;title\x07c\u{9b}31md\re\x1b";
        assert_eq!(safe(hostile, styled), "a[2Jb]0;titlec31mde");
        assert_eq!(safe(&bold, Style::default()), "[1myes[0m");
    }

    #[test]
    fn a_round_says_what_it_exchanges_how_long_it_took_and_who_is_awaited() {
        let round = Event::Round {
            ceremony: Ceremony::Sign,
            round: 2,
            of: 3,
            name: "multiplication".into(),
            ms: Some(12),
            request_id: None,
        };
        let waiting = Event::Waiting {
            what: String::new(),
            peers: vec!["bob".into()],
            seconds: None,
            request_id: None,
        };
        assert_eq!(
            said(&[round, waiting]),
            [
                "round 2 of 3: multiplication 12 ms",
                "round 2 of 3: multiplication 12 ms, waiting for bob"
            ]
        );
    }

    #[test]
    fn nothing_follows_the_code_of_an_invitation() {
        let invite = Event::Invite {
            uri: "cosign://pair".into(),
            expires: "2026-11-25T12:00:00Z".into(),
            relay: "ws://relay".into(),
        };
        let relay = Event::Relay { url: "ws://relay".into(), connected: true, detail: None };
        assert_eq!(said(&[invite.clone(), relay.clone()]), said(&[invite]));
        assert_eq!(said(&[relay]).len(), 1);
    }

    #[test]
    fn a_card_that_may_fill_the_window_ends_with_the_key_and_the_digest() {
        use crate::payload::{MessageFormat, Payload};

        let message = "\n".repeat(40).into_bytes();
        let source = Source::Message { format: MessageFormat::Ethereum, size: 40 };
        let read = Payload::read(&source, message).unwrap();
        let request = crate::ui::view::fixture::request();
        let digest = request.digest.unwrap().to_string();
        let payload = Some(Box::new(read.summary().clone()));
        let card = said(&[Event::Request(Box::new(RequestView { source, payload, ..request }))]);
        let (first, second) = digest.split_at(32);
        let end = [
            "  key          \"vault\", 2 of 3".to_owned(),
            format!("  digest       {}", grouped(first)),
            format!("               {}", grouped(second)),
        ];
        assert!(card.len() > 40 && card.ends_with(&end), "{card:#?}");
    }

    #[test]
    fn a_file_that_could_be_shown_and_is_not_is_pointed_out() {
        let card = |size, attached| {
            let name = Label::new("a");
            let source =
                Source::File { name, size, hash: crate::payload::HashFunction::Sha256, attached };
            let request = RequestView { source, ..crate::ui::view::fixture::request() };
            said(&[Event::Request(Box::new(request))]).concat()
        };
        let most = crate::payload::MAX_PAYLOAD;
        for (size, attached, warns) in
            [(most, false, true), (most, true, false), (most + 1, false, false)]
        {
            assert_eq!(card(size, attached).contains("you sign this file unseen"), warns, "{size}");
        }
    }

    #[test]
    fn what_would_be_signed_fits_the_terminal_and_all_of_it_is_there() {
        use crate::payload::{MessageFormat, Payload};

        let message = format!("{}end", "pay bob ".repeat(40));
        let source = Source::Message { format: MessageFormat::Bitcoin, size: message.len() as u64 };
        let read = Payload::read(&source, message.clone().into_bytes()).unwrap();
        let card =
            |columns| payload_card(read.digest(), &source, Some(read.summary()), None, columns);
        let whole = card(None);
        assert!(whole.iter().any(|row| *row == format!("message      {message:?}")), "{whole:#?}");
        let narrow = card(Some(70));
        assert!(narrow.iter().all(|row| row.len() <= 70), "{narrow:#?}");
        let of = |row: &String| row.get(13..).unwrap().to_owned();
        let from = narrow.iter().position(|row| row.starts_with("message")).unwrap();
        assert_eq!(narrow[from..].iter().map(of).collect::<String>(), format!("{message:?}"));
    }

    #[test]
    fn who_is_asked_for_approval_is_told_with_the_time_there_is() {
        let peers = vec!["bob".into(), "carol".into()];
        let waiting =
            Event::Waiting { what: "approval".into(), peers, seconds: Some(90), request_id: None };
        assert_eq!(said(&[waiting]), ["waiting for bob, carol: approval, 1 min 30 s at most"]);
    }

    #[test]
    fn an_approver_sees_every_fact() {
        let request = Event::Request(Box::new(RequestView {
            purpose: Label::new("release 1.2\u{202e}"),
            ..crate::ui::view::fixture::request()
        }));
        let group = |digit: &str| vec![digit.repeat(4); 8].join(" ");
        let expected = format!(
            "request to sign
  key          \"vault\", 2 of 3
  public key   02{nines}
               {rest}
  digest       {digest}
               {digest}
  computed     by the requester, unseen: sha256 of \"release.tar\", 42000000 bytes
  purpose      \"release 1.2\"
  requester    \"alice\" (aaaaaaaaaaaaaaaa)
  fingerprint  {a}
               {a}
  signers      \"alice\" (aaaaaaaaaaaaaaaa)
               \"bob\" (bbbbbbbbbbbbbbbb)
  fingerprint  {b}
               {b}
  receives it  \"alice\" (aaaaaaaaaaaaaaaa)
  request      {id}
  time left    1 min 30 s",
            nines = "9".repeat(34),
            rest = "9".repeat(30),
            digest = ["5a7f"; 8].join(" "),
            a = group("a"),
            b = group("b"),
            id = "77".repeat(16),
        );
        assert_eq!(said(&[request]).join("\n"), expected);
    }

    #[test]
    fn a_round_that_begins_is_told_only_with_verbose() {
        let begun = Event::Round {
            ceremony: Ceremony::Sign,
            round: 1,
            of: 3,
            name: "nonces".into(),
            ms: None,
            request_id: None,
        };
        assert!(said(std::slice::from_ref(&begun)).is_empty());
        let mut model = Model::default();
        model.fold(&begun, Duration::ZERO);
        let verbose = Style { verbose: 1, ..Style::default() };
        assert_eq!(prose(&model, &begun, verbose), ["round 1 of 3: nonces"]);
    }
}
