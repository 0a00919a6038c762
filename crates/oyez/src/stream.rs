//! A subscription read inside the process.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_core::Stream;
use oyez_proto::EventId;
use smallvec::SmallVec;

use crate::clock;
use crate::core::Core;
use crate::gap::Gap;
use crate::log::Entry;
use crate::output::{Output, Turn};
use crate::pump::unreadable;
use crate::readable::Readable;
use crate::seeker::Seeker;
use crate::timer::Timer;
use crate::typed::Payload;
use crate::{Error, Position, Topic};

/// The events of a subscription, as values. Reads the log at its own pace: one that is not polled costs nothing but its cursor, and
/// meets its [`SlowPolicy`](crate::SlowPolicy) when it lags beyond the history.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use oyez::{Hub, StreamItem};
/// let hub = Hub::<String>::new();
/// let mut stream = hub.subscribe_pattern("log/*").into_stream()?;
/// hub.publish("log/web", "started").await?;
/// match stream.next().await {
///     Some(StreamItem::Event(event)) => assert_eq!(*event.value, "started"),
///     Some(StreamItem::Gap(gap)) => println!("{:?} events missed: {}", gap.missed, gap.reason),
///     Some(_) | None => {}
/// }
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// ```
pub struct EventStream<T> {
    core: Arc<Core>,
    seeker: Seeker,
    timer: Timer,
    turn: Vec<Output>,
    ready: VecDeque<StreamItem<T>>,
    payload: PhantomData<fn(T) -> T>,
}

/// What an [`EventStream`] yields.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamItem<T> {
    /// An event.
    Event(Delivery<T>),
    /// Entries are missing here.
    Gap(Gap),
    /// This topic has ended. When all topics of the stream have, it is the last item.
    End(Topic),
}

/// One event of an [`EventStream`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivery<T> {
    /// The id to resume from: the publisher's own or the hub's.
    pub id: EventId,
    /// The place in the log.
    pub position: Position,
    /// The topics it was published to; of a private one those that the reader's [`Grant`](crate::Grant) selects.
    pub topics: Topics,
    /// When it was published, to the millisecond.
    pub time: SystemTime,
    /// What was published.
    pub value: Arc<T>,
}

/// The topics of one event, in the order in which they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics(SmallVec<[Topic; 1]>);

impl Deref for Topics {
    type Target = [Topic];

    fn deref(&self) -> &[Topic] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Topics {
    type Item = &'a Topic;
    type IntoIter = std::slice::Iter<'a, Topic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> StreamItem<T> {
    /// The event, if it is one.
    #[must_use]
    pub fn event(self) -> Option<Delivery<T>> {
        match self {
            Self::Event(delivery) => Some(delivery),
            Self::Gap(_) | Self::End(_) => None,
        }
    }
}

impl<T: Payload> EventStream<T> {
    pub(crate) fn new(core: Arc<Core>, seeker: Seeker) -> Self {
        let (turn, ready) = (Vec::new(), VecDeque::new());
        Self { core, seeker, timer: Timer::default(), turn, ready, payload: PhantomData }
    }

    /// The next item; `None` when the stream has ended, or has broken off ([`error`](Self::error)). Cancel-safe: an item is not lost with a call that is dropped.
    pub async fn next(&mut self) -> Option<StreamItem<T>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// After the last item: why it broke off, if it did. Then more follows, in a part of the history that cannot be read; a stream that
    /// has come to its end has no error.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        match self.seeker.refusal() {
            Some(error) => Some(error.again()),
            None => self.seeker.is_broken().then(unreadable),
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamItem<T>>> {
        loop {
            if !self.ready.is_empty() {
                // nothing else makes a busy stream let others run: it waits for no socket
                let turn = ready!(tokio::task::coop::poll_proceed(cx));
                turn.made_progress();
                return Poll::Ready(self.ready.pop_front());
            }
            match self.seeker.poll(clock::now(), cx.waker(), &mut self.turn) {
                Turn::Deliver => {
                    let Self { seeker, turn, ready, core, .. } = self;
                    let readable = seeker.found().expect("who says something has begun").readable();
                    for output in turn.drain(..) {
                        ready.extend(item(output, readable, core));
                    }
                }
                Turn::Yield => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Wait(until) => match self.timer.poll(until, cx) {
                    Poll::Ready(()) => {}
                    Poll::Pending => return Poll::Pending,
                },
                Turn::End => return Poll::Ready(None),
            }
        }
    }
}

impl<T: Payload> Stream for EventStream<T> {
    type Item = StreamItem<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamItem<T>>> {
        self.get_mut().poll_item(cx)
    }
}

fn item<T: Payload>(output: Output, readable: &Readable, core: &Core) -> Option<StreamItem<T>> {
    match output {
        Output::Entry(entry) => Some(delivery(&entry, readable, core)),
        Output::Gap(gap) => Some(StreamItem::Gap(gap)),
        Output::Open { .. } | Output::KeepAlive(_) | Output::Retry(_) => None,
    }
}

fn delivery<T: Payload>(entry: &Entry, readable: &Readable, core: &Core) -> StreamItem<T> {
    if let Some(topic) = entry.ended_topic() {
        return StreamItem::End(topic.clone());
    }
    let position = core.log.position(entry.sequence);
    let value = match entry.payload::<T>() {
        Some(value) => value,
        None => match T::decode(&entry.event()) {
            Ok(value) => Arc::new(value),
            Err(_) => return StreamItem::Gap(Gap::undecodable(position)),
        },
    };
    StreamItem::Event(Delivery {
        id: entry.event_id(core.log.epoch),
        position,
        topics: Topics(entry.topics_for(readable).unwrap_or_else(|| entry.topics.clone())),
        time: UNIX_EPOCH + Duration::from_millis(entry.time_ms),
        value,
    })
}
