//! A link with a task of its own, which reads while it writes and goes on when its connection breaks.
//!
//! Two devices that both send more than the network buffers hold would wait for each other for ever if
//! each finished sending before it received.
//!
//! Connections break when Wi-Fi changes or a relay restarts. The link buffers what it has sent
//! until the other side has confirmed it. When a connection breaks, [`Reconnect`] finds another to
//! the same device; both sides announce how many frames they have, and each sends what the other
//! lacks. So no frame is lost, doubled or reordered, and the user of the link sees only a pause. A
//! side that closes the link ends it for both. A link over a single connection
//! ([`ResumableLink::over`]) ends with it.
//!
//! ```text
//! Kind::Receipt   count 8 bytes, big-endian: frames of the other side that have arrived
//! ```
//!
//! Receipts also serve as keepalives: a connection on which nothing arrives for too long counts as broken, even
//! if the operating system does not report that.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use super::frame::briefly;
use super::{Frame, Kind, Link, LinkError, Receiver, Sender};
use crate::device::Fingerprint;

/// How one side of a link gets a new connection after one broke.
pub trait Reconnect: Send + 'static {
    /// The type of its connections.
    type Link: Link;

    /// Waits until the other side has made a new connection although nothing broke here: it may
    /// notice a break first. Cancel-safe. Never ends on the side that calls.
    fn replaced(&mut self) -> impl Future<Output = ()> + Send;

    /// How long the other side may be silent before it counts as gone. A long frame must get
    /// through in that time.
    fn silence(&self) -> Duration {
        SILENCE
    }

    /// The next connection to the same device, and how many frames of this side the device has.
    /// `received` is told to it in turn.
    ///
    /// # Errors
    /// No connection could be made in time, which ends the link.
    fn reconnect(
        &mut self,
        received: u64,
    ) -> impl Future<Output = Result<(Self::Link, u64), LinkError>> + Send;
}

/// A link to one other device.
pub struct ResumableLink {
    sender: LinkSender,
    receiver: LinkReceiver,
    peer: Fingerprint,
}

impl ResumableLink {
    /// A link to `peer` that begins with the connection `link`.
    pub fn new<R: Reconnect>(peer: Fingerprint, link: R::Link, reconnect: R) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let (inbox, arrived) = mpsc::channel(INBOX);
        let (held, released) = oneshot::channel();
        let task = tokio::spawn(run(link, reconnect, queued, inbox, released));
        Self {
            sender: LinkSender { queue: Some((queue, held)), task },
            receiver: LinkReceiver { arrived },
            peer,
        }
    }

    /// A link that ends with the connection `link` to `peer`.
    pub fn over<L: Link>(peer: Fingerprint, link: L) -> Self {
        Self::new(peer, link, Never(PhantomData))
    }

    /// The device at the other end, the same for every connection.
    pub fn peer(&self) -> Fingerprint {
        self.peer
    }
}

/// For a link that ends with its first connection.
struct Never<L>(PhantomData<fn() -> L>);

impl<L: Link> Reconnect for Never<L> {
    type Link = L;

    fn replaced(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// The connections below watch for silence themselves.
    fn silence(&self) -> Duration {
        Duration::MAX
    }

    async fn reconnect(&mut self, _received: u64) -> Result<(L, u64), LinkError> {
        Err(LinkError::Lost)
    }
}

impl fmt::Debug for ResumableLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableLink").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Link for ResumableLink {
    type Sender = LinkSender;
    type Receiver = LinkReceiver;

    /// Hands the frame over to the task.
    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.sender.send(frame).await
    }

    async fn recv(&mut self) -> Result<Frame, LinkError> {
        self.receiver.recv().await
    }

    async fn close(mut self) {
        self.sender.close().await;
    }

    fn split(self) -> (LinkSender, LinkReceiver) {
        (self.sender, self.receiver)
    }
}

/// An order to the task of a link.
#[derive(Debug)]
enum Order {
    /// Send this frame.
    Send(Frame),
    /// Report when the frames before this have been written to the connection.
    Flush(oneshot::Sender<()>),
}

/// The sending half of a [`ResumableLink`].
#[derive(Debug)]
pub struct LinkSender {
    /// The orders to the task. When the second sender is dropped, the task knows that this half is
    /// not used any more.
    queue: Option<(mpsc::Sender<Order>, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

impl LinkSender {
    /// Queues a frame; waits while the queue is full.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once the link is gone; the receiver has the reason.
    pub async fn queue(&self, frame: Frame) -> Result<(), LinkError> {
        let Some((queue, _)) = &self.queue else { return Err(LinkError::Closed) };
        queue.send(Order::Send(frame)).await.map_err(|_| LinkError::Closed)
    }

    /// Waits until the queued frames have been written to the connection, however long that takes.
    /// Returns at once if the link is gone.
    pub async fn flush(&self) {
        let Some((queue, _)) = &self.queue else { return };
        let (written, done) = oneshot::channel();
        if queue.send(Order::Flush(written)).await.is_ok() {
            let _ = done.await;
        }
    }

    /// A sender of this link that does not keep it open.
    pub fn downgrade(&self) -> WeakSender {
        WeakSender(self.queue.as_ref().map(|(queue, _)| queue.downgrade()))
    }
}

/// A sender of a link that does not keep it open, for tasks that may outlive a ceremony.
#[derive(Clone, Debug)]
pub struct WeakSender(Option<mpsc::WeakSender<Order>>);

impl WeakSender {
    /// As [`LinkSender::queue`], as long as the link is open.
    ///
    /// # Errors
    /// [`LinkError::Closed`].
    pub async fn queue(&self, frame: Frame) -> Result<(), LinkError> {
        let queue = self.0.as_ref().and_then(mpsc::WeakSender::upgrade).ok_or(LinkError::Closed)?;
        queue.send(Order::Send(frame)).await.map_err(|_| LinkError::Closed)
    }

    /// Whether the link is closed, or about to be.
    pub fn is_closed(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.strong_count() == 0)
    }
}

impl Sender for LinkSender {
    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.queue(frame).await
    }

    async fn close(&mut self) {
        self.queue = None;
        let _ = (&mut self.task).await;
    }
}

/// The receiving half of a [`ResumableLink`].
#[derive(Debug)]
pub struct LinkReceiver {
    arrived: mpsc::Receiver<Result<Frame, LinkError>>,
}

impl LinkReceiver {
    /// As [`Receiver::recv`], to poll several links at once.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame, LinkError>> {
        self.arrived.poll_recv(context).map(|frame| frame.unwrap_or(Err(LinkError::Closed)))
    }
}

impl Receiver for LinkReceiver {
    async fn recv(&mut self) -> Result<Frame, LinkError> {
        self.arrived.recv().await.unwrap_or(Err(LinkError::Closed))
    }
}

/// Why a connection has ended.
enum End {
    /// This side has sent everything, or is not used any more.
    Done,
    /// It broke, and another may follow.
    Broken,
    /// The link has ended.
    Over(LinkError),
}

impl From<LinkError> for End {
    /// An error that the other side caused is final. An error of the network may be temporary.
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed
            | LinkError::Expired
            | LinkError::Refused
            | LinkError::Identity { .. }
            | LinkError::Malformed(_)
            | LinkError::NotUnderstood(_) => Self::Over(error),
            LinkError::Lost
            | LinkError::TimedOut
            | LinkError::Unreachable(_)
            | LinkError::NotListening(_)
            | LinkError::Tls(_)
            | LinkError::Io(_) => Self::Broken,
        }
    }
}

/// The task of a link.
async fn run<R: Reconnect>(
    mut link: R::Link,
    mut reconnect: R,
    mut queue: mpsc::Receiver<Order>,
    inbox: mpsc::Sender<Result<Frame, LinkError>>,
    mut released: oneshot::Receiver<()>,
) {
    let buffer = SendBuffer::default();
    let last = loop {
        match serve(link, &mut reconnect, &buffer, &mut queue, &inbox, &mut released).await {
            End::Done => return,
            End::Over(error) => break error,
            End::Broken => {}
        }
        let again = reconnect.reconnect(buffer.received());
        let next = tokio::select! {
            next = again => next,
            () = abandoned(&mut released, &buffer) => return,
        };
        match next {
            Ok((next, theirs)) if buffer.confirm(theirs) => link = next,
            Ok(_) => break LinkError::Malformed("a link resumed out of step"),
            Err(error) => break error,
        }
    };
    queue.close();
    tokio::select! {
        _ = inbox.send(Err(last)) => {}
        () = until_released(&mut released) => {}
    }
}

/// Waits until this end is not used any more.
async fn until_released(released: &mut oneshot::Receiver<()>) {
    // A receiver that has resolved must not be polled again.
    if !released.is_terminated() {
        let _ = released.await;
    }
}

/// Waits until this end is not used any more and its frames are confirmed, or could not be for a
/// while.
async fn abandoned(released: &mut oneshot::Receiver<()>, buffer: &SendBuffer) {
    until_released(released).await;
    if !buffer.all_confirmed() {
        sleep(FLUSH).await;
    }
}

/// Runs one connection from its beginning to its end.
async fn serve<R: Reconnect>(
    link: R::Link,
    reconnect: &mut R,
    buffer: &SendBuffer,
    queue: &mut mpsc::Receiver<Order>,
    inbox: &mpsc::Sender<Result<Frame, LinkError>>,
    released: &mut oneshot::Receiver<()>,
) -> End {
    let (mut sender, mut receiver) = link.split();
    let end = {
        let reading = read(&mut receiver, buffer, inbox, reconnect.silence());
        let writing = write(&mut sender, buffer, queue);
        let overdue = async {
            until_released(released).await;
            sleep(FLUSH).await;
        };
        tokio::pin!(reading);
        tokio::select! {
            end = &mut reading => end,
            written = writing => match written {
                Ok(()) => End::Done,
                Err(error) => {
                    // The reason, such as a refusal, may still be unread.
                    let mut end = End::from(error);
                    briefly(async { end = reading.await }).await;
                    end
                }
            },
            () = reconnect.replaced() => End::Broken,
            () = overdue => End::Done,
        }
    };
    if !matches!(end, End::Broken) {
        sender.close().await;
        // A socket that is closed with unread bytes resets the connection, and frames we sent last
        // could be lost with it.
        briefly(async { while receiver.recv().await.is_ok() {} }).await;
    }
    end
}

async fn read<R: Receiver>(
    receiver: &mut R,
    buffer: &SendBuffer,
    inbox: &mpsc::Sender<Result<Frame, LinkError>>,
    silence: Duration,
) -> End {
    loop {
        let frame = match timeout(silence, receiver.recv()).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return error.into(),
            Err(_) => return End::Broken,
        };
        if frame.kind == Kind::Receipt {
            match <[u8; 8]>::try_from(frame.payload.as_slice()) {
                Ok(count) if buffer.confirm(u64::from_be_bytes(count)) => continue,
                _ => return End::Over(LinkError::Malformed("a receipt for what was not sent")),
            }
        }
        // Counted when it is handed over, not before: a frame that is read and not handed over is
        // sent again over the next connection.
        let Ok(place) = inbox.reserve().await else { return End::Done };
        buffer.note_arrival(frame.payload.len());
        place.send(Ok(frame));
    }
}

async fn write<S: Sender>(
    sender: &mut S,
    buffer: &SendBuffer,
    queue: &mut mpsc::Receiver<Order>,
) -> Result<(), LinkError> {
    let mut next = buffer.first_unconfirmed();
    let mut spoke = Instant::now();
    loop {
        // A confirmed frame need not be sent.
        next = next.max(buffer.first_unconfirmed());
        let frame = match buffer.unconfirmed(next) {
            Some(frame) => {
                next += 1;
                frame
            }
            None if buffer.owes_receipt() || spoke.elapsed() >= KEEPALIVE => {
                receipt(buffer.confirm_arrivals())
            }
            None => {
                tokio::select! {
                    order = queue.recv(), if buffer.has_room() => match order {
                        Some(Order::Send(frame)) => buffer.push(frame),
                        // A flush is answered when nothing is left to write.
                        Some(Order::Flush(written)) => drop(written.send(())),
                        None => return Ok(()),
                    },
                    () = buffer.news.notified() => {}
                    () = sleep_until(spoke + KEEPALIVE) => {}
                }
                continue;
            }
        };
        sender.send(frame).await?;
        spoke = Instant::now();
    }
}

fn receipt(count: u64) -> Frame {
    Frame::new(Kind::Receipt, count.to_be_bytes().to_vec())
}

/// The frames that were sent, how many have arrived, and what is confirmed in each direction.
#[derive(Default)]
struct SendBuffer {
    state: Mutex<State>,
    /// Notified when something was confirmed or has to be.
    news: Notify,
}

#[derive(Default)]
struct State {
    /// The number of the first frame in `sent`.
    first: u64,
    /// Sent or about to be, and unconfirmed.
    sent: VecDeque<Frame>,
    sent_bytes: usize,
    /// How many frames have arrived, and how many of them, and bytes, this side has not confirmed.
    received: u64,
    owed: u64,
    owed_bytes: usize,
}

impl SendBuffer {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the frames that the other side has, which are `count`. Returns whether the number is
    /// possible.
    fn confirm(&self, count: u64) -> bool {
        let mut state = self.state();
        let sent = u64::try_from(state.sent.len()).unwrap_or(u64::MAX);
        if count < state.first || count > state.first.saturating_add(sent) {
            return false;
        }
        while state.first < count {
            let size = state.sent.pop_front().map_or(0, |frame| frame.payload.len());
            state.sent_bytes = state.sent_bytes.saturating_sub(size);
            state.first += 1;
        }
        self.news.notify_one();
        true
    }

    fn push(&self, frame: Frame) {
        let mut state = self.state();
        state.sent_bytes = state.sent_bytes.saturating_add(frame.payload.len());
        state.sent.push_back(frame);
    }

    fn first_unconfirmed(&self) -> u64 {
        self.state().first
    }

    /// The unconfirmed frame with this number, if there is one.
    fn unconfirmed(&self, number: u64) -> Option<Frame> {
        let state = self.state();
        let index = usize::try_from(number.checked_sub(state.first)?).ok()?;
        state.sent.get(index).cloned()
    }

    fn has_room(&self) -> bool {
        self.state().sent_bytes < UNCONFIRMED
    }

    fn all_confirmed(&self) -> bool {
        self.state().sent.is_empty()
    }

    fn note_arrival(&self, size: usize) {
        let mut state = self.state();
        state.received += 1;
        state.owed += 1;
        state.owed_bytes = state.owed_bytes.saturating_add(size);
        if state.owes_receipt() {
            self.news.notify_one();
        }
    }

    fn owes_receipt(&self) -> bool {
        self.state().owes_receipt()
    }

    fn received(&self) -> u64 {
        self.state().received
    }

    /// The number of frames that have arrived, which counts as confirmed from now on.
    fn confirm_arrivals(&self) -> u64 {
        let mut state = self.state();
        (state.owed, state.owed_bytes) = (0, 0);
        state.received
    }
}

impl State {
    fn owes_receipt(&self) -> bool {
        self.owed >= RECEIPT_FRAMES || self.owed_bytes >= RECEIPT_BYTES
    }
}

/// How many frames may wait to be sent, and to be read.
const QUEUE: usize = 64;
const INBOX: usize = 16;

/// How many bytes may be unconfirmed before sending waits.
const UNCONFIRMED: usize = 8 << 20;

/// After how many frames, or bytes, a receipt is due.
const RECEIPT_FRAMES: u64 = 16;
const RECEIPT_BYTES: usize = 256 << 10;

/// How often an idle side sends a keepalive.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long a side may be silent.
const SILENCE: Duration = Duration::from_secs(16);

/// How long a closed link may take to send its last frames.
const FLUSH: Duration = Duration::from_secs(3);
