//! A hub whose history is on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::Core;
use crate::limits::disk::{
    HISTORY_AGE, HISTORY_BYTES, NUMBERS_PER_MS, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, TAIL_BYTES,
};
use crate::limits::{DROPPED_SUMMARY_BYTES, Limits};
use crate::log::disk::{
    Class, Directory, DiskAppender, Durability, OnDisk, Settings, Store, Unfinished, Writer, tail_of,
};
use crate::log::{Appender, Log, Retention};
use crate::matcher::{Matcher, Matchers};
use crate::position::Epoch;
use crate::random::Random;
use crate::{Error, clock};

/// Where and how a hub keeps its history on disk: see [`HubBuilder::open`](crate::HubBuilder::open).
///
/// The directory is this process's alone for as long as the hub lives, and may be read by nobody else (mode 0700). A publish
/// returns when its event is as durable as [`Durability`] says. What is kept is bounded: 7 days and 1 GiB unless
/// [`keep`](Storage::keep) says otherwise. It leaves by whole segments of at most 64 MiB, so up to one segment more is kept.
///
/// ```
/// # let directory = std::env::temp_dir().join(format!("oyez-doc-{}", std::process::id()));
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use oyez::{Event, Hub, Storage};
/// let hub = Hub::<Event>::builder().open(Storage::new(&directory))?;
/// let id = hub.publish("news", Event::data("hello")).await?; // it is on the disk
/// drop(hub);
///
/// let hub = Hub::<Event>::builder().open(Storage::new(&directory))?;
/// let mut stream = hub.subscribe("news").earliest().into_stream()?;
/// let item = stream.next().await.and_then(|item| item.event()).expect("it was kept");
/// assert_eq!((item.id, item.value.data_str()), (id, "hello"));
/// # Ok::<(), oyez::Error>(())
/// # }).unwrap();
/// # std::fs::remove_dir_all(directory).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Storage {
    directory: PathBuf,
    durability: Durability,
    classes: Vec<Class>,
    /// What is kept was said, and is not the default.
    said: bool,
}

impl Storage {
    /// History in this directory, which is made if it is not there.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let retention = Retention::default().bytes(HISTORY_BYTES).age(HISTORY_AGE);
        Self {
            directory: directory.into(),
            durability: Durability::default(),
            classes: vec![Class { topics: None, retention }],
            said: false,
        }
    }

    /// When a publish returns. [`Durability::Fsync`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// What is kept; the bytes are bytes on the disk.
    pub fn keep(mut self, retention: Retention) -> Self {
        if let Some(class) = self.classes.first_mut() {
            class.retention = retention;
        }
        self.said = true;
        self
    }

    /// What is kept, as it was said elsewhere.
    pub(crate) fn keep_as(self, retention: Retention) -> Result<Self, Error> {
        match self.classes.first() {
            Some(class) if self.said && class.retention != retention => {
                Err(Error::invalid("history(…) and Storage::keep(…) say different things; leave one of them out"))
            }
            _ => Ok(self.keep(retention)),
        }
    }

    /// Whether the directory is one that a hub could open or make, as far as can be told without making anything. Another process
    /// may have it, and what is in it is not looked at.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): it is no directory, or not this user's alone; [`Internal`](crate::ErrorKind::Internal): it
    /// cannot be made or written to.
    pub fn check(&self) -> Result<(), Error> {
        Directory::check(&self.directory)
    }

    /// Keeps the topics that `matcher` selects otherwise than the rest, in segments of their own. At most 15 classes beside
    /// the one for the rest, which are to be given in the same order each time; of several that select a topic the first counts, and an event
    /// of several topics is kept as long as the one that is kept longest.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there are too many.
    pub fn class(mut self, matcher: Matcher, retention: Retention) -> Result<Self, Error> {
        if self.classes.len() > CLASSES_MAX {
            return Err(Error::invalid(format!(
                "more than {CLASSES_MAX} classes of topics; {matcher} is one too many"
            )));
        }
        self.classes.push(Class { topics: Some(matcher), retention });
        Ok(self)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// When a publish returns.
    #[must_use]
    pub fn level(&self) -> Durability {
        self.durability
    }

    /// Starts the core of a hub on what is there.
    pub(crate) fn start(self, limits: Limits, compact: Matchers) -> Result<Arc<Core>, Error> {
        let directory = self.directory.clone();
        let (store, writer) = self.open(&compact)?;
        let tail = tail_of(&store, compact, TAIL_BYTES).map_err(|error| located(error, &directory))?;
        let log = Log::over(Arc::new(OnDisk(Arc::clone(&store))), store.epoch, tail);
        let start = |shown| Ok(Box::new(DiskAppender::start(store, writer, shown)?) as Box<dyn Appender>);
        Core::appended_by(log, limits, Random::new(), start)
    }

    /// Opens what is there.
    fn open(self, compact: &Matchers) -> Result<(Arc<Store>, Writer), Error> {
        let volume = Arc::new(Directory::open(&self.directory)?);
        let located = |error| located(error, &self.directory);
        Unfinished::refuse(&*volume).map_err(located)?;
        let settings = Settings {
            classes: self.classes,
            summary_bytes: DROPPED_SUMMARY_BYTES,
            segment_bytes: (SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
            epoch: Epoch::draw(clock::wall_ns()),
            compact: compact.clone(),
            numbers_per_ms: NUMBERS_PER_MS,
        };
        let store = Arc::new(Store::open(volume, settings).map_err(located)?);
        let writer = Writer::new(Arc::clone(&store), self.durability);
        Ok((store, writer))
    }
}

/// The same error with the directory that it is about and, when something in it is damaged, with what helps.
fn located(error: Error, directory: &Path) -> Error {
    let name = directory.display();
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<io::Error>());
    let help = match cause.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            format!("; `oyez log verify {name}` says what is wrong, and `oyez log repair {name}` what can be kept")
        }
        _ => String::new(),
    };
    let message = format!("{name}: {error}{help}");
    error.in_words(message)
}

/// Classes beside the one for the rest: each has a file open and is read by every subscriber.
const CLASSES_MAX: usize = 15;
