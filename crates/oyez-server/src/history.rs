//! What is kept, and where: the settings that make the history together.

use std::time::Duration;

use oyez::{Durability, Retention, Storage};

use crate::limits::{HISTORY_BYTES, STORED_AGE, STORED_BYTES};
use crate::settings::{Checked, ClassSettings, ConfigError, Level, Size, Value};

/// The history that the settings ask for.
pub(crate) struct History {
    pub(crate) retention: Retention,
    /// Where it is, when it is on disk.
    pub(crate) storage: Option<Storage>,
}

impl History {
    pub(crate) fn new(settings: &Checked) -> Result<Self, ConfigError> {
        let storage = storage(settings)?;
        let retention = retention(settings, storage.is_some());
        let storage = classes(storage.map(|storage| storage.keep(retention)), &settings.class, retention)?;
        Ok(Self { retention, storage })
    }
}

fn retention(settings: &Checked, stored: bool) -> Retention {
    let bytes = if stored { STORED_BYTES } else { HISTORY_BYTES };
    let mut retention = Retention::default().bytes(settings.keep_bytes.map_or(bytes, |Size(bytes)| bytes));
    if let Some(age) = settings.keep.or_else(|| stored.then_some(STORED_AGE)) {
        retention = retention.age(age);
    }
    if let Some(events) = settings.keep_events {
        retention = retention.events(events);
    }
    retention
}

/// Where the history is kept, if not in memory.
fn storage(settings: &Checked) -> Result<Option<Storage>, ConfigError> {
    match (&settings.data, settings.durability) {
        (None, None | Some(Level::Memory)) => Ok(None),
        (Some(data), None) => Ok(Some(Storage::new(data).durability(Durability::Fsync))),
        (Some(data), Some(Level::Disk(durability))) => Ok(Some(Storage::new(data).durability(durability))),
        // a directory that nothing is written to would be found out after the next restart
        (Some(data), Some(Level::Memory)) => Err(ConfigError::new(format!(
            "durability = \"memory\" would write nothing to data = {data:?}; leave one of them out"
        ))),
        (None, Some(Level::Disk(durability))) => {
            let level = if durability == Durability::Flush { "flush" } else { "fsync" };
            Err(ConfigError::new(format!("durability = {level:?} needs a directory; set --data DIR or data = \"DIR\"")))
        }
    }
}

/// The storage with its classes of topics.
fn classes(
    storage: Option<Storage>,
    classes: &[ClassSettings],
    rest: Retention,
) -> Result<Option<Storage>, ConfigError> {
    let Some(storage) = storage else {
        return match classes.first() {
            None => Ok(None),
            Some(ClassSettings { topics, .. }) => Err(ConfigError::new(format!(
                "class {topics:?} needs a history on disk; set --data DIR or data = \"DIR\""
            ))),
        };
    };
    let with_class = |storage: Storage, class: &ClassSettings| {
        let refused = |error: oyez::Error| ConfigError::new(format!("class {:?}: {error}", class.topics));
        storage.class(class.topics.parse().map_err(refused)?, class_retention(class, rest)?).map_err(refused)
    };
    classes.iter().try_fold(storage, with_class).map(Some)
}

/// What a class says, and the rest where it says nothing.
fn class_retention(class: &ClassSettings, rest: Retention) -> Result<Retention, ConfigError> {
    let ClassSettings { topics, keep, keep_bytes, keep_events } = class.clone();
    let key = |name: &str| format!("class {topics:?}: {name}");
    let mut retention = rest;
    if let Some(age) = keep {
        retention = retention.age(Duration::check(&key("keep"), age)?);
    }
    if let Some(bytes) = keep_bytes {
        retention = retention.bytes(Size::check(&key("keep_bytes"), bytes)?.0);
    }
    if let Some(events) = keep_events {
        retention = retention.events(usize::check(&key("keep_events"), events)?);
    }
    Ok(retention)
}
