//! Links within one process that delay, lose, reorder and duplicate, for tests and examples.
//!
//! The faults of a link follow from its seed. They apply to encoded frames below the checks of
//! [`super::frame`], as they would to a stream that is tampered with: a lost, doubled or reordered
//! frame is noticed and ends the link, and none is ever delivered wrongly.

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use super::frame::{Decoder, Encoder, open};
use super::{Frame, Kind, Link, LinkError, Receiver, Sender};

/// The faults of a link. By default there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The longest a frame takes; each takes a random part of it.
    pub delay: Duration,
    /// How many of a hundred frames are lost.
    pub loss: u8,
    /// How many of a hundred frames come after their successor.
    pub reorder: u8,
    /// How many of a hundred frames come twice.
    pub duplicate: u8,
}

/// Two ends of a link under `conditions`. The same seed gives the same faults for the same frames.
pub fn pair(seed: u64, conditions: Conditions) -> (MemoryLink, MemoryLink) {
    let (to_right, from_left) = mpsc::channel(QUEUE);
    let (to_left, from_right) = mpsc::channel(QUEUE);
    let left = MemoryLink::new(Fate::new(seed, conditions), to_right, from_right);
    let right = MemoryLink::new(Fate::new(!seed, conditions), to_left, from_left);
    (left, right)
}

/// One end of a link within the process.
#[derive(Debug)]
pub struct MemoryLink {
    sender: MemorySender,
    receiver: MemoryReceiver,
}

impl MemoryLink {
    fn new(fate: Fate, to: mpsc::Sender<Parcel>, from: mpsc::Receiver<Parcel>) -> Self {
        let encoder = Encoder::new(SESSION);
        Self {
            sender: MemorySender { encoder, fate, held: None, to: Some(to) },
            receiver: MemoryReceiver { decoder: Decoder::new(SESSION), next: None, from },
        }
    }
}

impl Link for MemoryLink {
    type Sender = MemorySender;
    type Receiver = MemoryReceiver;

    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.sender.send(frame).await
    }

    async fn recv(&mut self) -> Result<Frame, LinkError> {
        self.receiver.recv().await
    }

    async fn close(mut self) {
        self.sender.close().await;
    }

    fn split(self) -> (MemorySender, MemoryReceiver) {
        (self.sender, self.receiver)
    }
}

/// The sending half of a [`MemoryLink`].
#[derive(Debug)]
pub struct MemorySender {
    encoder: Encoder,
    fate: Fate,
    held: Option<Parcel>,
    to: Option<mpsc::Sender<Parcel>>,
}

impl MemorySender {
    async fn post(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        self.encoder.encode(frame, &mut bytes)?;
        let parcel = Parcel { due: Instant::now() + self.fate.delay(), bytes };
        if self.fate.strikes(self.fate.conditions.loss) {
            return Ok(());
        }
        let twice = self.fate.strikes(self.fate.conditions.duplicate).then(|| parcel.clone());
        if self.held.is_none() && self.fate.strikes(self.fate.conditions.reorder) {
            self.held = Some(parcel);
            return Ok(());
        }
        let to = self.to.as_ref().ok_or(LinkError::Closed)?;
        for parcel in [Some(parcel), self.held.take(), twice].into_iter().flatten() {
            to.send(parcel).await.map_err(|_| LinkError::Closed)?;
        }
        Ok(())
    }
}

impl Sender for MemorySender {
    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.post(&frame).await
    }

    async fn close(&mut self) {
        let _ = self.post(&Frame::new(Kind::Close, Vec::new())).await;
        self.to = None;
    }
}

/// The receiving half of a [`MemoryLink`].
#[derive(Debug)]
pub struct MemoryReceiver {
    decoder: Decoder,
    next: Option<Parcel>,
    from: mpsc::Receiver<Parcel>,
}

impl Receiver for MemoryReceiver {
    async fn recv(&mut self) -> Result<Frame, LinkError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return open(frame);
            }
            if self.next.is_none() {
                self.next = Some(self.from.recv().await.ok_or(LinkError::Closed)?);
            }
            if let Some(parcel) = &self.next {
                sleep_until(parcel.due).await;
            }
            // The frame is taken after the delay, so that a cancelled `recv` loses nothing.
            if let Some(parcel) = self.next.take() {
                self.decoder.feed(&parcel.bytes);
            }
        }
    }
}

/// An encoded frame and when it arrives.
#[derive(Clone, Debug)]
struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
}

/// Decides on faults. SplitMix64: repeatable, and random enough for tests.
#[derive(Debug)]
struct Fate {
    state: u64,
    conditions: Conditions,
}

impl Fate {
    fn new(seed: u64, conditions: Conditions) -> Self {
        Self { state: seed, conditions }
    }

    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn strikes(&mut self, of_a_hundred: u8) -> bool {
        self.roll() % 100 < u64::from(of_a_hundred)
    }

    fn delay(&mut self) -> Duration {
        let longest = u64::try_from(self.conditions.delay.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.roll() % longest.saturating_add(1))
    }
}

/// No frame of one memory link can reach another, so all may have the same session.
const SESSION: [u8; 16] = *b"memory of cosign";
const QUEUE: usize = 1024;
