//! The rounds of a ceremony: which party has sent its messages.

use ratatui::text::{Line, Span};

use super::Scene;
use crate::request::Ceremony;
use crate::ui::lines::time_left;
use crate::ui::model::{Doing, RoundRow, Running};
use crate::ui::text::{bare, cell, clip, quoted, quoted_in, width as columns_of, wrap};

/// The ceremony, its table, and the parties that are awaited.
pub(super) fn document(scene: Scene<'_>, ceremony: &Running, width: usize) -> Vec<Line<'static>> {
    let title = match ceremony.what {
        None => "getting everybody together",
        Some(Doing::Pairing) => "pairing",
        Some(Doing::Ceremony(Ceremony::Sign)) => "signing",
        Some(Doing::Ceremony(Ceremony::Refresh)) => "refreshing a key",
        Some(Doing::Ceremony(Ceremony::Reshare)) => "giving a key to other devices",
        Some(Doing::Ceremony(Ceremony::Keygen | Ceremony::Import | Ceremony::Resume)) => {
            "making a key"
        }
    };
    let mut lines = vec![Line::styled(title, scene.strong()), Line::default()];
    if !ceremony.rounds.is_empty() {
        lines.extend(table(scene, ceremony, false, width));
        lines.push(Line::default());
    }
    let names: Vec<String> = ceremony.waiting.iter().map(|name| quoted(name)).collect();
    let what = bare(&ceremony.awaited_for);
    let awaited = match (names.is_empty(), what.as_str()) {
        (true, "") => None,
        (true, what) => Some(format!("… waiting for {what}")),
        (false, "") => Some(format!("… waiting for {}", names.join(", "))),
        (false, what) => Some(format!("… waiting for {}: {what}", names.join(", "))),
    };
    if let Some(mut awaited) = awaited {
        if let Some(until) = ceremony.until {
            awaited += &format!(", {} left", time_left(until.saturating_sub(scene.now).as_secs()));
        }
        lines.extend(wrap(&awaited, width).into_iter().map(Line::from));
    }
    let routes = scene.model.routes.iter().filter(|(name, _)| ceremony.parties.contains(name));
    for (name, via) in routes {
        let route = format!("{} is reached by {}", quoted(name), bare(via));
        lines.extend(wrap(&route, width).into_iter().map(Line::from));
    }
    if let Some((name, until)) = &scene.model.broken {
        let left = time_left(until.saturating_sub(scene.now).as_secs());
        let broken =
            format!("! the connection to {} broke; it is waited for, {left} at most", quoted(name));
        lines.extend(wrap(&broken, width).into_iter().map(|t| Line::styled(t, scene.bad())));
    }
    if let Some(note) = &scene.model.note {
        lines.extend(wrap(&bare(note), width).into_iter().map(Line::from));
    }
    lines
}

/// A row for each party and a column for each round; with `over` nothing more will arrive.
pub(super) fn table(
    scene: Scene<'_>,
    ceremony: &Running,
    over: bool,
    width: usize,
) -> Vec<Line<'static>> {
    let rounds = usize::from(ceremony.rounds.last().map_or(0, |row| row.of)).max(1);
    let column = (width.saturating_sub(NAME) / rounds).clamp(10, 24);
    let mut lines = heads(ceremony, column);
    let own = ceremony.rounds.iter().map(|_| (Sign::Done, String::new()));
    lines.push(row(scene, "this device", own.collect(), column));
    for party in &ceremony.parties {
        let cells = ceremony.rounds.iter().map(|round| mark(round, party, over)).collect();
        lines.push(row(scene, &quoted_in(party, NAME - 1), cells, column));
    }
    let whole = ceremony.rounds.iter().map(|round| match round.ms {
        Some(ms) => (Sign::Done, format!("{ms} ms")),
        None if over => (Sign::Missing, "not done".to_owned()),
        None => (Sign::Awaited, String::new()),
    });
    lines.push(row(scene, "the round", whole.collect(), column));
    lines
}

/// The rounds' numbers and names, on as many lines as the longest takes.
fn heads(ceremony: &Running, column: usize) -> Vec<Line<'static>> {
    let heads: Vec<Vec<String>> = ceremony
        .rounds
        .iter()
        .map(|r| head(&format!("{} {}", r.round, r.name), column.saturating_sub(1)))
        .collect();
    let height = heads.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|i| {
            let cells = heads.iter().map(|head| head.get(i).map_or("", String::as_str));
            let cells: String = cells.map(|text| cell(text, column)).collect();
            Line::from(format!("{:NAME$}{cells}", ""))
        })
        .collect()
}

/// `text` on lines of at most `columns`, broken between words; a word that is longer is cut.
fn head(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = clip(word, columns);
        match lines.last_mut() {
            Some(line) if columns_of(line) + 1 + columns_of(&word) <= columns => {
                *line += &format!(" {word}");
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[derive(Clone, Copy)]
enum Sign {
    Done,
    Awaited,
    Missing,
}

fn mark(round: &RoundRow, party: &str, over: bool) -> (Sign, String) {
    match round.received.iter().find(|(from, _)| from == party) {
        Some((_, ms)) => (Sign::Done, format!("{ms} ms")),
        // A party that receives no signature awaits nothing in the last round.
        None if round.ms.is_some() => (Sign::Done, "nothing due".to_owned()),
        None if over => (Sign::Missing, "missing".to_owned()),
        None => (Sign::Awaited, "awaited".to_owned()),
    }
}

fn row(scene: Scene<'_>, name: &str, cells: Vec<(Sign, String)>, column: usize) -> Line<'static> {
    let mut spans = vec![Span::raw(cell(name, NAME - 1) + " ")];
    spans.extend(cells.into_iter().map(|(sign, text)| {
        let (mark, style) = match sign {
            Sign::Done => ("✓", scene.good()),
            Sign::Awaited => ("…", scene.strong()),
            Sign::Missing => ("✗", scene.bad()),
        };
        Span::styled(cell(&format!("{mark} {text}"), column), style)
    }));
    Line::from(spans)
}

/// The columns of a party's name.
const NAME: usize = 18;
