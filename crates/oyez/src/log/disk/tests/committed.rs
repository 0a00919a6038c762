//! What the thread that writes does, and in which order.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::log::Visible;
use crate::log::disk::committer::Committer;
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
    let committer = Committer::start(writer, Epoch::from_bits(7), tail, Arc::new(KeeperCall::default())).unwrap();
    for round in 1..=2 {
        let batch = Batch::new(vec![Publish::new(Topic::new("a").unwrap(), Event::data("x"))], None);
        committer.append(batch).await.unwrap();
        assert_eq!(asked.lock().len(), 2 * round - 1, "it is visible then");
        answer.send(()).unwrap();
        while asked.lock().len() < 2 * round {
            tokio::task::yield_now().await;
        }
    }
    committer.close().await;
    assert_eq!(*asked.lock(), ["show", "trim", "show", "trim"]);
}
