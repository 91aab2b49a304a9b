//! The state of the running command, computed from its events. Every view draws it.
//!
//! Time comes with each event, as the span since the screen was made.

use std::time::Duration;

use super::text::allowed;
use crate::device::Fingerprint;
use crate::progress::{
    Compared, Event, KnownKey, KnownPeer, Lasts, PastCeremony, QueuedRequest, RequestView,
};
use crate::request::Ceremony;

/// The state that a view draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// This device, once it can be reached.
    pub own: Option<Own>,
    /// The devices seen, in the order they first appeared.
    pub peers: Vec<PeerRow>,
    /// The inventory of this device, if it was told.
    pub inventory: Option<Inventory>,
    /// The six digits on the screen.
    pub code: Option<CodeCard>,
    /// The request on the screen, with the seconds that were left when it came.
    pub request: Option<RequestCard>,
    /// The requests that wait for the person, behind the one on the screen.
    pub queued: Vec<QueuedRequest>,
    /// The running ceremony.
    pub ceremony: Option<Running>,
    /// The end of the last ceremony.
    pub ended: Option<Ended>,
    /// The way to each device that was reached.
    pub routes: Vec<(String, String)>,
    /// The device whose connection broke, and how long it is waited for.
    pub broken: Option<(String, Duration)>,
    /// An invitation to pair, and when it expires.
    pub invite: Option<(String, String)>,
    /// The relay through which this device can be reached.
    pub relay: Option<Relay>,
    /// How many unknown devices were refused.
    pub strangers: u64,
    /// The latest note.
    pub note: Option<String>,
}

/// This device, as others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub name: String,
    /// Its device id.
    pub id: String,
    /// Its full fingerprint.
    pub fingerprint: String,
    /// The TCP port.
    pub port: u16,
}

/// What this device holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The devices it is paired with.
    pub peers: Vec<KnownPeer>,
    /// Its keys.
    pub keys: Vec<KnownKey>,
    /// Its latest ceremonies, the newest first.
    pub recent: Vec<PastCeremony>,
}

/// A device nearby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The name it announces.
    pub name: String,
    /// Its device id.
    pub id: String,
    /// Its full fingerprint, once its certificate is verified.
    pub fingerprint: Option<Fingerprint>,
    /// `ready`, `available`, `busy` or `offline`.
    pub status: String,
    /// Its address.
    pub address: String,
    /// When it was last seen.
    pub seen: Duration,
}

/// Six digits, and the devices they are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCard {
    /// As shown: `385 721`.
    pub code: String,
    /// The other device, or all of a group.
    pub with: Compared,
    /// How long the pairing will last.
    pub lasts: Lasts,
    /// A warning about a name or fingerprint that is known already.
    pub warning: Option<String>,
    /// The deadline for the answer.
    pub until: Duration,
}

/// A request, and the deadline for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCard {
    /// The request.
    pub view: RequestView,
    /// The note just before it, which is about it.
    pub note: Option<String>,
    /// The deadline for the answer.
    pub until: Duration,
}

/// A relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Its URL.
    pub url: String,
    /// Whether this device can be reached through it now.
    pub connected: bool,
    /// Why not, if it cannot.
    pub detail: Option<String>,
}

/// What devices are doing together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// They compare six digits.
    Pairing,
    /// They make, refresh or use a key.
    Ceremony(Ceremony),
}

/// A ceremony that runs, or ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The activity; `None` while it only waits for others.
    pub what: Option<Doing>,
    /// The other devices, in the order in which they appeared.
    pub parties: Vec<String>,
    /// Its rounds so far.
    pub rounds: Vec<RoundRow>,
    /// The devices that are awaited.
    pub waiting: Vec<String>,
    /// What they are waited for.
    pub awaited_for: String,
    /// The deadline, if there is one.
    pub until: Option<Duration>,
}

/// A round of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundRow {
    /// From 1.
    pub round: u8,
    /// The number of rounds.
    pub of: u8,
    /// What it exchanges.
    pub name: String,
    /// How many milliseconds it took, once it is over.
    pub ms: Option<u64>,
    /// The parties whose messages have arrived, and after how many milliseconds.
    pub received: Vec<(String, u64)>,
}

/// The end of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// [`Event::Paired`], [`Event::PairedGroup`], [`Event::Key`], [`Event::Signed`] or [`Event::Aborted`].
    pub how: Event,
    /// The state in which it ended.
    pub ceremony: Running,
    /// When.
    pub at: Duration,
}

impl Model {
    /// Updates the model with an event at the time `now`.
    pub fn fold(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Listening { name, id, fingerprint, port } => {
                let own = Own {
                    name: name.clone(),
                    id: id.clone(),
                    fingerprint: fingerprint.clone(),
                    port: *port,
                };
                self.own = Some(own);
            }
            Event::Peer { name, id, fingerprint, status, address } => self.peer(PeerRow {
                name: name.clone(),
                id: id.clone(),
                fingerprint: *fingerprint,
                status: status.clone(),
                address: address.clone(),
                seen: now,
            }),
            Event::Inventory { peers, keys, recent } => {
                self.inventory = Some(Inventory {
                    peers: peers.clone(),
                    keys: keys.clone(),
                    recent: recent.clone(),
                });
            }
            Event::Code { code, with, lasts, warning, seconds } => {
                self.begin(Doing::Pairing);
                self.invite = None;
                self.code = Some(CodeCard {
                    code: code.clone(),
                    with: with.clone(),
                    lasts: *lasts,
                    warning: warning.clone(),
                    until: after(now, *seconds),
                });
            }
            Event::Request(view) => {
                let note = self.note.take();
                self.begin(Doing::Ceremony(view.ceremony));
                let until = after(now, view.seconds);
                self.request = Some(RequestCard { view: (**view).clone(), note, until });
            }
            Event::Round { ceremony, round, of, name, ms, .. } => {
                if !self.runs(*ceremony) || self.goes_back_to(*round) {
                    self.begin(Doing::Ceremony(*ceremony));
                }
                self.round(*round, *of, name, *ms);
            }
            Event::Received { round, from, ms, .. } => self.received(*round, from, *ms),
            Event::Waiting { what, peers, seconds, .. } => {
                let ceremony = self.ceremony.get_or_insert_default();
                ceremony.know(peers);
                ceremony.waiting.clone_from(peers);
                ceremony.awaited_for.clone_from(what);
                ceremony.until = seconds.map(|seconds| after(now, seconds));
            }
            Event::Paired { .. }
            | Event::PairedGroup { .. }
            | Event::Key { .. }
            | Event::Signed { .. }
            | Event::Aborted { .. } => self.end(event, now),
            Event::Connected { peer, via, .. } => {
                self.broken = None;
                self.routes.retain(|(name, _)| name != peer);
                self.routes.push((peer.clone(), via.clone()));
            }
            Event::Disconnected { peer, seconds } => {
                self.broken = Some((peer.clone(), after(now, *seconds)));
            }
            Event::Invite { uri, expires, .. } => {
                self.invite = Some((uri.clone(), expires.clone()));
            }
            Event::Relay { url, connected, detail } => {
                let relay =
                    Relay { url: url.clone(), connected: *connected, detail: detail.clone() };
                self.relay = Some(relay);
            }
            Event::Queued { waiting } => self.queued.clone_from(waiting),
            Event::Behind { before, .. } => {
                let ceremony = self.ceremony.get_or_insert_default();
                ceremony.awaited_for = match before {
                    0 => "approval".to_owned(),
                    before => format!("approval, after {before} other requests there"),
                };
            }
            Event::Serving { .. } => {}
            Event::Strangers { count, .. } => self.strangers = *count,
            Event::Decided { allowed: false, .. } => {}
            Event::Decided { by, ceremony, peer, .. } => {
                self.note = Some(allowed(by, *ceremony, peer));
            }
            Event::Note { message } => self.note = Some(message.clone()),
        }
    }

    /// Whether `event` repeats what is known of a device.
    pub fn knows(&self, event: &Event) -> bool {
        let Event::Peer { name, id, fingerprint, status, address } = event else { return false };
        self.peers.iter().any(|row| {
            (&row.name, &row.id, &row.fingerprint, &row.status, &row.address)
                == (name, id, fingerprint, status, address)
        })
    }

    /// The latest round of the running ceremony.
    pub fn current_round(&self) -> Option<&RoundRow> {
        self.ceremony.as_ref()?.rounds.last()
    }

    fn runs(&self, ceremony: Ceremony) -> bool {
        self.ceremony
            .as_ref()
            .is_some_and(|running| running.what == Some(Doing::Ceremony(ceremony)))
    }

    fn begin(&mut self, what: Doing) {
        self.code = None;
        self.request = None;
        self.ended = None;
        self.note = None;
        self.broken = None;
        self.ceremony = Some(Running { what: Some(what), ..Running::default() });
    }

    fn end(&mut self, how: &Event, at: Duration) {
        self.broken = None;
        self.code = None;
        self.request = None;
        let ceremony = self.ceremony.take().unwrap_or_default();
        self.ended = Some(Ended { how: how.clone(), ceremony, at });
    }

    fn peer(&mut self, row: PeerRow) {
        let room = self.peers.len() < MAX_PEERS;
        match self.peers.iter_mut().find(|known| known.id == row.id) {
            // An offline device was not seen now.
            Some(known) if row.status == "offline" => *known = PeerRow { seen: known.seen, ..row },
            Some(known) => *known = row,
            None if room => self.peers.push(row),
            // Bounded, since anybody may announce any number of devices.
            None => {}
        }
    }

    // A second ceremony of the same kind starts again at round 1.
    fn goes_back_to(&self, round: u8) -> bool {
        self.current_round().is_some_and(|last| last.round > round)
    }

    fn round(&mut self, round: u8, of: u8, name: &str, ms: Option<u64>) {
        self.code = None;
        self.request = None;
        let ceremony = self.ceremony.get_or_insert_default();
        ceremony.waiting.clear();
        ceremony.until = None;
        match ceremony.rounds.iter_mut().find(|known| known.round == round) {
            Some(known) => known.ms = ms,
            None => ceremony.rounds.push(RoundRow {
                round,
                of,
                name: name.to_owned(),
                ms,
                received: Vec::new(),
            }),
        }
    }

    fn received(&mut self, round: u8, from: &str, ms: u64) {
        let ceremony = self.ceremony.get_or_insert_default();
        ceremony.know(&[from.to_owned()]);
        ceremony.waiting.retain(|name| name != from);
        if let Some(row) = ceremony.rounds.iter_mut().find(|known| known.round == round) {
            row.received.push((from.to_owned(), ms));
        }
    }
}

impl Running {
    fn know(&mut self, names: &[String]) {
        for name in names {
            if !self.parties.contains(name) {
                self.parties.push(name.clone());
            }
        }
    }
}

/// The most devices that are listed.
const MAX_PEERS: usize = 256;

fn after(now: Duration, seconds: u64) -> Duration {
    now.saturating_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(ceremony: Ceremony, round: u8, ms: Option<u64>) -> Event {
        Event::Round { ceremony, round, of: 3, name: "nonces".into(), ms, request_id: None }
    }

    fn aborted() -> Event {
        Event::Aborted {
            ceremony: "sign".into(),
            request_id: None,
            code: "denied".into(),
            message: "bob said no".into(),
            hint: None,
        }
    }

    /// One event a second.
    fn folded(events: &[Event]) -> Model {
        let mut model = Model::default();
        for (second, event) in (0..).zip(events) {
            model.fold(event, Duration::from_secs(second));
        }
        model
    }

    #[test]
    fn a_device_seen_twice_is_one_row_with_its_latest_status() {
        let peer = |status: &str| Event::Peer {
            name: "bob".into(),
            id: "00".into(),
            fingerprint: None,
            status: status.into(),
            address: "192.0.2.7:7700".into(),
        };
        let model = folded(&[peer("available"), peer("busy"), peer("offline")]);
        assert_eq!(model.peers.len(), 1);
        assert_eq!(model.peers[0].status, "offline");
        assert_eq!(model.peers[0].seen, Duration::from_secs(1), "it was seen before it left");
    }

    #[test]
    fn a_finished_round_stays_with_its_time() {
        let model = folded(&[
            round(Ceremony::Sign, 1, None),
            round(Ceremony::Sign, 1, Some(12)),
            round(Ceremony::Sign, 2, None),
            Event::Waiting {
                what: String::new(),
                peers: vec!["bob".into()],
                seconds: None,
                request_id: None,
            },
        ]);
        let ceremony = model.ceremony.unwrap();
        assert_eq!(ceremony.rounds.iter().map(|r| r.ms).collect::<Vec<_>>(), [Some(12), None]);
        assert_eq!(ceremony.waiting, ["bob"]);
    }

    #[test]
    fn what_arrived_of_whom_is_kept_by_round() {
        let received = |round, from: &str, ms| Event::Received {
            ceremony: Ceremony::Sign,
            round,
            from: from.into(),
            ms,
            request_id: None,
        };
        let model = folded(&[
            round(Ceremony::Sign, 1, None),
            Event::Waiting {
                what: String::new(),
                peers: vec!["bob".into(), "carol".into()],
                seconds: None,
                request_id: None,
            },
            received(1, "carol", 5),
            received(1, "bob", 7),
            round(Ceremony::Sign, 1, Some(7)),
            round(Ceremony::Sign, 2, None),
            received(2, "carol", 1),
        ]);
        let ceremony = model.ceremony.unwrap();
        assert_eq!(ceremony.parties, ["bob", "carol"]);
        let received: Vec<_> = ceremony.rounds.iter().map(|r| r.received.clone()).collect();
        assert_eq!(
            received,
            [vec![("carol".to_owned(), 5), ("bob".to_owned(), 7)], vec![("carol".to_owned(), 1)]]
        );
    }

    #[test]
    fn a_new_ceremony_starts_from_nothing() {
        let rounds = |events: &[Event]| {
            let ceremony = folded(events).ceremony.unwrap();
            (ceremony.what, ceremony.rounds.len())
        };
        assert_eq!(
            rounds(&[round(Ceremony::Keygen, 1, Some(1)), round(Ceremony::Sign, 1, None)]),
            (Some(Doing::Ceremony(Ceremony::Sign)), 1)
        );
        assert_eq!(
            rounds(&[round(Ceremony::Sign, 3, Some(1)), round(Ceremony::Sign, 1, None)]),
            (Some(Doing::Ceremony(Ceremony::Sign)), 1)
        );
        let after_an_end =
            folded(&[round(Ceremony::Sign, 1, None), aborted(), round(Ceremony::Sign, 1, None)]);
        assert_eq!(after_an_end.ended, None);
    }

    #[test]
    fn an_abort_ends_the_ceremony_and_says_how_far_it_got() {
        let model = folded(&[round(Ceremony::Sign, 1, None), aborted()]);
        assert_eq!((model.ceremony, model.code, model.request), (None, None, None));
        let ended = model.ended.unwrap();
        assert_eq!((ended.how, ended.ceremony.rounds.len()), (aborted(), 1));
    }
}
