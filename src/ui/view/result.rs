//! The result of a ceremony.

use ratatui::text::Line;

use super::Scene;
use super::question::facts;
use super::rounds::table;
use crate::device::shell_word;
use crate::progress::{Event, KnownPeer, SignedPart};
use crate::ui::lines::{fingerprint_lines, in_halves};
use crate::ui::model::Ended;
use crate::ui::text::{bare, keygen_with, quoted, wrap};

/// What was made, or why nothing was, and what to do next.
pub(super) fn document(scene: Scene<'_>, ended: &Ended, width: usize) -> Vec<Line<'static>> {
    let (title, card, next) = match &ended.how {
        Event::Paired { peer, fingerprint, expires } => {
            (format!("✓ paired with {}", quoted(peer)), paired(fingerprint, expires.as_deref()), {
                Some(format!("next: {}", bare(&keygen_with([peer.as_str()]))))
            })
        }
        Event::PairedGroup { peers } => (
            format!("✓ {} devices are paired, every two of them", peers.len() + 1),
            paired_group(peers),
            Some(format!(
                "next: {}",
                bare(&keygen_with(peers.iter().map(|peer| peer.name.as_str())))
            )),
        ),
        Event::Key { key, public_key, confirmed, .. } => (
            format!("✓ key {} is stored on this device", quoted(key)),
            vec![
                format!("  public key   {public_key}"),
                format!(
                    "  confirmed    {}",
                    if *confirmed { "by everybody" } else { "not by everybody yet" }
                ),
            ],
            Some(format!("next: cosign sign --key {} <digest>", bare(&shell_word(key)))),
        ),
        Event::Signed {
            key,
            public_key,
            digest,
            der,
            signatures,
            certifies: _,
            delivered_to,
            request_id,
        } => (
            "✓ signed".to_owned(),
            signed(key, public_key, digest, (der.as_deref(), signatures), delivered_to, request_id),
            None,
        ),
        Event::Aborted { ceremony, code, message, hint, .. } => (
            format!("✗ {} ended: {}", bare(ceremony), bare(message)),
            vec![format!("  error        {}", bare(code))],
            hint.as_ref().map(|hint| format!("hint: {}", bare(hint))),
        ),
        _ => return Vec::new(),
    };
    let style = if title.starts_with('✓') { scene.good() } else { scene.bad() };
    let mut lines: Vec<Line<'static>> =
        wrap(&title, width).into_iter().map(|text| Line::styled(text, style)).collect();
    lines.extend(facts(scene, &card, width));
    if let Some(next) = next {
        lines.push(Line::default());
        lines.extend(wrap(&next, width).into_iter().map(Line::from));
    }
    if !ended.ceremony.rounds.is_empty() {
        let failed = matches!(ended.how, Event::Aborted { .. });
        lines.push(Line::default());
        lines.extend(table(scene, &ended.ceremony, failed, width));
    }
    lines
}

fn paired(fingerprint: &str, expires: Option<&str>) -> Vec<String> {
    let mut card = fingerprint_lines(fingerprint);
    let until = expires.unwrap_or("cosign peers forget");
    card.push(format!("  until        {until}"));
    card
}

fn paired_group(peers: &[KnownPeer]) -> Vec<String> {
    let one = |peer: &KnownPeer| {
        format!("  paired with  {} ({})", quoted(&peer.name), peer.fingerprint.device_id())
    };
    let mut card: Vec<String> = peers.iter().map(one).collect();
    let until = peers.first().and_then(|peer| peer.expires.as_deref());
    card.push(format!("  until        {}", until.unwrap_or("cosign peers forget")));
    card
}

fn signed(
    key: &str,
    public_key: &str,
    digest: &str,
    (der, parts): (Option<&str>, &[SignedPart]),
    delivered_to: &[String],
    request_id: &str,
) -> Vec<String> {
    let mut card = vec![format!("  key          {}", quoted(key))];
    card.push(format!("  public key   {public_key}"));
    card.extend(in_halves("  digest       ", digest));
    let names: Vec<String> = delivered_to.iter().map(|name| quoted(name)).collect();
    match der {
        Some(der) => {
            card.push(format!("  DER          {der}"));
            card.push("  checked      valid under this public key".to_owned());
        }
        None if parts.is_empty() => card.push("  DER          not for this device".to_owned()),
        None => {
            for SignedPart { name, der, public_key, .. } in parts {
                card.push(format!("  signed       {}", quoted(name.as_str())));
                card.extend(public_key.iter().map(|key| format!("  by           {key}")));
                card.push(format!("  DER          {der}"));
            }
            card.push("  checked      each is valid under its public key".to_owned());
        }
    }
    card.push(format!("  delivered    to {}", names.join(", ")));
    card.push(format!("  request      {}", bare(request_id)));
    card
}
