//! What the thread that writes does, and in which order.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::ErrorKind;
use crate::log::Visible;
use crate::log::disk::committer::Committer;
use crate::log::disk::failure::Failure;
use crate::log::disk::keeper::KeeperCall;
use crate::log::{Admission, Batch};
use crate::sync::Mutex;

/// Notes what it is asked, and takes its time to trim: until the publisher has its answer.
struct Slow {
    asked: Arc<Mutex<Vec<&'static str>>>,
    answered: Mutex<Receiver<()>>,
}

impl Visible for Slow {
    fn admit(&self, _: &Batch, _: u64) -> Result<Admission, Error> {
        Ok(Admission::New)
    }

    fn show(&self, _: Vec<Arc<Entry>>) {
        self.asked.lock().push("show");
    }

    fn trim(&self, _: u64) {
        let answered = self.answered.lock().recv_timeout(Duration::from_secs(10));
        self.asked.lock().push(if answered.is_ok() { "trim" } else { "trim while the publisher waits" });
    }

    fn skip(&self, _: u64) {}
}

#[tokio::test]
async fn what_is_old_leaves_memory_when_the_publisher_has_its_answer() {
    let writer = Writer::new(open(&SimulatedDisk::default(), 1 << 20).unwrap(), Durability::Fsync);
    let asked = Arc::new(Mutex::default());
    let (answer, answered) = channel();
    let tail = Slow { asked: Arc::clone(&asked), answered: Mutex::new(answered) };
    let committer = start(writer, tail, &Failure::new());
    for round in 1..=2 {
        committer.append(batch()).await.unwrap();
        assert_eq!(asked.lock().len(), 2 * round - 1, "it is visible then");
        answer.send(()).unwrap();
        while asked.lock().len() < 2 * round {
            tokio::task::yield_now().await;
        }
    }
    committer.close().await;
    assert_eq!(*asked.lock(), ["show", "trim", "show", "trim"]);
}

fn start(writer: Writer, shown: impl Visible + 'static, failure: &Failure) -> Committer {
    Committer::start(writer, Epoch::from_bits(7), shown, Arc::new(KeeperCall::default()), failure.clone()).unwrap()
}

fn batch() -> Batch {
    Batch::new(vec![Submission::new(Topic::new("a").unwrap(), Event::data("x"))], None)
}

/// Breaks when it is to show something.
struct Broken;

impl Visible for Broken {
    fn admit(&self, _: &Batch, _: u64) -> Result<Admission, Error> {
        Ok(Admission::New)
    }

    fn show(&self, _: Vec<Arc<Entry>>) {
        panic!("as if something impossible had happened");
    }

    fn trim(&self, _: u64) {}

    fn skip(&self, _: u64) {}
}

#[tokio::test]
async fn a_thread_that_breaks_is_missed_and_nobody_waits_for_it() {
    let failure = Failure::new();
    let writer = Writer::new(open(&SimulatedDisk::default(), 1 << 20).unwrap(), Durability::Fsync);
    let committer = start(writer, Broken, &failure);
    for _ in 0..3 {
        let refused = committer.append(batch()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Internal);
        assert!(refused.to_string().contains("the thread oyez-log of the history panicked"), "{refused}");
    }
    assert!(failure.told().await.contains("oyez-log"));
    committer.close().await;
}

#[test]
fn without_a_descriptor_nothing_is_written_and_it_goes_on_when_there_is_one() {
    for step in 0.. {
        let disk = SimulatedDisk::default();
        let store = open(&disk, 1 << 20).unwrap();
        let mut writer = Writer::new(Arc::clone(&store), Durability::Fsync);
        let (mut publisher, steps) = (Publisher::new(step), disk.steps());
        disk.fail_at(steps + step + 1, io::ErrorKind::ResourceBusy);
        let first = publisher.batch();
        let made = writer.make_room(&first, 1);
        let is_over = made.is_ok() && disk.steps() < steps + step + 1;
        if matches!(made, Err(Unwritten::Failed(_))) {
            continue; // not where a file is opened
        }
        disk.fail_at(0, io::ErrorKind::ResourceBusy); // never again
        let again = publisher.batch();
        assert!(made.is_ok() || writer.make_room(&again, 2).unwrap(), "step {step}");
        writer.push(again, 2);
        let entries = writer.write().unwrap();
        let sequences: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
        let found: Vec<_> = read(&store, "*").iter().map(|entry| entry.sequence).collect();
        assert_eq!(found, sequences, "step {step}");
        if is_over {
            assert!(step > 2, "something was done");
            return;
        }
    }
}

/// Shows entries whose numbers follow each other, as the tail does.
struct Following(Mutex<u64>);

impl Visible for Following {
    fn admit(&self, _: &Batch, _: u64) -> Result<Admission, Error> {
        Ok(Admission::New)
    }

    fn show(&self, entries: Vec<Arc<Entry>>) {
        let mut head = self.0.lock();
        for entry in entries {
            assert_eq!(entry.sequence, *head + 1);
            *head += 1;
        }
    }

    fn trim(&self, _: u64) {}

    fn skip(&self, sequence: u64) {
        *self.0.lock() = sequence;
    }
}

#[tokio::test]
async fn numbers_that_a_start_passes_by_are_passed_also_when_the_first_write_finds_no_room() {
    let (_, copied, _) = written(31, true);
    for step in 1..=8 {
        let disk = copied.after_a_kill();
        let store = open(&disk, 1 << 20).unwrap();
        let shown = Following(Mutex::new(store.opened.head));
        let (writer, failure) = (Writer::new(Arc::clone(&store), Durability::Fsync), Failure::new());
        let committer = start(writer, shown, &failure);
        disk.fail_at(disk.steps() + step, io::ErrorKind::StorageFull);
        let first = committer.append(batch()).await;
        if let Err(error) = first {
            assert!(error.kind() == ErrorKind::Full || failure.is_told(), "step {step}: {error}");
            disk.fail_at(0, io::ErrorKind::StorageFull); // never again
        }
        while !failure.is_told() {
            match committer.append(batch()).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "step {step}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let broken = failure.refusal().is_some_and(|refusal| refusal.to_string().contains("oyez-log"));
        assert!(!broken, "step {step}");
    }
}
