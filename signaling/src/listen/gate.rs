//! Bounds what a connection may send while its client is a stranger, before any of it is kept.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{IoSlice, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may still come over a connection; without bound until [`Gate::limit`]. The HTTP
/// server puts it into the extensions of each request.
#[derive(Clone, Debug)]
pub struct Gate(Arc<AtomicUsize>);

impl Gate {
    /// One that lets everything through.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// Lets so many more bytes through; then the connection seems to end.
    pub fn limit(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Lets everything through again.
    pub fn lift(&self) {
        self.limit(usize::MAX);
    }

    /// Whether nothing more comes through.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn pass(&self, bytes: usize) {
        let left = self.0.load(Ordering::Relaxed);
        if left != usize::MAX {
            self.limit(left.saturating_sub(bytes));
        }
    }
}

/// A connection behind a gate.
#[derive(Debug)]
pub struct Gated<S> {
    stream: S,
    gate: Gate,
}

impl<S> Gated<S> {
    /// Puts a connection behind a gate.
    pub const fn new(stream: S, gate: Gate) -> Self {
        Self { stream, gate }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if self.gate.is_shut() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.gate.pass(buffer.filled().len().saturating_sub(before));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_limited_connection_seems_to_end() {
        let gate = Gate::open();
        let mut gated = Gated::new(&[0; 100][..], gate.clone());
        let mut buffer = [0; 10];
        assert_eq!(gated.read(&mut buffer).await.unwrap(), 10);
        gate.limit(15);
        assert_eq!(gated.read(&mut buffer).await.unwrap(), 10);
        assert_eq!(gated.read(&mut buffer).await.unwrap(), 10);
        assert!(gate.is_shut());
        assert_eq!(gated.read(&mut buffer).await.unwrap(), 0);
        gate.lift();
        assert_eq!(gated.read(&mut buffer).await.unwrap(), 10);
    }
}
