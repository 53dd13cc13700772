//! The frames that wait for one peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use timecoin_core::codec::FRAME_SIZE_MAX;
use tokio::sync::{mpsc, watch};

use super::{DisconnectReason, Limits};

/// What may wait for a peer however much waits for others.
const SHARE_MIN: usize = 128 << 10;

/// Where frames for one session go. Sending never waits: when too much is queued, the session is closed.
#[derive(Clone, Debug)]
pub struct Outbox {
    frames: mpsc::Sender<Arc<[u8]>>,
    queued: Arc<AtomicUsize>,
    queued_max: usize,
    total: Arc<AtomicUsize>,
    total_max: usize,
    closing: Arc<watch::Sender<Option<DisconnectReason>>>,
}

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session is over, or there is none.
    #[error("no session with this peer")]
    Closed,
    /// Too much was waiting; the session is being closed.
    #[error("too much is waiting for this peer")]
    Full,
    /// No frame may be this large.
    #[error("a frame larger than {FRAME_SIZE_MAX} bytes")]
    TooLarge,
}

impl Outbox {
    /// An empty outbox and the session's end of it.
    pub(super) fn new(limits: &Limits, total: &Arc<AtomicUsize>) -> (Self, Queue) {
        let (frames, waiting) = mpsc::channel(limits.outbox_frames_max);
        let queued = Arc::new(AtomicUsize::new(0));
        let closing = Arc::new(watch::Sender::new(None));
        let queue = Queue { waiting, queued: Arc::clone(&queued), total: Arc::clone(total) };
        let (queued_max, total_max) = (limits.outbox_bytes_max, limits.outbox_total_max);
        (Self { frames, queued, queued_max, total: Arc::clone(total), total_max, closing }, queue)
    }

    /// Queues a frame.
    pub fn send(&self, frame: impl Into<Arc<[u8]>>) -> Result<(), SendError> {
        let frame = frame.into();
        let size = frame.len();
        if size > FRAME_SIZE_MAX {
            return Err(SendError::TooLarge);
        }
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let before = self.queued.fetch_add(size, Ordering::Relaxed);
        let total = self.total.fetch_add(size, Ordering::Relaxed);
        let is_crowded = total.saturating_add(size) > self.total_max && before > SHARE_MIN;
        let sent = if before.saturating_add(size) > self.queued_max || is_crowded {
            Err(SendError::Full)
        } else {
            self.frames.try_send(frame).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SendError::Full,
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            })
        };
        if let Err(error) = sent {
            self.queued.fetch_sub(size, Ordering::Relaxed);
            self.total.fetch_sub(size, Ordering::Relaxed);
            if error == SendError::Full {
                self.close(DisconnectReason::OutboxFull);
            }
        }
        sent
    }

    /// Ends the session. The first reason given stays.
    pub fn close(&self, reason: DisconnectReason) {
        self.closing.send_if_modified(|closing| {
            let first = closing.is_none();
            closing.get_or_insert(reason);
            first
        });
    }

    /// Whether the session still takes frames.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.frames.is_closed()
    }

    /// Sees the reason when the session is to end.
    pub(super) fn closing(&self) -> watch::Receiver<Option<DisconnectReason>> {
        self.closing.subscribe()
    }
}

/// The session's end of an outbox.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Receiver<Arc<[u8]>>,
    queued: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
}

impl Queue {
    /// The next frame, no longer counted as waiting; `None` when nobody can send any more.
    pub(super) async fn next(&mut self) -> Option<Arc<[u8]>> {
        let frame = self.waiting.recv().await?;
        self.queued.fetch_sub(frame.len(), Ordering::Relaxed);
        self.total.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }

    /// Takes no more frames.
    pub(super) fn close(&mut self) {
        self.waiting.close();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.waiting.close();
        while let Ok(frame) = self.waiting.try_recv() {
            self.total.fetch_sub(frame.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_frames_or_bytes_close_the_session() {
        let cases = [("frames", 2, 1_000, 10), ("bytes", 1_000, 25, 10)];
        for (name, outbox_frames_max, outbox_bytes_max, size) in cases {
            let limits = Limits { outbox_frames_max, outbox_bytes_max, ..Limits::default() };
            let (outbox, _queue) = Outbox::new(&limits, &Arc::default());
            let frame = || vec![0; size];
            assert_eq!((outbox.send(frame()), outbox.send(frame())), (Ok(()), Ok(())), "{name}");
            assert_eq!(*outbox.closing().borrow(), None, "{name}");
            assert_eq!(outbox.send(frame()), Err(SendError::Full), "{name}");
            outbox.close(DisconnectReason::Silent);
            assert_eq!(*outbox.closing().borrow(), Some(DisconnectReason::OutboxFull), "{name}");
        }
    }

    #[test]
    fn when_much_waits_for_all_those_with_much_are_closed() {
        let limits = Limits { outbox_total_max: 3 * SHARE_MIN, ..Limits::default() };
        let total = Arc::new(AtomicUsize::new(0));
        let ((slow, slow_queue), (other, _queue)) =
            (Outbox::new(&limits, &total), Outbox::new(&limits, &total));
        assert_eq!(slow.send(vec![0; 2 * SHARE_MIN]), Ok(()));
        assert_eq!(other.send(vec![0; SHARE_MIN]), Ok(()));
        assert_eq!(other.send(vec![0; 1]), Ok(()), "little waits for it");
        assert_eq!(slow.send(vec![0; 1]), Err(SendError::Full));
        drop(slow_queue);
        assert_eq!(total.load(Ordering::Relaxed), SHARE_MIN + 1);
    }

    #[tokio::test]
    async fn taken_frames_make_room() {
        let limits = Limits { outbox_frames_max: 1, outbox_bytes_max: 10, ..Limits::default() };
        let (outbox, mut queue) = Outbox::new(&limits, &Arc::default());
        for _ in 0..5 {
            outbox.send(vec![0; 10]).unwrap();
            assert_eq!(queue.next().await.unwrap().len(), 10);
        }
        assert_eq!(outbox.send(vec![0; FRAME_SIZE_MAX + 1]), Err(SendError::TooLarge));
        assert_eq!(*outbox.closing().borrow(), None);
        drop(queue);
        assert_eq!(outbox.send(vec![0]), Err(SendError::Closed));
    }
}
