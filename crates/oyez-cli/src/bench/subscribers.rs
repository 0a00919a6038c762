//! Many streams at once, in one thread.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bench::blocks::Found;
use crate::bench::board::Board;
use crate::bench::clock::{Clock, seconds};
use crate::bench::limits::{LOOK, STOPPED_RECEIVE_BYTES};
use crate::bench::plan::Plan;
use crate::bench::progress::Progress;
use crate::bench::spread::Spread;
use crate::bench::stream::{Dial, Receive, Refusal, Stream};
use crate::failure::Failure;

/// Open streams. Dropping them closes the connections.
pub(crate) struct Subscribers {
    tasks: JoinSet<Result<(), Refusal>>,
    board: Rc<RefCell<Board>>,
    go_on: watch::Sender<bool>,
    number: usize,
}

impl Subscribers {
    pub(crate) fn new(plan: &Plan, number: usize) -> Self {
        let board = Board::new(plan.clock, plan.size, number);
        Self { tasks: JoinSet::new(), board: Rc::new(RefCell::new(board)), go_on: watch::Sender::new(false), number }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn board(&self) -> Ref<'_, Board> {
        self.board.borrow()
    }

    pub(crate) fn board_mut(&self) -> RefMut<'_, Board> {
        self.board.borrow_mut()
    }

    /// Those that have stopped reading read on.
    pub(crate) fn go_on(&self) {
        self.go_on.send_replace(true);
    }

    /// Opens all streams, a few at a time, and says how many seconds that took.
    pub(crate) async fn open(&mut self, opening: &Opening<'_>, progress: &Progress) -> Result<f64, Failure> {
        let begun = opening.plan.clock.now();
        self.start(opening, |_| {});
        while self.board().opened < self.number {
            self.check(opening.plan)?;
            progress.say(|| format!("{} of {} streams are open", self.board().opened, self.number));
            sleep(LOOK).await;
        }
        self.check(opening.plan)?;
        Ok(seconds(opening.plan.clock.now() - begun))
    }

    /// Starts to open all streams; `began` is told when each connects.
    pub(crate) fn start(&mut self, opening: &Opening<'_>, began: impl Fn(Began) + Clone + 'static) {
        let places = Arc::new(Semaphore::new(opening.plan.opening));
        for (index, place) in self.board.borrow_mut().places.iter_mut().enumerate() {
            place.reading = opening.spread.of(index);
        }
        for index in 0..self.number {
            let (dial, request) = (opening.dial(index), opening.request(index));
            let (places, began, clock) = (Arc::clone(&places), began.clone(), opening.plan.clock);
            let mut reader = Reader { index, board: Rc::clone(&self.board) };
            let mut go_on = self.go_on.subscribe();
            self.tasks.spawn_local(async move {
                let place = places.acquire_owned().await;
                began(Began { index, time: clock.now() });
                let mut stream = Stream::open(dial, &request).await?;
                reader.board.borrow_mut().opened += 1;
                drop((place, request));
                reader.follow(&mut stream, &mut go_on).await;
                Ok(())
            });
        }
    }

    /// Fails when a stream could not be opened.
    pub(crate) fn check(&mut self, plan: &Plan) -> Result<(), Failure> {
        while let Some(outcome) = self.tasks.try_join_next() {
            let outcome = outcome.map_err(|error| Failure::failed(format!("a subscriber failed: {error}")))?;
            outcome.map_err(|refusal| {
                let opened = self.board().opened;
                let after = if opened > 0 { format!(" (after {opened} that were opened)") } else { String::new() };
                Failure::failed(format!("{}: {refusal}{after}", plan.server.subscribe.url))
            })?;
        }
        Ok(())
    }
}

/// When a subscriber began to connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began {
    pub(crate) index: usize,
    pub(crate) time: u64,
}

/// What is opened.
pub(crate) struct Opening<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) prefix: &'a str,
    pub(crate) spread: Spread,
    pub(crate) last_event_id: Option<&'a [u8]>,
    /// The last so many may stop reading, so the kernel holds little for them.
    pub(crate) stopping: usize,
    pub(crate) number: usize,
}

impl Opening<'_> {
    fn dial(&self, index: usize) -> Dial {
        let stops = index >= self.number - self.stopping;
        Dial {
            address: self.plan.server.subscribe.address,
            number: index,
            receive_bytes: stops.then_some(STOPPED_RECEIVE_BYTES),
            timeout: self.plan.timeout,
        }
    }

    pub(crate) fn request(&self, index: usize) -> Vec<u8> {
        let names: Vec<_> = self.spread.of(index).topics().map(|topic| format!("{}{topic}", self.prefix)).collect();
        self.plan.server.subscribe_request(&names.join(&self.plan.topic_separator), self.last_event_id)
    }
}

/// Puts what its stream brings on the board.
struct Reader {
    index: usize,
    board: Rc<RefCell<Board>>,
}

impl Reader {
    /// Reads to the end of the stream.
    async fn follow(&mut self, stream: &mut Stream, go_on: &mut watch::Receiver<bool>) {
        loop {
            if self.stops() {
                // an error says that the run is over
                let _ = go_on.wait_for(|go_on| *go_on).await;
            }
            match stream.read(self).await {
                Ok(true) => {}
                // cut in whatever way: what is missing shows in the check
                Ok(false) | Err(_) => break,
            }
        }
        if let Some(place) = self.board.borrow_mut().places.get_mut(self.index) {
            place.ended = true;
        }
    }

    fn stops(&self) -> bool {
        let board = self.board.borrow();
        board.places.get(self.index).is_some_and(|place| place.received() >= place.stops_after)
    }
}

impl Receive for Reader {
    fn read(&mut self, _bytes: usize) {
        self.board.borrow_mut().read();
    }

    fn event(&mut self, found: Found<'_>) {
        self.board.borrow_mut().take(self.index, found);
    }
}

/// Waits until `done` says so, or nothing came for the plan's timeout.
pub(crate) async fn wait(
    subscribers: &Subscribers,
    clock: Clock,
    patience: Duration,
    mut done: impl FnMut(&Board) -> bool,
) -> bool {
    let begun = clock.now();
    loop {
        if done(&subscribers.board()) {
            return true;
        }
        let last = subscribers.board().last.max(begun);
        if u128::from(clock.now() - last) > patience.as_nanos() {
            return false;
        }
        sleep(LOOK).await;
    }
}
