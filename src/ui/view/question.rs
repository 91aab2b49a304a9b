//! A request with all its facts, and a list to choose from.

use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::Scene;
use crate::progress::RequestView;
use crate::ui::lines::{Style, page_card, request_card};
use crate::ui::model::RequestCard;
use crate::ui::stage::{Consent, Page};
use crate::ui::text::{bare, cell, under_label, wrap};

/// All facts that an approver must see: the lines of `--plain`, wrapped.
pub(super) fn request(scene: Scene<'_>, card: &RequestCard, width: usize) -> Vec<Line<'static>> {
    let seconds = card.until.saturating_sub(scene.now).as_secs();
    let view = RequestView { seconds, ..card.view.clone() };
    let mut lines = facts(scene, &request_card(&view, Style::default()), width);
    if let Some(note) = &card.note {
        let note = wrap(&format!("! {}", bare(note)), width);
        lines.extend(note.into_iter().map(|text| Line::styled(text, scene.bad())));
    }
    let state = match scene.stage.consent {
        Consent::Open => return lines,
        Consent::Given => "approved here; the others are awaited",
        Consent::NotAsked => "decided by the policy or by the digest that was given",
    };
    lines.push(Line::styled(state, scene.strong()));
    lines
}

/// The page about a question that ended without an answer.
pub(super) fn page(scene: Scene<'_>, page: &Page, width: usize) -> Vec<Line<'static>> {
    let mut lines = facts(scene, &page_card(page), width);
    if let Some(title) = lines.first_mut() {
        *title = std::mem::take(title).style(scene.bad());
    }
    lines
}

/// Lines of a card: a title, then a label and a fact on each.
pub(super) fn facts(scene: Scene<'_>, card: &[String], width: usize) -> Vec<Line<'static>> {
    let rows = card.iter().flat_map(|text| under_label(text, width));
    rows.map(|(label, fact)| Line::from(vec![Span::raw(label), Span::styled(fact, scene.strong())]))
        .collect()
}

/// The candidates, and which one is under the cursor.
pub(super) fn pick(scene: Scene<'_>, what: &str, width: usize) -> Vec<Line<'static>> {
    let Some(asking) = scene.stage.top() else { return Vec::new() };
    let crate::ui::stage::Question::Pick { candidates, .. } = &asking.question else {
        return Vec::new();
    };
    let mut lines = vec![Line::styled(format!("which {what}?"), scene.strong()), Line::default()];
    for (i, name) in candidates.iter().enumerate() {
        let chosen = i == asking.selected;
        let mark = if chosen { ">" } else { " " };
        let text = cell(&format!("{mark} {}  {}", i + 1, bare(name)), width);
        let modifier = if chosen { Modifier::REVERSED } else { Modifier::empty() };
        lines.push(Line::styled(text, modifier));
    }
    lines
}
