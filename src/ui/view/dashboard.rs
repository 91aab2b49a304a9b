//! The dashboard of a device that listens: devices nearby, its keys, and recent ceremonies.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::Scene;
use crate::device::{Fingerprint, grouped};
use crate::progress::KnownPeer;
use crate::ui::lines::{fingerprint_lines, time_left};
use crate::ui::model::{Inventory, Model, PeerRow};
use crate::ui::text::{bare, cell, clip, quoted, quoted_in, width as columns_of, wrap};

/// Draws the panels, side by side if there is room.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let (own, rest) = own_lines(scene, area);
    let own_height = u16::try_from(own.len()).unwrap_or(u16::MAX);
    let [top, body] =
        Layout::vertical([Constraint::Length(own_height), Constraint::Min(0)]).areas(rest);
    frame.render_widget(Paragraph::new(own), top);
    let Some(inventory) = &scene.model.inventory else {
        panel(frame, body, "devices nearby", |width| nearby(scene, None, width));
        return;
    };
    let [upper, lower] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
    let [left, right] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(lower);
    panel(frame, upper, "devices", |width| nearby(scene, Some(inventory), width));
    panel(frame, left, "keys", |width| keys(inventory, width));
    panel(frame, right, "recent", |width| recent(scene, inventory, width));
}

/// The panel of this device: what it waits for, its name and fingerprint.
fn own_lines(scene: Scene<'_>, area: Rect) -> (Vec<Line<'static>>, Rect) {
    let width = usize::from(area.width.saturating_sub(2));
    let ceremony = scene.model.ceremony.as_ref();
    let waits = match (&scene.model.inventory, ceremony) {
        (None, Some(ceremony)) => {
            let names: Vec<String> = ceremony.waiting.iter().map(|name| quoted(name)).collect();
            format!("waiting for {} {}", bare(&ceremony.awaited_for), names.join(", "))
        }
        _ => "waiting: pairings and requests appear here".to_owned(),
    };
    let mut lines = vec![Line::styled(format!(" {}", waits.trim_end()), scene.strong())];
    if let Some(own) = &scene.model.own {
        let whole = format!("fingerprint {}", grouped(&own.fingerprint));
        if whole.len() <= width {
            lines.push(Line::from(format!(" {whole}")));
        } else {
            // One blank less aligns them with the sentence.
            let halves = fingerprint_lines(&own.fingerprint);
            lines.extend(halves.into_iter().map(|half| Line::from(half[1..].to_owned())));
        }
    }
    if let Some(relay) = &scene.model.relay {
        let url = bare(&relay.url);
        let (text, style) = match (&relay.detail, relay.connected) {
            (_, true) => (format!("✓ also through the relay {url}"), scene.good()),
            (Some(why), false) => (format!("✗ relay {url}: {}", bare(why)), scene.bad()),
            (None, false) => (format!("✗ relay {url} is out of reach"), scene.bad()),
        };
        lines.push(Line::styled(format!(" {}", clip(&text, width)), style));
    }
    match scene.model.strangers {
        0 => {}
        1 => lines.push(Line::from(" a stranger was turned away")),
        count => lines.push(Line::from(format!(" {count} strangers were turned away"))),
    }
    if let Some(note) = &scene.model.note {
        lines.extend(
            wrap(&bare(note), width).into_iter().take(2).map(|t| Line::from(format!(" {t}"))),
        );
    }
    (lines, area)
}

/// A frame with a title, and as many lines as fit; the last says how many do not.
fn panel(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    lines: impl FnOnce(usize) -> Vec<Line<'static>>,
) {
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    let mut lines = lines(usize::from(inner.width));
    let height = usize::from(inner.height);
    if lines.len() > height {
        let hidden = lines.len() + 1 - height.max(1);
        lines.truncate(height.saturating_sub(1));
        lines.push(Line::from(format!("… {hidden} more")));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// A device for the list: seen on the network, paired, or both.
struct Row {
    name: String,
    status: String,
    id: String,
    /// Once its certificate is verified.
    fingerprint: Option<Fingerprint>,
    seen: String,
    /// Whether the cursor is on it.
    chosen: bool,
}

fn nearby(scene: Scene<'_>, inventory: Option<&Inventory>, width: usize) -> Vec<Line<'static>> {
    let rows = rows(scene, inventory);
    if rows.is_empty() {
        let advice = match inventory {
            Some(_) => "no device yet; on the other device: cosign pair",
            None => "no device yet; on the other device: cosign listen, or cosign pair there too",
        };
        return wrap(advice, width).into_iter().map(Line::from).collect();
    }
    // The whole fingerprint if there is room, else as many digits as an id has.
    let digits = if width >= NAME + STATUS + 79 + SEEN { 79 } else { 20 };
    let name = width.saturating_sub(STATUS + digits + 2 + SEEN).clamp(8, 40);
    let line = |cells: [&str; 4]| {
        let [a, b, c, d] = cells;
        format!("{}{}{}{}", cell(a, name - 1) + " ", cell(b, STATUS), cell(c, digits) + "  ", d)
    };
    let head = line(["NAME", "STATUS", "FINGERPRINT", "SEEN"]);
    let mut lines = vec![Line::from(Span::styled(head, Modifier::BOLD))];
    lines.extend(rows.iter().map(|row| {
        let fingerprint = match row.fingerprint {
            _ if digits < 79 => format!("{}…", grouped(&row.id)),
            Some(fingerprint) => fingerprint.to_string(),
            None => grouped(&row.id),
        };
        // The cursor takes two columns of the name.
        let mark = if row.chosen { "> " } else { "" };
        let shown = format!("{mark}{}", quoted_in(&row.name, name - 1 - mark.len()));
        Line::from(line([&shown, &bare(&row.status), &fingerprint, &row.seen]))
    }));
    lines
}

fn rows(scene: Scene<'_>, inventory: Option<&Inventory>) -> Vec<Row> {
    let Scene { model, stage, now, .. } = scene;
    let mut rows = known_and_near(model, inventory, now);
    let cursor = stage.cursor.and_then(|at| inventory?.peers.get(at));
    for row in &mut rows {
        row.chosen = cursor.is_some_and(|peer| Some(peer.fingerprint) == row.fingerprint);
        if row.fingerprint.is_some_and(|fingerprint| stage.is_muted(&fingerprint)) {
            row.status = "muted".to_owned();
        }
    }
    if let (Some(at), Some(inventory)) = (stage.cursor, inventory) {
        // The chosen device is always among the rows that fit.
        let place =
            |row: &Row| inventory.peers.iter().position(|p| Some(p.fingerprint) == row.fingerprint);
        rows.retain(|row| place(row).is_some_and(|place| place + ABOVE >= at));
        rows.sort_by_key(place);
    }
    rows
}

fn known_and_near(model: &Model, inventory: Option<&Inventory>, now: Duration) -> Vec<Row> {
    let paired = inventory.map(|i| i.peers.as_slice()).unwrap_or_default();
    let seen = |peer: &PeerRow| Row {
        name: peer.name.clone(),
        status: peer.status.clone(),
        id: peer.id.clone(),
        fingerprint: peer.fingerprint,
        seen: format!("{} ago", time_left(now.saturating_sub(peer.seen).as_secs())),
        chosen: false,
    };
    let is_near =
        |known: &KnownPeer| model.peers.iter().any(|p| p.fingerprint == Some(known.fingerprint));
    let known = paired.iter().filter(|peer| !is_near(peer)).map(|peer| Row {
        name: peer.name.clone(),
        status: "paired".to_owned(),
        id: peer.fingerprint.device_id(),
        fingerprint: Some(peer.fingerprint),
        seen: "-".to_owned(),
        chosen: false,
    });
    // Devices that are present come first, and paired ones before strangers, however many there
    // are.
    let is_paired =
        |row: &&PeerRow| paired.iter().any(|peer| row.fingerprint == Some(peer.fingerprint));
    let (friends, strangers): (Vec<&PeerRow>, Vec<&PeerRow>) =
        model.peers.iter().partition(is_paired);
    let friends = friends.into_iter().map(seen);
    let (gone, here): (Vec<&PeerRow>, Vec<&PeerRow>) =
        strangers.into_iter().partition(|row| row.status == "offline");
    let (gone, here) = (gone.into_iter().map(seen), here.into_iter().map(seen));
    friends.chain(here).chain(known).chain(gone).collect()
}

fn keys(inventory: &Inventory, width: usize) -> Vec<Line<'static>> {
    if inventory.keys.is_empty() {
        let advice = "no key yet; on the other device, once paired: cosign keygen";
        return wrap(advice, width).into_iter().map(Line::from).collect();
    }
    let mut lines = Vec::new();
    for key in &inventory.keys {
        let state = if key.confirmed { "" } else { ", unconfirmed" };
        let kind = format!("  {} of {}{state}", key.threshold, key.parties.len());
        let name = clip(&bare(&key.name), width.saturating_sub(columns_of(&kind)));
        lines.push(Line::styled(cell(&(name + &kind), width), Modifier::BOLD));
        let names: Vec<String> = key.parties.iter().map(|name| quoted(name)).collect();
        lines.push(Line::from(cell(&format!("  {}", names.join(" ")), width)));
    }
    lines
}

fn recent(scene: Scene<'_>, inventory: &Inventory, width: usize) -> Vec<Line<'static>> {
    if inventory.recent.is_empty() {
        return wrap("nothing happened here yet; cosign log lists it", width)
            .into_iter()
            .map(Line::from)
            .collect();
    }
    let line = |past: &crate::progress::PastCeremony| {
        let good = matches!(past.outcome.as_str(), "signed" | "stored" | "paired");
        let (mark, style) = if good { ("✓", scene.good()) } else { ("✗", scene.bad()) };
        // `2026-06-15T10:00:00Z` without the year and the seconds.
        let time = past.time.get(5..16).unwrap_or(&past.time).replace('T', " ");
        let mut text = format!(" {} {}", bare(&past.ceremony), bare(&past.outcome));
        for (word, what) in [("", &past.key), ("with ", &past.with), ("for ", &past.purpose)] {
            if !what.is_empty() {
                text += &format!(" {word}{}", quoted(what));
            }
        }
        let room = width.saturating_sub(time.len() + 2);
        Line::from(vec![
            Span::raw(time + " "),
            Span::styled(mark, style),
            Span::raw(cell(&text, room)),
        ])
    };
    inventory.recent.iter().map(line).collect()
}

/// How many devices are listed above the cursor.
const ABOVE: usize = 1;
const NAME: usize = 12;
const STATUS: usize = 11;
/// `59 min 59 s ago`
const SEEN: usize = 15;
