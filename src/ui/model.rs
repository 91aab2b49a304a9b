//! What is known about the running command: a pure fold over its events, which every view draws.

use crate::progress::{Event, RequestView};

/// The state that a view draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The devices seen, in the order they first appeared.
    pub peers: Vec<PeerRow>,
    /// The six digits being compared.
    pub code: Option<CodeCard>,
    /// The request being decided.
    pub request: Option<RequestView>,
    /// The running ceremony: `pair`, `keygen`, `refresh` or `sign`.
    pub ceremony: Option<String>,
    /// Its rounds so far.
    pub rounds: Vec<RoundRow>,
    /// The devices that are awaited.
    pub waiting: Vec<String>,
}

/// A device nearby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The name it announces.
    pub name: String,
    /// Its device id.
    pub id: String,
    /// `ready`, `available`, `busy` or `offline`.
    pub status: String,
    /// Where it is.
    pub address: String,
}

/// Six digits, and whom they are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCard {
    /// As shown: `385 721`.
    pub code: String,
    /// The other device's name.
    pub peer: String,
    /// Its full fingerprint.
    pub fingerprint: String,
    /// A warning about a name or fingerprint that was known otherwise.
    pub warning: Option<String>,
}

/// A round of the running ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundRow {
    /// From 1.
    pub round: u8,
    /// How many there are.
    pub of: u8,
    /// What it exchanges.
    pub name: String,
    /// Milliseconds it took, once it is over.
    pub ms: Option<u64>,
}

impl Model {
    /// Takes an event in.
    pub fn fold(&mut self, event: &Event) {
        match event {
            Event::Listening { .. } => *self = Self::default(),
            Event::Peer { name, id, status, address } => self.peer(PeerRow {
                name: name.clone(),
                id: id.clone(),
                status: status.clone(),
                address: address.clone(),
            }),
            Event::Code { code, peer, fingerprint, warning, .. } => {
                self.begin("pair");
                self.code = Some(CodeCard {
                    code: code.clone(),
                    peer: peer.clone(),
                    fingerprint: fingerprint.clone(),
                    warning: warning.clone(),
                });
            }
            Event::Request(view) => {
                self.begin(&view.ceremony);
                self.request = Some(view.clone());
            }
            Event::Round { ceremony, round, of, name, ms } => {
                if self.ceremony.as_deref() != Some(ceremony) || self.goes_back_to(*round) {
                    self.begin(ceremony);
                }
                self.round(RoundRow { round: *round, of: *of, name: name.clone(), ms: *ms });
            }
            Event::Waiting { peers, .. } => self.waiting.clone_from(peers),
            Event::Paired { .. }
            | Event::Key { .. }
            | Event::Signed { .. }
            | Event::Aborted { .. } => self.end(),
            Event::Note { .. }
            | Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::Invite { .. }
            | Event::Relay { .. } => {}
        }
    }

    /// The latest round.
    pub fn current_round(&self) -> Option<&RoundRow> {
        self.rounds.last()
    }

    fn begin(&mut self, ceremony: &str) {
        self.end();
        self.ceremony = Some(ceremony.to_owned());
    }

    fn end(&mut self) {
        self.code = None;
        self.request = None;
        self.ceremony = None;
        self.rounds.clear();
        self.waiting.clear();
    }

    fn peer(&mut self, row: PeerRow) {
        match self.peers.iter_mut().find(|known| known.id == row.id) {
            Some(known) => *known = row,
            None => self.peers.push(row),
        }
    }

    // A second ceremony of the same kind begins again at round 1.
    fn goes_back_to(&self, round: u8) -> bool {
        self.rounds.last().is_some_and(|last| last.round > round)
    }

    fn round(&mut self, row: RoundRow) {
        self.code = None;
        self.request = None;
        self.waiting.clear();
        match self.rounds.iter_mut().find(|known| known.round == row.round) {
            Some(known) => *known = row,
            None => self.rounds.push(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(ceremony: &str, round: u8, ms: Option<u64>) -> Event {
        Event::Round { ceremony: ceremony.into(), round, of: 3, name: "nonces".into(), ms }
    }

    fn folded(events: &[Event]) -> Model {
        let mut model = Model::default();
        events.iter().for_each(|event| model.fold(event));
        model
    }

    #[test]
    fn a_device_seen_twice_is_one_row_with_its_latest_status() {
        let peer = |status: &str| Event::Peer {
            name: "bob".into(),
            id: "00".into(),
            status: status.into(),
            address: "192.0.2.7:7700".into(),
        };
        let model = folded(&[peer("available"), peer("offline")]);
        assert_eq!(model.peers.len(), 1);
        assert_eq!(model.peers[0].status, "offline");
    }

    #[test]
    fn a_finished_round_stays_with_its_time() {
        let model = folded(&[
            round("sign", 1, None),
            round("sign", 1, Some(12)),
            round("sign", 2, None),
            Event::Waiting { what: String::new(), peers: vec!["bob".into()] },
        ]);
        assert_eq!(model.rounds.iter().map(|r| r.ms).collect::<Vec<_>>(), [Some(12), None]);
        assert_eq!(model.waiting, ["bob"]);
    }

    #[test]
    fn a_new_ceremony_starts_from_nothing() {
        let model = folded(&[round("keygen", 1, Some(1)), round("sign", 1, None)]);
        assert_eq!((model.ceremony.as_deref(), model.rounds.len()), (Some("sign"), 1));
        let again = folded(&[round("sign", 3, Some(1)), round("sign", 1, None)]);
        assert_eq!(again.rounds.len(), 1);
    }

    #[test]
    fn an_abort_leaves_nothing_on_the_screen() {
        let aborted = Event::Aborted {
            ceremony: "sign".into(),
            code: "denied".into(),
            message: "bob said no".into(),
        };
        assert_eq!(folded(&[round("sign", 1, None), aborted]), Model::default());
    }
}
