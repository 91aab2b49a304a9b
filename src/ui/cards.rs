//! The requests that were shown: which fields of the next one are new, and the word that approves
//! it.

use std::collections::BTreeMap;

use crate::device::Fingerprint;
use crate::progress::RequestView;

/// The requests that this run has shown.
#[derive(Debug, Default)]
pub(super) struct Cards {
    /// The last card, by requester and key.
    last: BTreeMap<(Fingerprint, String), RequestView>,
    /// Requests that the person put off, with the fields that were new.
    put_off: Vec<RequestView>,
    /// The latest word of each requester.
    words: BTreeMap<Fingerprint, String>,
    /// The latest word of all.
    word: String,
}

impl Cards {
    /// `view` with the fields that differ from the last card of this requester and key. `view` is
    /// then the last card. A request that was put off has the same new fields as before.
    pub(super) fn compare(&mut self, view: RequestView) -> RequestView {
        let subject = (view.requester.fingerprint, subject(&view).to_owned());
        let before = self.put_off.iter().position(|card| is_same(card, &view));
        let before = before.map(|at| self.put_off.swap_remove(at).changed);
        let mut changed = before.unwrap_or_default();
        let now = self.last.get(&subject).map(|last| view.differs_from(last)).unwrap_or_default();
        changed.extend(now.iter().filter(|field| !changed.contains(field)).collect::<Vec<_>>());
        let view = RequestView { changed, ..view };
        self.last.insert(subject, view.clone());
        view
    }

    /// Notes that the person put off `card`, which will be shown again.
    pub(super) fn put_off(&mut self, card: &RequestView) {
        if !self.put_off.iter().any(|other| is_same(other, card)) {
            self.put_off.push(card.clone());
        }
    }

    /// The word that approves `view`: the first digits of its digest or hash. It has more than two
    /// digits if two would be the word of the last card, or of the requester's last one. So text
    /// typed for an earlier card never approves this one.
    pub(super) fn word(&mut self, view: &RequestView) -> String {
        let digits = view.digits();
        let requester = view.requester.fingerprint;
        let last = self.words.get(&requester);
        let begins = |length: usize| digits.get(..length).unwrap_or(&digits);
        let is_new = |word: &&str| **word != self.word && last.is_none_or(|last| **word != **last);
        // At most two words are excluded, so one of the three lengths is free.
        let word = LENGTHS.map(begins).into_iter().find(is_new).unwrap_or(&digits).to_owned();
        self.word.clone_from(&word);
        self.words.insert(requester, word.clone());
        word
    }
}

/// Whether both are the same request; the id alone does not tell, since a device may use it twice.
fn is_same(card: &RequestView, view: &RequestView) -> bool {
    let RequestView { seconds, changed, .. } = card;
    *card == RequestView { seconds: *seconds, changed: changed.clone(), ..view.clone() }
}

/// The key of a request. Keys derived from it count as the same, and so do all keys that are still
/// to be made.
fn subject(view: &RequestView) -> &str {
    if view.public_key.is_none() { "" } else { view.key.split('/').next().unwrap_or_default() }
}

/// The lengths of a word.
const LENGTHS: [usize; 3] = [2, 4, 6];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Label, unhex};
    use crate::payload::Source;
    use crate::request::{Ceremony, Hex, RequestId};
    use crate::ui::view::fixture::{party, request};

    fn digest(digits: &str) -> RequestView {
        let digits = unhex(&digits.repeat(64 / digits.len())).unwrap();
        RequestView { digest: Some(Hex(digits.try_into().unwrap())), ..request() }
    }

    #[test]
    fn the_first_card_of_a_key_has_nothing_to_compare_with() {
        let mut cards = Cards::default();
        assert!(cards.compare(request()).changed.is_empty());
        let other = RequestView { key: "other".into(), ..digest("11") };
        assert!(cards.compare(other).changed.is_empty());
        let carol = RequestView { requester: party("carol", 0xcc), ..digest("22") };
        assert!(cards.compare(carol).changed.is_empty());
    }

    #[test]
    fn what_differs_from_the_last_card_is_named() {
        let mut cards = Cards::default();
        cards.compare(request());
        let other = RequestId::new("other").unwrap();
        let again = RequestView { request_id: other, seconds: 1, ..request() };
        assert!(cards.compare(again).changed.is_empty(), "an id and a time are always new");
        let swapped = RequestView {
            purpose: Label::new("release 1.3"),
            receivers: vec![party("bob", 0xbb)],
            key: "vault/0/7".into(),
            ..digest("11")
        };
        assert_eq!(cards.compare(swapped).changed, ["key", "digest", "purpose", "receivers"]);
        assert_eq!(cards.compare(request()).changed, ["key", "digest", "purpose", "receivers"]);
    }

    #[test]
    fn a_card_that_was_put_off_comes_back_with_its_marks() {
        let mut cards = Cards::default();
        cards.compare(digest("11"));
        let receivers = vec![party("mallory", 0xdd)];
        let asked = RequestView { receivers, ..digest("22") };
        let card = cards.compare(asked.clone());
        assert_eq!(card.changed, ["digest", "receivers"]);
        for seconds in [50, 40] {
            cards.put_off(&card);
            let again = cards.compare(RequestView { seconds, ..asked.clone() });
            assert_eq!(again, RequestView { seconds, ..card.clone() });
        }
        // A request in between does not change the new fields.
        cards.put_off(&card);
        let between = RequestView { purpose: Label::new("rent"), ..asked.clone() };
        assert_eq!(cards.compare(between).changed, ["purpose"]);
        assert_eq!(cards.compare(asked.clone()).changed, ["digest", "receivers", "purpose"]);
        // Once it is decided, the same request has no new fields.
        assert!(cards.compare(asked).changed.is_empty());
    }

    #[test]
    fn another_request_under_the_id_of_one_that_was_put_off_is_compared_with_it() {
        let mut cards = Cards::default();
        cards.compare(digest("11"));
        let card = cards.compare(digest("22"));
        assert_eq!(card.changed, ["digest"]);
        cards.put_off(&card);
        let swapped = RequestView { receivers: vec![party("mallory", 0xdd)], ..digest("22") };
        assert_eq!(cards.compare(swapped).changed, ["receivers"]);
    }

    #[test]
    fn what_a_card_does_not_have_has_not_changed() {
        let mut cards = Cards::default();
        cards.compare(digest("11"));
        let (ceremony, source) = (Ceremony::Refresh, Source::Digest);
        let refresh = RequestView { ceremony, digest: None, source, ..request() };
        assert_eq!(cards.compare(refresh.clone()).changed, ["ceremony"]);
        assert!(cards.compare(refresh).changed.is_empty());
        assert_eq!(cards.compare(digest("11")).changed[..2], ["ceremony", "digest"]);
    }

    #[test]
    fn no_card_has_the_word_of_the_one_before_it() {
        let mut cards = Cards::default();
        let mut words: Vec<String> = Vec::new();
        for view in [digest("5a7f"), digest("5a"), digest("5a7f"), digest("5a7f11aa"), digest("33")]
        {
            words.push(cards.word(&view));
            assert!(view.digits().starts_with(words.last().unwrap()));
        }
        assert_eq!(words, ["5a", "5a5a", "5a", "5a7f", "33"]);
    }

    #[test]
    fn neither_two_peers_nor_a_detour_bring_a_word_back() {
        let mut cards = Cards::default();
        let carol =
            |digits: &str| RequestView { requester: party("carol", 0xcc), ..digest(digits) };
        assert_eq!(cards.word(&digest("5a7f")), "5a");
        assert_eq!(cards.word(&carol("5a7f")), "5a7f", "the card before was alice's");
        assert_eq!(cards.word(&digest("5a7f")), "5a7f5a", "both words are taken");
    }

    #[test]
    fn a_request_without_a_digest_has_a_word_of_its_own() {
        let keygen = RequestView {
            ceremony: Ceremony::Keygen,
            digest: None,
            hash: Hex([0x28, 0x27, 0x45, 0xd1]),
            ..request()
        };
        let mut cards = Cards::default();
        assert_eq!(cards.word(&keygen), "28");
        assert_eq!(cards.word(&keygen), "2827", "the same request again is another card");
    }
}
