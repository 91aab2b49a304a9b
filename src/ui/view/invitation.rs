//! An invitation to pair, as a QR code and as text.

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::Scene;
use crate::device::shell_word;
use crate::ui::qr;
use crate::ui::text::{bare, wrap};

/// The text with the code below it, or beside it if the window is too low.
pub(super) fn document(
    scene: Scene<'_>,
    uri: &str,
    expires: &str,
    (width, height): (usize, usize),
) -> Vec<Line<'static>> {
    let code = qr::rows(uri).unwrap_or_default();
    let side = code.first().map_or(0, |row| row.chars().count());
    let text = [
        "scan this with the other device, or run there:".to_owned(),
        format!("cosign pair {}", bare(&shell_word(uri))),
        format!("it can be used until {}; both screens then show six digits", bare(expires)),
    ];
    let lay = |columns: usize| -> Vec<String> {
        text.iter().flat_map(|part| wrap(part, columns)).collect()
    };
    let above = lay(width);
    let beside = lay(width.saturating_sub(side + 2));
    let row = |row: &str| Span::styled(row.to_owned(), PAPER);
    if above.len() + code.len() <= height || side + 2 + NARROWEST > width {
        let mut lines: Vec<Line<'static>> =
            above.into_iter().map(|text| Line::styled(text, scene.strong())).collect();
        lines.extend(code.iter().map(|text| Line::from(row(text))));
        return lines;
    }
    (0..code.len().max(beside.len()))
        .map(|i| {
            let code = code.get(i).cloned().unwrap_or_default();
            let gap = " ".repeat(side + 2 - code.chars().count());
            let text = beside.get(i).cloned().unwrap_or_default();
            Line::from(vec![row(&code), Span::raw(gap), Span::styled(text, scene.strong())])
        })
        .collect()
}

/// Black on white, since a scanner needs it, whatever the terminal's colours are.
const PAPER: Style = Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231));
/// The fewest columns that text beside a code may have.
const NARROWEST: usize = 20;
