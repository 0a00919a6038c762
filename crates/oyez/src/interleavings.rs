//! The wake-up path under shuttle: publishers append and let the shard follow while subscribers read, sleep, leave and
//! come back, in thousands of random orders of every lock and atomic.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --package oyez --release interleavings
//! ```
//! A failure prints the schedule that repeats it (`shuttle::replay`).

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use oyez_proto::Event;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::{Condvar, Mutex};
use shuttle::{Config, FailurePersistence, Runner, thread};

use crate::Topic;
use crate::core::{Core, OnAppend};
use crate::limits::Limits;
use crate::log::{Bounds, Log, Retained, Retention};
use crate::matcher::Matchers;
use crate::options::SlowPolicy;
use crate::output::{Output, Turn};
use crate::position::{Epoch, Position};
use crate::random::Random;
use crate::sleep_flag::SleepFlag;
use crate::submission::Submission;
use crate::subscribe::Subscribe;
use crate::subscriber::Subscriber;

#[test]
fn no_wake_up_is_lost_and_nothing_is_lost_doubled_or_reordered() {
    check(|| publish_while_reading(0));
}

#[test]
fn readers_that_leave_and_come_back_miss_nothing() {
    check(|| publish_while_reading(2));
}

#[test]
fn a_reader_that_is_overtaken_is_told_so() {
    check(overtake);
}

#[test]
fn a_thread_that_sleeps_between_two_looks_sees_every_entry() {
    check(follow_by_flag);
}

#[test]
fn a_stream_that_begins_while_its_topics_end_ends_too() {
    check(end_while_beginning);
}

fn check(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = if std::env::var_os("OYEZ_TEST_LONG").is_some() { 100_000 } else { 5_000 };
    run(RandomScheduler::new(schedules), scenario.clone());
    run(PctScheduler::new(3, schedules), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::Print;
    config.stack_size = 1 << 17;
    Runner::new(scheduler, config).run(scenario);
}

const PUBLISHERS: u64 = 2;
const EVENTS: u64 = 3;

const MATCHERS: [&str; 3] = ["a/0", "*", "a/*"];

/// Two publishers and three readers: of one topic, of all, of a pattern. Every reader stops when it has got all there is:
/// a wake-up that is lost is a deadlock, which shuttle reports.
fn publish_while_reading(reconnects: u64) {
    let core = core(Retention::default(), Bounds::default());
    let readers = MATCHERS.map(|matcher| {
        let expected = if matcher == "a/0" { EVENTS } else { PUBLISHERS * EVENTS };
        let reader = Reader::new(Arc::clone(&core), matcher);
        thread::spawn(move || reader.read(reconnects, |reader| reader.steps.len() as u64 == expected))
    });
    let log = publish(&core);
    for reader in readers {
        verify(&reader.join().unwrap(), &log);
    }
}

/// Nothing is kept but the newest entry: every pause of a reader may be a hole. The last entry, which ends them, stays.
fn overtake() {
    let bounds = Bounds { slack: Retained { entries: 1, bytes: 1 << 20 }, ..Bounds::default() };
    let core = core(Retention::none(), bounds);
    let readers = MATCHERS.map(|matcher| {
        let reader = Reader::new(Arc::clone(&core), matcher);
        thread::spawn(move || reader.read(0, |reader| reader.last >= Some(PUBLISHERS * EVENTS + 1)))
    });
    let mut log = publish(&core);
    log.push((append(&core, 0), 0));
    for reader in readers {
        verify(&reader.join().unwrap(), &log);
    }
}

/// Two publishers wake after each append; a follower looks, says that it sleeps, looks once more and sleeps.
fn follow_by_flag() {
    let core = core(Retention::default(), Bounds::default());
    let sleeper = Arc::new(Sleeper::default());
    let bell: Weak<Sleeper> = Arc::downgrade(&sleeper);
    core.listen(bell);
    let follower = {
        let core = Arc::clone(&core);
        thread::spawn(move || {
            let mut seen = Vec::new();
            while (seen.len() as u64) < PUBLISHERS * EVENTS {
                let followed = seen.len() as u64;
                core.log.follow(followed, 2, &mut seen);
                sleeper.flag.set();
                if core.log.head() == seen.len() as u64 && core.log.head() < PUBLISHERS * EVENTS {
                    sleeper.alarm.wait();
                }
                sleeper.flag.clear();
            }
            seen.iter().map(|entry| entry.sequence).collect::<Vec<_>>()
        })
    };
    publish(&core);
    assert_eq!(follower.join().unwrap(), (1..=PUBLISHERS * EVENTS).collect::<Vec<_>>());
}

/// Whatever comes between, the stream gets the ends that it has begun before, and sleeps for ever after none.
fn end_while_beginning() {
    let core = core(Retention::default(), Bounds::default());
    let enders = ["a", "b"].map(|topic| {
        let core = Arc::clone(&core);
        thread::spawn(move || core.append(vec![Submission::end(Topic::new(topic).unwrap())], None, 0).unwrap())
    });
    let subscribe = Subscribe::<Event>::new(Arc::clone(&core)).and("a").and("b").keep_alive(Duration::ZERO);
    let mut subscriber = subscribe.begin(crate::clock::now(), 0).unwrap();
    let alarm = Arc::new(Alarm::default());
    let (waker, mut out) = (Waker::from(Arc::clone(&alarm)), Vec::new());
    loop {
        match subscriber.poll(crate::clock::now(), &waker, &mut out) {
            Turn::Deliver => {}
            Turn::Yield => thread::yield_now(),
            Turn::Wait(_) => alarm.wait(),
            Turn::End => break,
        }
    }
    let ends = out.iter().filter(|output| matches!(output, Output::Entry(_))).count();
    assert!(ends > 0, "it ended without an end");
    enders.into_iter().for_each(|ender| drop(ender.join().unwrap()));
}

/// What stands for a fan-out thread's inbox.
#[derive(Default)]
struct Sleeper {
    flag: SleepFlag,
    alarm: Arc<Alarm>,
}

impl OnAppend for Sleeper {
    fn appended(&self) {
        if self.flag.take() {
            Arc::clone(&self.alarm).wake();
        }
    }
}

fn core(retention: Retention, bounds: Bounds) -> Arc<Core> {
    let log = Log::new(Epoch::from_bits(1), retention, bounds, Matchers::default());
    Arc::new(Core::new(log, Limits::default(), Random::from_seed(1)))
}

fn append(core: &Core, publisher: u64) -> u64 {
    let topic = Topic::new(&format!("a/{publisher}")).unwrap();
    let ids = core.append(vec![Submission::new(topic, Event::data("x"))], None, 0).unwrap().ids;
    Position::parse(&ids[0]).unwrap().sequence
}

/// All publishers at once. Gives back what came where: sequence numbers and publishers.
fn publish(core: &Arc<Core>) -> Vec<(u64, u64)> {
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let core = Arc::clone(core);
            thread::spawn(move || (0..EVENTS).map(|_| (append(&core, publisher), publisher)).collect::<Vec<_>>())
        })
        .collect();
    let mut log: Vec<_> = publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect();
    log.sort_unstable();
    log
}

/// The steps of a reader are the log, in order, each entry once; what is missing is announced, and nothing else is.
fn verify(reader: &Reader, log: &[(u64, u64)]) {
    let matches = |publisher: u64| publisher == 0 || reader.matcher != "a/0";
    let mut wanted = log.iter().filter(|(_, publisher)| matches(*publisher)).map(|(sequence, _)| *sequence).peekable();
    for step in &reader.steps {
        match step {
            Step::Entry(sequence) => assert_eq!(wanted.next(), Some(*sequence), "{:?} of {log:?}", reader.steps),
            Step::Gap { up_to, missed } => {
                let mut number = 0;
                while wanted.next_if(|sequence| sequence <= up_to).is_some() {
                    number += 1;
                }
                assert!(number > 0 && missed.is_none_or(|missed| missed == number), "{:?} of {log:?}", reader.steps);
            }
        }
    }
    assert_eq!(wanted.next(), None);
}

/// Wakes a thread that sleeps, as a runtime would wake a task.
#[derive(Default)]
struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

impl Alarm {
    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.bell.wait(rung).unwrap();
        }
        *rung = false;
    }
}

struct Reader {
    core: Arc<Core>,
    matcher: &'static str,
    /// The last event id: where it comes back to.
    last: Option<u64>,
    steps: Vec<Step>,
    now: Instant,
}

#[derive(Debug)]
enum Step {
    Entry(u64),
    Gap { up_to: u64, missed: Option<u64> },
}

impl Reader {
    fn new(core: Arc<Core>, matcher: &'static str) -> Self {
        Self { core, matcher, last: None, steps: Vec::new(), now: crate::clock::now() }
    }

    fn subscribe(&self) -> Subscriber {
        let subscribe = Subscribe::<Event>::new(Arc::clone(&self.core)).and_pattern(self.matcher);
        let subscribe = subscribe.slow(SlowPolicy::Skip).keep_alive(Duration::ZERO);
        let id = self.core.log.position(self.last.unwrap_or(0)).to_string();
        subscribe.since_id(&id).begin(self.now, 0).unwrap()
    }

    /// Reads until it has enough; when there is nothing to read it comes back so many times before it sleeps.
    fn read(mut self, mut reconnects: u64, has_enough: impl Fn(&Self) -> bool) -> Self {
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(Arc::clone(&alarm));
        let mut subscriber = self.subscribe();
        let mut out = Vec::new();
        while !has_enough(&self) {
            match subscriber.poll(self.now, &waker, &mut out) {
                Turn::Deliver => out.drain(..).for_each(|output| self.take(&output)),
                Turn::Yield => thread::yield_now(),
                Turn::Wait(_) if reconnects > 0 => {
                    reconnects -= 1;
                    subscriber = self.subscribe();
                }
                Turn::Wait(_) => alarm.wait(),
                Turn::End => panic!("the stream ended by itself"),
            }
        }
        self
    }

    fn take(&mut self, output: &Output) {
        match output {
            Output::Open { cursor, .. } => self.last = cursor.or(self.last),
            Output::Entry(entry) => {
                self.last = Some(entry.sequence);
                self.steps.push(Step::Entry(entry.sequence));
            }
            Output::Gap(gap) => {
                let up_to = gap.position.sequence;
                self.last = Some(up_to);
                self.steps.push(Step::Gap { up_to, missed: gap.missed });
            }
            Output::KeepAlive(_) => panic!("keep-alives are off"),
            Output::Retry(_) => panic!("it is not bare"),
        }
    }
}
