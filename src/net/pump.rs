//! A task per link that reads while it writes.
//!
//! Two devices that both send more than the network buffers hold would wait for each other for ever
//! if each finished sending before it received.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use super::frame::briefly;
use super::{Frame, Link, LinkError, Receiver, Sender};

/// Gives `link` a task. What arrives goes to `inbox` under the name `id`; the last thing to arrive,
/// and the only one that is an error, is the end of the link.
///
/// While `inbox` is full the link is not read, so a peer cannot fill our memory.
pub fn pump<L: Link>(
    link: L,
    id: usize,
    inbox: mpsc::Sender<(usize, Result<Frame, LinkError>)>,
) -> Handle {
    let (queue, queued) = mpsc::channel(QUEUE);
    let (held, let_go) = oneshot::channel();
    let task = tokio::spawn(run(link, id, inbox, queued, let_go));
    Handle { queue, task, _held: held }
}

/// The driver's end of a link that has a task. Dropping it closes the link once what was sent is out.
#[derive(Debug)]
pub struct Handle {
    queue: mpsc::Sender<Frame>,
    task: JoinHandle<()>,
    /// Tells the task, by going away, that nobody waits for this link any more.
    _held: oneshot::Sender<()>,
}

impl Handle {
    /// Queues a frame; waits while the queue is full.
    ///
    /// # Errors
    /// [`LinkError::Closed`] once the link is gone; the inbox says why.
    pub async fn send(&self, frame: Frame) -> Result<(), LinkError> {
        self.queue.send(frame).await.map_err(|_| LinkError::Closed)
    }

    /// Another way to send on this link, for tasks that may outlive the ceremony.
    pub fn whisper(&self) -> Whisper {
        Whisper(self.queue.downgrade())
    }

    /// Sends what is queued, closes the link, and waits until the other side has taken it, or has had
    /// a few seconds to.
    pub async fn close(self) {
        let Self { queue, task, _held } = self;
        drop((queue, _held));
        let _ = task.await;
    }
}

/// A way to send on a link that does not keep it open.
#[derive(Clone, Debug)]
pub struct Whisper(mpsc::WeakSender<Frame>);

impl Whisper {
    /// As [`Handle::send`], as long as the link is open.
    ///
    /// # Errors
    /// [`LinkError::Closed`].
    pub async fn send(&self, frame: Frame) -> Result<(), LinkError> {
        let queue = self.0.upgrade().ok_or(LinkError::Closed)?;
        queue.send(frame).await.map_err(|_| LinkError::Closed)
    }

    /// Whether the link is closed, or about to be.
    pub fn is_closed(&self) -> bool {
        self.0.strong_count() == 0
    }
}

async fn run<L: Link>(
    link: L,
    id: usize,
    inbox: mpsc::Sender<(usize, Result<Frame, LinkError>)>,
    mut queue: mpsc::Receiver<Frame>,
    let_go: oneshot::Receiver<()>,
) {
    let (mut sender, mut receiver) = link.split();
    {
        let reading = read(&mut receiver, id, &inbox);
        let writing = async {
            while let Some(frame) = queue.recv().await {
                sender.send(frame).await?;
            }
            Ok(())
        };
        let overdue = async {
            let _ = let_go.await;
            sleep(FLUSH).await;
        };
        tokio::pin!(reading);
        tokio::select! {
            () = &mut reading => {}
            () = overdue => {}
            written = writing => if let Err(error) = written {
                // The reason may still be on its way to us: a refusal, a last word.
                let mut told = false;
                briefly(async { reading.await; told = true; }).await;
                if !told {
                    briefly(async { drop(inbox.send((id, Err(error))).await) }).await;
                }
            },
        }
    }
    queue.close();
    sender.close().await;
    // A socket that is closed with unread bytes resets the connection, and what we sent last could
    // be lost with it.
    briefly(async { while receiver.recv().await.is_ok() {} }).await;
}

async fn read<R: Receiver>(
    receiver: &mut R,
    id: usize,
    inbox: &mpsc::Sender<(usize, Result<Frame, LinkError>)>,
) {
    loop {
        let received = receiver.recv().await;
        let over = received.is_err();
        if inbox.send((id, received)).await.is_err() || over {
            return;
        }
    }
}

/// How many frames may wait to be sent.
const QUEUE: usize = 64;

/// How long a closed link may take to send what is queued.
const FLUSH: Duration = Duration::from_secs(3);
