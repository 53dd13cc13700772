//! What peers send and do not finish: counted underneath the WebSocket, which keeps the parts of a message until
//! it is whole.
//!
//! Each connection may have a little unfinished; beyond that it takes from a budget that all share. Who would
//! take more than is left is cut off, and so is who takes too long to finish.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection may have unfinished without taking from the budget.
const FREE: usize = 64 << 10;

/// Counts the bytes of one connection since its last whole message.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    own: Arc<AtomicUsize>,
    messages: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
    total_max: usize,
}

impl Meter {
    pub(super) fn new(total: Arc<AtomicUsize>, total_max: usize) -> Self {
        Self { own: Arc::default(), messages: Arc::default(), total, total_max }
    }

    /// Whether something is unfinished.
    pub(super) fn is_open(&self) -> bool {
        self.own.load(Ordering::Relaxed) > 0
    }

    /// How many messages were finished.
    pub(super) fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// A message is whole.
    pub(super) fn finish(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        let own = self.own.swap(0, Ordering::Relaxed);
        self.total.fetch_sub(own.saturating_sub(FREE), Ordering::Relaxed);
    }

    /// Bytes came in. False if they are too many.
    fn count(&self, bytes: usize) -> bool {
        let before = self.own.fetch_add(bytes, Ordering::Relaxed);
        let taken = (before + bytes).saturating_sub(FREE) - before.saturating_sub(FREE);
        let total = self.total.fetch_add(taken, Ordering::Relaxed) + taken;
        taken == 0 || total <= self.total_max
    }
}

/// A stream whose incoming bytes are counted.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Meter) -> Self {
        Self { stream, meter }
    }
}

impl<S> Drop for Metered<S> {
    fn drop(&mut self) {
        self.meter.finish();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        if self.meter.count(count) { polled } else { Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into())) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_is_free_and_the_rest_is_shared() {
        let total = Arc::new(AtomicUsize::new(0));
        let meter = || Meter::new(total.clone(), 1000);
        let (one, two) = (meter(), meter());
        assert!(one.count(FREE) && two.count(FREE));
        assert!(one.count(600));
        assert!(!two.count(600), "the budget is spent");
        assert!(two.is_open());
        two.finish();
        assert!(!two.is_open());
        assert!(two.count(FREE) && two.count(400));
        one.finish();
        two.finish();
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
