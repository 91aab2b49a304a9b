//! The six digits, large enough to be read from across a table.

use ratatui::text::{Line, Span};

use super::Scene;
use super::question::facts;
use crate::progress::Compared;
use crate::ui::lines::{fingerprint_lines, member_lines};
use crate::ui::model::CodeCard;
use crate::ui::stage::Consent;
use crate::ui::text::{bare, quoted, wrap};

/// The digits, both names, and what to do with them. How much time is left stands in the header.
pub(super) fn document(scene: Scene<'_>, card: &CodeCard, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let large = large(&card.code);
    let indent = " ".repeat(width.saturating_sub(LARGE_WIDTH) / 2);
    lines.extend(
        large.into_iter().map(|row| {
            Line::from(vec![Span::raw(indent.clone()), Span::styled(row, scene.strong())])
        }),
    );
    lines.push(Line::default());
    let mut card_lines = vec![format!("  code         {}", bare(&card.code))];
    match &card.with {
        Compared::Device { peer, fingerprint } => {
            let own = scene.model.own.as_ref();
            let own = own.map_or_else(|| "this device".to_owned(), |own| quoted(&own.name));
            card_lines.push(format!("  this device  {own}"));
            card_lines.push(format!("  the other    {}", quoted(peer)));
            card_lines.extend(fingerprint_lines(&bare(fingerprint)));
        }
        Compared::Group { members } => card_lines.extend(member_lines(members)),
    }
    card_lines.push(format!("  lasts        {}", card.lasts));
    lines.extend(facts(scene, &card_lines, width));
    if let Some(warning) = &card.warning {
        lines.extend(
            wrap(&format!("! warning: {}", bare(warning)), width)
                .into_iter()
                .map(|text| Line::styled(text, scene.bad())),
        );
    }
    let last = match (scene.stage.consent, &scene.model.ceremony) {
        (Consent::Given, Some(ceremony)) if !ceremony.awaited_for.is_empty() => {
            format!("you said yes; waiting for {}", bare(&ceremony.awaited_for))
        }
        (Consent::Given, _) => "you said yes; waiting for the others".to_owned(),
        (Consent::Open | Consent::NotAsked, _) => match &card.with {
            Compared::Device { .. } => {
                "Do both screens show the same? Compare, do not type.".to_owned()
            }
            Compared::Group { members } => {
                format!("Do all {} screens show the same digits and names?", members.len())
            }
        },
    };
    lines.push(Line::styled(last, scene.strong()));
    lines
}

/// `385 721` in five rows.
fn large(code: &str) -> Vec<String> {
    (0..5)
        .map(|row| {
            code.chars()
                .map(|c| match c.to_digit(10).and_then(|d| DIGITS.get(d as usize)) {
                    Some(rows) => rows.get(row).copied().unwrap_or_default().to_owned(),
                    None => "  ".to_owned(),
                })
                .collect::<Vec<_>>()
                .join("  ")
        })
        .collect()
}

/// The columns of six digits and the gap.
const LARGE_WIDTH: usize = 6 * 6 + 2 + 6 * 2;

#[rustfmt::skip]
const DIGITS: [[&str; 5]; 10] = [
    ["██████", "██  ██", "██  ██", "██  ██", "██████"],
    ["  ██  ", "████  ", "  ██  ", "  ██  ", "██████"],
    ["██████", "    ██", "██████", "██    ", "██████"],
    ["██████", "    ██", "██████", "    ██", "██████"],
    ["██  ██", "██  ██", "██████", "    ██", "    ██"],
    ["██████", "██    ", "██████", "    ██", "██████"],
    ["██████", "██    ", "██████", "██  ██", "██████"],
    ["██████", "    ██", "   ██ ", "  ██  ", "  ██  "],
    ["██████", "██  ██", "██████", "██  ██", "██████"],
    ["██████", "██  ██", "██████", "    ██", "██████"],
];
