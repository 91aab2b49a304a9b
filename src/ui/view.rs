//! Draws the full screen, as a pure function of the model, the open question and the time.
//!
//! ```text
//!  cosign  "bob" 6f1d…                                    1 min 58 s left     header
//!  one document, or the dashboard's panels                                    body
//!  approve: type 5a and Enter [5 ] · n deny · m mute                          footer
//! ```
//!
//! A document longer than the body scrolls; a question counts as read once its last line was
//! visible. No fact is shown by colour alone.

mod code;
mod dashboard;
mod invitation;
mod question;
mod result;
mod rounds;
#[cfg(test)]
mod screens;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::lines::{queue, time_left};
use super::model::{Model, Running};
use super::stage::{Question, Stage};
use super::text::{clip, quoted_in, width};

/// The input of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The model.
    pub(super) model: &'a Model,
    /// The open question.
    pub(super) stage: &'a Stage,
    /// The span since the screen was made.
    pub(super) now: Duration,
    /// Whether colours may be used.
    pub(super) color: bool,
}

/// The content of the body.
enum Body {
    Document(Vec<Line<'static>>),
    Dashboard,
}

/// Draws the screen and returns how many lines do not fit.
pub(super) fn draw(frame: &mut Frame<'_>, scene: Scene<'_>) -> usize {
    let split = |head| {
        let rows = [Constraint::Length(head), Constraint::Min(1), Constraint::Length(1)];
        Layout::vertical(rows).areas::<3>(frame.area())
    };
    let [mut head, mut body, foot] = split(1);
    let content = scene.body(page(body));
    // A code of 23 rows fits on 24 lines if the header gives way to its border.
    if let Body::Document(document) = &content
        && document.len() == usize::from(body.height) + 1
        && scene.stage.top().is_none()
    {
        [head, body, _] = split(0);
    }
    frame.render_widget(Paragraph::new(header(scene, head.width)).style(REVERSED), head);
    let overflow = match content {
        Body::Document(document) => draw_document(frame, page(body), document, scene),
        Body::Dashboard => {
            dashboard::draw(frame, body, scene);
            0
        }
    };
    let foot_line = Line::from(format!(" {}", footer(scene, overflow)));
    frame.render_widget(Paragraph::new(foot_line).style(REVERSED), foot);
    overflow
}

/// The area of a document: centred, and no wider than is readable.
fn page(body: Rect) -> Rect {
    let side = body.width.saturating_sub(WIDEST) / 2;
    body.inner(Margin { horizontal: side.max(1), vertical: 0 })
}

fn draw_document(
    frame: &mut Frame<'_>,
    area: Rect,
    document: Vec<Line<'static>>,
    scene: Scene<'_>,
) -> usize {
    let overflow = document.len().saturating_sub(usize::from(area.height));
    let from = scene.stage.scroll.min(overflow);
    let window: Vec<Line<'static>> =
        document.into_iter().skip(from).take(usize::from(area.height)).collect();
    frame.render_widget(Paragraph::new(window), area);
    overflow
}

impl Scene<'_> {
    fn body(self, page: Rect) -> Body {
        let size = (usize::from(page.width), usize::from(page.height));
        let width = size.0;
        let model = self.model;
        if let Some(page) = self.stage.page() {
            return Body::Document(question::page(self, page, width));
        }
        let document = match (self.stage.top().map(|asking| &asking.question), &model.ended) {
            (Some(Question::Code(card)), _) => code::document(self, card, width),
            (Some(Question::Approval { card, .. }), _) => question::request(self, card, width),
            (Some(Question::Pick { what, .. }), _) => {
                let mut lines = question::pick(self, what, width);
                // Who is invited still needs it while a group is gathered.
                if let Some((uri, expires)) = &model.invite {
                    lines.push(Line::default());
                    let left = (width, size.1.saturating_sub(lines.len()));
                    lines.extend(invitation::document(self, uri, expires, left));
                }
                lines
            }
            (Some(Question::Result), Some(ended)) => result::document(self, ended, width),
            (_, Some(ended)) if !self.is_over() => result::document(self, ended, width),
            _ => match (&model.code, &model.request, &model.ceremony) {
                (Some(card), _, _) => code::document(self, card, width),
                (_, Some(card), _) => question::request(self, card, width),
                (_, _, ceremony)
                    if ceremony.as_ref().is_none_or(Running::is_idle) && !self.stage.dismissed =>
                {
                    match &model.invite {
                        Some((uri, expires)) => invitation::document(self, uri, expires, size),
                        None => return Body::Dashboard,
                    }
                }
                (_, _, Some(ceremony)) if !ceremony.is_idle() => {
                    rounds::document(self, ceremony, width)
                }
                _ => return Body::Dashboard,
            },
        };
        Body::Document(document)
    }

    /// Whether the result of the last ceremony need not be shown any more.
    fn is_over(self) -> bool {
        let ended = self.model.ended.as_ref();
        let old = ended.is_some_and(|ended| self.now.saturating_sub(ended.at) > STAYS);
        self.stage.dismissed || old
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn good(self) -> Style {
        if self.color { self.strong().fg(Color::Green) } else { self.strong() }
    }

    fn bad(self) -> Style {
        if self.color { self.strong().fg(Color::Red) } else { self.strong() }
    }
}

impl Running {
    /// Whether the device only waits to pair.
    fn is_idle(&self) -> bool {
        self.what.is_none()
            && matches!(
                self.awaited_for.as_str(),
                "a device to pair with" | "a group to join" | "devices to join"
            )
    }
}

/// The header: this device, and the time left.
fn header(scene: Scene<'_>, columns: u16) -> Line<'static> {
    let until = match scene.stage.top().map(|asking| &asking.question) {
        Some(Question::Code(card)) => Some(card.until),
        Some(Question::Approval { card, .. }) => Some(card.until),
        Some(Question::Pick { .. } | Question::Result) | None => None,
    };
    let right = until.map_or_else(String::new, |until| {
        format!("{} left ", time_left(until.saturating_sub(scene.now).as_secs()))
    });
    let own = scene.model.own.as_ref();
    let room = usize::from(columns).saturating_sub(width(&right) + 1);
    let place = own.map_or_else(String::new, |own| {
        let port = if own.port == 0 { String::new() } else { format!("  port {}", own.port) };
        let address = format!(" {}{port}", own.id);
        quoted_in(&own.name, room.saturating_sub(width(TITLE) + width(&address))) + &address
    });
    // The number of waiting requests, while the card stays.
    let place = match scene.model.queued.as_slice() {
        [] => place,
        waiting => format!(" {}", queue(waiting)),
    };
    let left = clip(&format!("{TITLE}{place}"), room);
    let gap = room.saturating_sub(width(&left)) + 1;
    Line::from(vec![
        Span::styled(left, Modifier::BOLD),
        Span::raw(" ".repeat(gap)),
        Span::styled(right, Modifier::BOLD),
    ])
}

/// The footer: the keys that work now.
fn footer(scene: Scene<'_>, overflow: usize) -> String {
    let stage = scene.stage;
    let below = overflow.saturating_sub(stage.scroll);
    let more = format!("↓ {below} more {}", if below == 1 { "line" } else { "lines" });
    if stage.page().is_some() {
        return match (stage.is_armed(), below) {
            (false, _) => "one moment, then keys answer".to_owned(),
            (true, 0) => "Space goes on · no other key does".to_owned(),
            (true, _) => format!("{more} · Space goes on"),
        };
    }
    let asking = stage.top().map(|asking| &asking.question);
    match asking {
        Some(Question::Result) if below > 0 => format!("{more} · Enter goes on"),
        Some(Question::Result) => "Enter goes on".to_owned(),
        Some(_) if !stage.is_armed() => "one moment, then keys answer".to_owned(),
        Some(Question::Approval { .. }) if !stage.is_read() => {
            format!("{more}: approving needs all of them · n deny")
        }
        Some(Question::Code(_)) if !stage.is_read() => {
            format!("{more}: comparing needs all of them · n different")
        }
        Some(Question::Approval { .. } | Question::Code(_)) if !stage.is_open() => {
            "one moment, then keys answer · n does already".to_owned()
        }
        Some(Question::Approval { word, .. }) if scene.model.queued.is_empty() => {
            approve(stage, word)
        }
        Some(Question::Approval { word, .. }) => approve(stage, word) + " · l later",
        Some(Question::Code(_)) => {
            "y the same · n different · Enter does nothing · Ctrl-C ends".to_owned()
        }
        Some(Question::Pick { .. }) => {
            "↑ ↓ or a letter, and Enter, or its number · Ctrl-C ends".to_owned()
        }
        None if below > 0 => format!("{more} · Ctrl-C ends"),
        None if scene.model.ended.is_some() && !scene.is_over() => {
            "Enter goes back to the list · Ctrl-C ends".to_owned()
        }
        None if stage.cursor.is_some() => {
            "↑ ↓ choose · m mutes or unmutes · Esc goes back".to_owned()
        }
        None if scene.model.inventory.as_ref().is_some_and(|has| !has.peers.is_empty()) => {
            "m mutes a device · Ctrl-C ends · Ctrl-Z suspends".to_owned()
        }
        None => "Ctrl-C ends · Ctrl-Z suspends".to_owned(),
    }
}

/// The footer of a request: the word that approves, and what was typed of it.
fn approve(stage: &Stage, word: &str) -> String {
    let field = format!("{:width$}", stage.typed, width = word.len());
    match &stage.wrong {
        Some(wrong) => {
            format!("{wrong} approves nothing: type {word} and Enter [{field}] · n deny")
        }
        None => format!("approve: type {word} and Enter [{field}] · n deny · m mute"),
    }
}

/// Whether the dashboard is shown, so that it gets the keys.
pub(super) fn shows_dashboard(scene: Scene<'_>) -> bool {
    scene.stage.top().is_none() && matches!(scene.body(Rect::new(0, 0, 80, 24)), Body::Dashboard)
}

const TITLE: &str = " cosign  ";
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
/// How long a result stays on a dashboard if it is not left.
const STAYS: Duration = Duration::from_secs(120);
/// The widest document, in columns.
const WIDEST: u16 = 100;

#[cfg(test)]
pub(super) mod fixture {
    use crate::curve::CurveName;
    use crate::device::{Fingerprint, Label};
    use crate::payload::{HashFunction, Source};
    use crate::progress::{PartyView, RequestView};
    use crate::request::{Ceremony, Hex, RequestId};

    /// A device called `name`, whose fingerprint is all `byte`.
    pub(crate) fn party(name: &str, byte: u8) -> PartyView {
        PartyView { name: Label::new(name), fingerprint: Fingerprint::new([byte; 32]) }
    }

    /// A request of alice to sign a file.
    pub(crate) fn request() -> RequestView {
        let mut public_key = [0x99; 33];
        public_key[0] = 2;
        let digest = std::array::from_fn(|i| [0x5a, 0x7f][i % 2]);
        RequestView {
            ceremony: Ceremony::Sign,
            request_id: RequestId::new(&"77".repeat(16)).unwrap(),
            key: "vault".into(),
            public_key: Some(Hex(public_key)),
            curve: CurveName::default(),
            imports: None,
            reshare: None,
            threshold: 2,
            parties: 3,
            signers: vec![party("alice", 0xaa), party("bob", 0xbb)],
            digest: Some(Hex(digest)),
            source: Source::File {
                name: Label::new("release.tar"),
                size: 42_000_000,
                hash: HashFunction::Sha256,
                attached: false,
            },
            payload: None,
            built: Vec::new(),
            purpose: Label::new("release 1.2"),
            requester: party("alice", 0xaa),
            receivers: vec![party("alice", 0xaa)],
            seconds: 90,
            changed: Vec::new(),
            hash: Hex([0x6b, 0xe3, 0x32, 0xbf]),
        }
    }
}
